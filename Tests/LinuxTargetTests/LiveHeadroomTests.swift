// The same on control groups that a test makes, where it may.

import Glibc
import LinuxTarget
import TestKit
import Testing

@Suite("Headroom below real limits")
struct LiveHeadroomTests {
  private let patience = Duration.seconds(20)
  private static let memoryObstacle = TestControlGroup.obstacle("memory")
  private static let tasksObstacle = TestControlGroup.obstacle("pids")

  /// A program in `group` that touches memory as told.
  private func hog(in group: TestControlGroup) throws -> ChildProcess {
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
    let group = try TestControlGroup("memory")
    let limit: UInt64 = 64 << 20
    try group.limitMemory(to: limit)
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
    let group = try TestControlGroup("pids")
    try group.set("pids.max", "7")
    let child = try hog(in: group)
    #expect(
      TaskHeadroom.of(child.pid)
        == TaskHeadroom(available: 6, limit: 7, cgroup: group.directory))
    try child.finish(by: Deadline(in: patience))
  }
}
