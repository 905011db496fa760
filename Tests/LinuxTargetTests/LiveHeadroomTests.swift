// The same on control groups that a test makes, where it may.

import Glibc
import LinuxTarget
import TestKit
import Testing

/// A control group of a test's own, removed with it.
private final class TestGroup {
  let directory: String
  let isUnified: Bool

  /// Why no group for `controller` can be made here, nil if one can.
  static func obstacle(_ controller: String) -> String? {
    do {
      _ = try TestGroup(controller)
      return nil
    } catch {
      return "no control group with \(controller) can be made here: \(error)"
    }
  }

  /// Makes a group below the root of a mounted hierarchy that has the controller.
  init(_ controller: String) throws {
    let text = String(decoding: try contents(ofFile: "/proc/self/mountinfo"), as: UTF8.self)
    var candidates: [(path: String, isUnified: Bool)] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ").map(String.init)
      guard let dash = fields.lastIndex(of: "-"), fields.count == dash + 4 else { continue }
      if fields[dash + 1] == "cgroup",
        fields[dash + 3].split(separator: ",").contains(controller[...])
      {
        candidates.append((fields[4], false))
      } else if fields[dash + 1] == "cgroup2",
        let enabled = try? contents(ofFile: fields[4] + "/cgroup.subtree_control"),
        String(decoding: enabled, as: UTF8.self).split(whereSeparator: \.isWhitespace)
          .contains(controller[...])
      {
        candidates.append((fields[4], true))
      }
    }
    guard let first = candidates.first else {
      throw TestKitError.notFound(program: "a hierarchy with \(controller)", searched: [])
    }
    let number = UInt32.random(in: 0 ... .max)
    directory = first.path + "/malloscope-test-\(controller)-\(number)"
    isUnified = first.isUnified
    guard mkdir(directory, 0o755) == 0 else {
      throw TestKitError.system(call: "mkdir", subject: directory, errno: errno)
    }
  }

  deinit {
    // Its last process may still be on its way out.
    let deadline = Deadline(in: .seconds(10))
    while rmdir(directory) != 0, errno == EBUSY, !deadline.hasPassed { usleep(1000) }
  }

  func set(_ name: String, _ value: String) throws {
    try write(value, toFile: directory + "/" + name)
  }

  func number(_ name: String) throws -> UInt64 {
    let text = String(decoding: try contents(ofFile: directory + "/" + name), as: UTF8.self)
    return try #require(UInt64(text.prefix { $0 != "\n" }))
  }
}

@Suite("Headroom below real limits")
struct LiveHeadroomTests {
  private let patience = Duration.seconds(20)
  private static let memoryObstacle = TestGroup.obstacle("memory")
  private static let tasksObstacle = TestGroup.obstacle("pids")

  /// A program in `group` that touches memory as told.
  private func hog(in group: TestGroup) throws -> ChildProcess {
    let child = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/hog.c")))
    _ = try child.readLine(by: Deadline(in: patience))
    try group.set("cgroup.procs", String(child.pid))
    return child
  }

  private func touch(_ mebibytes: Int, _ child: ChildProcess) throws {
    try child.write("\(mebibytes)\n")
    _ = try child.readLine(by: Deadline(in: patience))
  }

  @Test("ourselves are bounded by something, and by no more than the machine has")
  func ourselves() throws {
    let headroom = try #require(MemoryHeadroom.of(getpid()))
    #expect(headroom.available > 0)
    #expect(headroom.available < UInt64(sysconf(Int32(_SC_PHYS_PAGES))) * 4096)
  }

  @Test(
    "a process below a memory limit has what it leaves, and less after taking some",
    .enabled(if: memoryObstacle == nil, Comment(rawValue: memoryObstacle ?? "")))
  func memory() throws {
    let group = try TestGroup("memory")
    let limit: UInt64 = 64 << 20
    try group.set(group.isUnified ? "memory.max" : "memory.limit_in_bytes", String(limit))
    let child = try hog(in: group)
    try touch(1, child)
    let before = try #require(MemoryHeadroom.of(child.pid))
    let usage = try group.number(group.isUnified ? "memory.current" : "memory.usage_in_bytes")
    #expect(before.bound == .cgroup(path: group.directory))
    // The kernel charges in batches of 64 pages for each processor.
    let slack: UInt64 = 4 << 20
    #expect(before.available <= limit && before.available + usage + slack >= limit)
    try touch(32, child)
    let after = try #require(MemoryHeadroom.of(child.pid))
    #expect(after.bound == before.bound)
    #expect(after.available + (32 << 20) <= before.available + slack)
    #expect(after.available + (32 << 20) + slack >= before.available)
    // What it says can be had can be had, and the test machine's own memory is not what bounds it.
    try touch(Int((after.available - slack) >> 20), child)
    #expect(child.endingIfAny() == nil)
    #expect(MemoryHeadroom.of(getpid())?.bound != before.bound)
    try child.finish(by: Deadline(in: patience))
  }

  @Test(
    "a process below a limit of tasks may start as many as it leaves",
    .enabled(if: tasksObstacle == nil, Comment(rawValue: tasksObstacle ?? "")))
  func tasks() throws {
    let group = try TestGroup("pids")
    try group.set("pids.max", "7")
    let child = try hog(in: group)
    #expect(
      TaskHeadroom.of(child.pid)
        == TaskHeadroom(available: 6, limit: 7, cgroup: group.directory))
    try child.finish(by: Deadline(in: patience))
  }
}
