// When a process is not cloned: the reason is said, and nothing has changed.

import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

@Suite("Refusing to clone a process", .serialized)
struct CloneRefusalTests {
  /// The error that cloning ends with, nil if it does not.
  private func refusal(_ process: LinuxProcess, room: CloneRoom? = nil) throws -> CloneError? {
    // Unless it is the room that counts, a limit is left for the kernel to find.
    let room =
      room ?? CloneRoom(process.status.memory, memory: nil, tasks: nil)
    do throws(CloneError) {
      let clone = try ProcessClone(
        of: process, keeper: (try? keeperProgram()) ?? KeeperProgram(arguments: []),
        room: room)
      _ = try clone.end()
      return nil
    } catch {
      #expect(!error.fact.isEmpty && error.hints.count <= 3)
      return error
    }
  }

  @Test("a target with a seccomp filter is not cloned, since that may kill it")
  func filter() throws {
    let target = try CloneTarget("sandboxed")
    #expect(
      try refusal(target.process()) == .filtered(pid: target.pid, tid: target.pid))
    #expect(try target.ask() == "alive")
    try target.expectUntouched()
  }

  @Test("the parent of a vfork is not cloned: it cannot be stopped")
  func vforkParent() throws {
    let target = try CloneTarget("vforker")
    guard case .threadNotStopped(target.pid, let thread) = try refusal(target.process()) else {
      Issue.record("expected that the thread does not stop")
      return
    }
    #expect(thread.tid == target.pid && thread.state == "D" && thread.systemCall != nil)
    #expect(try target.process().tracerPID == 0)
    #expect(try target.ask() == "resumed")
    #expect(try target.ask() == "alive")
  }

  @Test("a target that job control has stopped is not cloned, and stays stopped")
  func jobControl() throws {
    let target = try CloneTarget("threads", ["3"])
    target.child.send(SIGSTOP)
    #expect(try comes { try target.process().status.state == "T" })
    #expect(try refusal(target.process()) == .stoppedByJobControl(pid: target.pid))
    #expect(try target.process().status.state == "T")
    #expect(childrenOf(target.pid) == [])
    target.child.send(SIGCONT)
    #expect(try Int(target.ask()) != nil)
  }

  @Test("a target that another traces is not cloned")
  func traced() throws {
    let target = try CloneTarget("threads", ["3"])
    let tracer = try CloneTarget("tracer", [String(target.pid)])
    #expect(
      try refusal(target.process())
        == .notStopped(.attachRefused(pid: target.pid, tid: target.pid, errno: EPERM)))
    #expect(try target.process().tracerPID == tracer.pid)
    try tracer.child.finish(by: Deadline(in: CloneTarget.patience))
    #expect(try Int(target.ask()) != nil)
  }

  @Test(
    "a target whose children would begin a namespace is not cloned",
    arguments: [("pid", CloneError.Obstacle.newPIDNamespace), ("time", .newTimeNamespace)])
  func newNamespace(kind: String, obstacle: CloneError.Obstacle) throws {
    let target = try CloneTarget("unshared", [kind])
    #expect(try refusal(target.process()) == .noThread(pid: target.pid, obstacle))
    #expect(try target.ask() == "alive")
    try target.expectUntouched()
  }

  @Test("a target whose user may have no more processes is not cloned")
  func processLimit() throws {
    var command = [try installedProgram("prlimit"), "--nproc=1:1", try installedProgram("cat")]
    if geteuid() == 0 {
      // Root has no such limit.
      let other = ["--reuid", "54321", "--regid", "54321", "--clear-groups"]
      command = [try installedProgram("setpriv")] + other + command
    }
    let target = CloneTarget(
      try ChildProcess(ChildProcess.Launch(command[0], Array(command[1...]))))
    #expect(try target.ask().isEmpty)
    #expect(try refusal(target.process()) == .refused(pid: target.pid, errno: EAGAIN))
    #expect(try target.ask().isEmpty)
    try target.expectUntouched()
  }

  @Test(
    "a target in a cgroup with room for too few processes is not cloned, or rid of what was born",
    .enabled(if: PidsCgroup.isUsable), arguments: [1, 2])
  func cgroupLimit(limit: Int) throws {
    let cgroup = try PidsCgroup(limit: limit)
    let target = try CloneTarget("descriptors")
    try cgroup.add(target.pid)
    #expect(try refusal(target.process()) == .refused(pid: target.pid, errno: EAGAIN))
    try target.expectUntouched()
    #expect(try target.ask() == "end")
    try target.child.finish(by: Deadline(in: CloneTarget.patience))
    withExtendedLifetime(cgroup) {}
  }

  @Test("a clone that needs more than there is is not made")
  func room() throws {
    let target = try CloneTarget("threads", ["3"])
    let process = try target.process()
    let figures = process.status.memory
    let little = MemoryHeadroom(available: 4096, bound: .cgroup(path: "/x"))
    let needed = CloneRoom(figures, memory: little, tasks: nil).needed
    #expect(needed > 4096)
    #expect(
      try refusal(process, room: CloneRoom(figures, memory: little, tasks: nil))
        == .tooLittleMemory(pid: target.pid, needed: needed, little))
    let one = TaskHeadroom(available: 1, limit: 9, cgroup: "/x")
    #expect(
      try refusal(process, room: CloneRoom(figures, memory: nil, tasks: one))
        == .tooManyTasks(pid: target.pid, one))
    let enough = CloneRoom(
      figures, memory: MemoryHeadroom(available: needed, bound: .machine),
      tasks: TaskHeadroom(available: 2, limit: 9, cgroup: "/x"))
    #expect(try refusal(process, room: enough) == nil)
    try target.expectUntouched()
  }

  @Test("a clone is taken to need its page tables and a quarter of the data, 64 MiB at least")
  func need() {
    func needed(_ anonymous: UInt64, _ file: UInt64) -> UInt64 {
      let figures = MemoryFigures(anonymous: anonymous, file: file)
      return CloneRoom(figures, memory: nil, tasks: nil).needed
    }
    let mebibyte: UInt64 = 1 << 20
    #expect(needed(1024 * mebibyte, 512 * mebibyte) == 259 * mebibyte)
    #expect(needed(128 * mebibyte, 0) == 64 * mebibyte + mebibyte / 4)
    #expect(needed(mebibyte, 0) == mebibyte + 2048)
    #expect(needed(0, 0) == 0)
    #expect(needed(.max, .max) > UInt64.max / 4)
  }

  @Test("a process that has ended, or whose id another has, is not cloned")
  func gone() throws {
    let target = try CloneTarget("threads", ["3"])
    let process = try target.process()
    try target.child.finish(by: Deadline(in: CloneTarget.patience))
    #expect(try refusal(process) == .notStopped(.processEnded(pid: target.pid)))
    let other = try CloneTarget("threads", ["3"])
    let keeper = try ToolRun(["clone-keeper", "\(other.pid)", "1"])
    #expect(keeper.output == "failed another-process \(other.pid)\n")
    try other.expectUntouched()
  }

  @Test("a keeper that cannot be started, or is none, is an error")
  func noKeeper() throws {
    let target = try CloneTarget("threads", ["3"])
    let process = try target.process()
    let room = CloneRoom(for: process)
    #expect(throws: CloneError.keeperNotStarted(call: "posix_spawn /nowhere", errno: ENOENT)) {
      _ = try ProcessClone(
        of: process, keeper: KeeperProgram(path: "/nowhere", arguments: []), room: room)
    }
    #expect(throws: CloneError.keeperEnded(pid: target.pid)) {
      _ = try ProcessClone(
        of: process, keeper: KeeperProgram(path: "/bin/true", arguments: []), room: room)
    }
    #expect(throws: CloneError.keeperUnintelligible(line: "something")) {
      _ = try ProcessClone(
        of: process, keeper: KeeperProgram(path: "/bin/echo", arguments: ["something\n"]),
        room: room)
    }
  }

  @Test(
    "the keeper's verb takes nothing but what it is made for",
    arguments: [
      [], ["1"], ["0", "1"], ["x", "1"], ["1", "-1"], ["1", "1", "1"], ["1", "1", "--after", "x"],
    ])
  func usage(arguments: [String]) throws {
    let run = try ToolRun(["clone-keeper"] + arguments)
    #expect(run.exitCode == 64 && run.output.isEmpty && run.error.hasPrefix("malloscope: "))
  }
}

/// A cgroup of the tests that limits the number of processes, removed with its owner.
final class PidsCgroup {
  private static let root = "/sys/fs/cgroup/pids"
  private let path: String

  /// Whether there is such a hierarchy (of version 1) that we may change.
  static var isUsable: Bool { access(root + "/cgroup.procs", W_OK) == 0 }

  init(limit: Int) throws {
    path = Self.root + "/malloscope-test-\(getpid())-\(limit)"
    try #require(mkdir(path, 0o755) == 0)
    try write("\(limit)", to: "pids.max")
  }

  deinit {
    // Its process has ended by now, and leaves it at once.
    _ = comes { rmdir(path) == 0 }
  }

  func add(_ pid: Int32) throws { try write("\(pid)", to: "cgroup.procs") }

  private func write(_ text: String, to name: String) throws {
    let file = open(path + "/" + name, O_WRONLY)
    try #require(file >= 0)
    defer { close(file) }
    try #require(Glibc.write(file, text, text.utf8.count) == text.utf8.count)
  }
}
