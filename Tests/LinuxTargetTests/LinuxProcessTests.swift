// What is found out about a process, on fake trees and on live children.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@Suite("Inspecting a process")
struct LinuxProcessTests {
  private let patience = Duration.seconds(20)

  private func error(_ id: Int32, _ fake: FakeProc) -> TargetError? {
    do {
      _ = try LinuxProcess.inspect(id, proc: fake.proc)
      return nil
    } catch {
      return error
    }
  }

  @Test("a process is described by its files")
  func description() throws {
    let fake = try FakeProc()
    try fake.add(20, name: "web (1)", threads: [20, 21], namespaced: "20 3")
    try fake.write(20, "cgroup", "0::/lxc.payload.web\n")
    symlink("/bin/web (deleted)", fake.proc.path(20, "exe"))
    let process = try LinuxProcess.inspect(20, proc: fake.proc)
    #expect(process.pid == 20 && process.requestedID == 20 && process.memoryID == 20)
    #expect(process.namespacedPid == 3 && process.command == "web (1)")
    #expect(process.executable == "/bin/web" && process.isExecutableDeleted)
    #expect(process.threadCount == 2 && process.container?.id == "web")
    #expect(process.startTime == 777 && process.tracerPID == 0)
    #expect(try process.threadIDs().sorted() == [20, 21])
    #expect(process.isStillTheSame())
    try fake.write(20, "stat", "20 (other) S " + String(repeating: "1 ", count: 49))
    #expect(!process.isStillTheSame())
  }

  @Test("a thread id leads to its process and is remembered")
  func threadID() throws {
    let fake = try FakeProc()
    try fake.add(20, name: "web", threads: [20, 21])
    try fake.add(21, name: "worker", group: 20)
    let process = try LinuxProcess.inspect(21, proc: fake.proc)
    #expect(process.pid == 20 && process.requestedID == 21)
  }

  @Test("what has no heap for us is named")
  func refusals() throws {
    let fake = try FakeProc()
    try fake.add(30, name: "kthread", flags: 0x20_8040)
    try fake.add(31, name: "dead", state: "Z")
    try fake.add(32, name: "old")
    try fake.write(32, "exe", "\u{7f}ELF\u{1}rest")
    try fake.add(33, name: "empty")
    try fake.write(33, "status", "")
    #expect(error(30, fake) == .kernelThread(pid: 30, name: "kthread"))
    #expect(error(31, fake) == .zombie(pid: 31, name: "dead", parent: 1))
    #expect(error(32, fake) == .thirtyTwoBit(pid: 32, executable: ""))
    #expect(error(10, fake) == .ourselves(pid: 10))
    #expect(error(99, fake) == .noSuchProcess(pid: 99))
    #expect(error(0, fake) == .noSuchProcess(pid: 0))
    #expect(error(-1, fake) == .noSuchProcess(pid: -1))
    if case .malformed = error(33, fake) {} else { Issue.record("an empty status is malformed") }
  }

  @Test("a missing proc file system, and one of another namespace, are told from a missing process")
  func wrongProc() throws {
    let fake = try FakeProc()
    let missing = ProcFileSystem(root: fake.proc.root + "/none", ownPID: 10)
    #expect(throws: TargetError.procNotMounted(root: missing.root, errno: ENOENT)) {
      try LinuxProcess.inspect(1, proc: missing)
    }
    let foreign = ProcFileSystem(root: fake.proc.root, ownPID: 11)
    #expect(
      throws: TargetError.procOfAnotherNamespace(
        root: foreign.root, ownPID: 11, pidThere: "10")
    ) {
      try LinuxProcess.inspect(10, proc: foreign)
    }
  }

  @Test("a process whose first thread has ended is read through another")
  func endedLeader() throws {
    let fake = try FakeProc()
    try fake.add(40, name: "go", state: "Z", threads: [40, 41, 42])
    let process = try LinuxProcess.inspect(40, proc: fake.proc)
    #expect(process.pid == 40 && [41, 42].contains(process.memoryID))
  }

  @Test("files that vanish mean that the process ended")
  func vanishing() throws {
    let fake = try FakeProc()
    try fake.add(50, name: "brief")
    let process = try LinuxProcess.inspect(50, proc: fake.proc)
    fake.remove(50, "stat")
    #expect(throws: TargetError.ended(pid: 50)) { try process.mappings() }
    #expect(throws: TargetError.ended(pid: 50)) {
      try process.residency(of: [AddressRange(RemoteAddress(0), byteCount: 1)])
    }
    #expect(error(50, fake) == .ended(pid: 50))
    #expect(!process.isStillTheSame())
  }

  @Test("a live child is described as it is")
  func liveChild() throws {
    let path = try CompiledProgram.path("StopTargets/boundary.c")
    let child = try ChildProcess(ChildProcess.Launch(path))
    let words = try child.readLine(by: Deadline(in: patience)).split(separator: " ")
    let pageSize = try #require(UInt64(words[0]))
    let pages = RemoteAddress(try #require(UInt64(words[1], radix: 16)))
    let half = RemoteAddress(try #require(UInt64(words[2], radix: 16)))
    let process = try LinuxProcess.inspect(child.pid)
    #expect(process.executable == path && process.pageSize == pageSize)
    #expect(process.status.parent == getpid())

    let mappings = try process.mappings()
    #expect(mappings.contains { $0.name == path && $0.isExecutable })
    #expect(mappings.contains { $0.name == "[heap]" && $0.range.lowerBound == process.startBreak })
    #expect(mappings.contains { $0.range.contains(pages) })
    let hole = try #require(pages.advanced(by: pageSize))
    #expect(!mappings.contains { $0.range.contains(hole) })
    #expect(mappings == mappings.sorted { $0.range.lowerBound < $1.range.lowerBound })

    // Two overlapping ranges, the second unaligned, make one run; half of the pages were touched.
    let residency = try process.residency(of: [
      AddressRange(half, byteCount: 40 * pageSize),
      AddressRange(RemoteAddress(half.bits + 30 * pageSize + 5), byteCount: 34 * pageSize - 10),
    ])
    #expect(residency.runs.count == 1)
    #expect(
      residency.runs.first?.isResident
        == [Bool](repeating: true, count: 32) + [Bool](repeating: false, count: 32))
    #expect(throws: TargetError.self) {
      try process.residency(of: [AddressRange(RemoteAddress(0), RemoteAddress(1 << 47))])
    }
    try child.finish(by: Deadline(in: patience))
    #expect(throws: TargetError.ended(pid: child.pid)) { try process.mappings() }
  }

  @Test("the list of processes has no dead, no kernel threads and not us, and is searchable")
  func resolution() throws {
    let fake = try FakeProc()
    let id = String(repeating: "ab", count: 32)
    try fake.add(20, name: "web", namespaced: "20 1")
    try fake.write(20, "cmdline", "/opt/web-server\0--port\080\0")
    try fake.write(20, "cgroup", "0::/docker/\(id)\n")
    try fake.add(21, name: "web", namespaced: "21 7")
    try fake.write(21, "cgroup", "0::/docker/\(id)\n")
    try fake.add(22, name: "cron")
    try fake.add(23, name: "dead", state: "Z")
    try fake.add(24, name: "kworker", flags: 0x20_0000)
    let all = try LinuxProcess.all(proc: fake.proc)
    #expect(all.map(\.pid) == [20, 21, 22])
    #expect(SourceResolution.named(try Regex("^web"), in: all).map(\.pid) == [20, 21])
    #expect(SourceResolution.named(try Regex("server$"), in: all).map(\.pid) == [20])
    #expect(SourceResolution.named(try Regex("opt|port"), in: all).isEmpty)
    let contained = SourceResolution.inContainer("abab", of: all)
    #expect(contained.map(\.pid) == [20, 21])
    #expect(SourceResolution.withNamespacedPid(7, of: contained).map(\.pid) == [21])
    #expect(SourceResolution.inContainer("", of: all).isEmpty)
    #expect(SourceResolution.inContainer("ba", of: all).isEmpty)
    #expect(SourceResolution.containers(of: all).map(\.pid) == [20])
  }

  @Test("a systemd unit is found by its whole name, and is no container")
  func units() throws {
    let fake = try FakeProc()
    for (pid, unit) in [(20, "nginx.service"), (21, #"a\x2db@1.service"#), (22, "nginx.service")] {
      try fake.add(Int32(pid), name: "web")
      try fake.write(Int32(pid), "cgroup", "0::/system.slice/\(unit)\n")
    }
    try fake.write(10, "cgroup", "0::/\n")
    let all = try LinuxProcess.all(proc: fake.proc)
    func found(_ name: String) -> [Int32] {
      SourceResolution.inContainer(name, of: all).map(\.pid)
    }
    #expect(found("nginx.service") == [20, 22])
    #expect(found(#"a\x2db@1.service"#) == [21] && found("a-b@1.service") == [21])
    for name in ["nginx", "nginx.serv", "ginx.service", ".service", "a-b@.service"] {
      #expect(found(name).isEmpty, "\(name)")
    }
    #expect(all.allSatisfy { $0.container == nil })
    #expect(SourceResolution.containers(of: all).isEmpty)
    #expect(LinuxProcess.cannotTellContainers(proc: fake.proc))
    try fake.write(10, "cgroup", "0::/user.slice\n")
    #expect(!LinuxProcess.cannotTellContainers(proc: fake.proc))
  }
}
