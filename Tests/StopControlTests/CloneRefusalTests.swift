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
  private func refusal(_ process: LinuxProcess, available: UInt64? = nil) throws -> CloneError? {
    do throws(CloneError) {
      let clone = try ProcessClone(
        of: process, keeper: (try? keeperProgram()) ?? KeeperProgram(arguments: []),
        available: available)
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

  @Test("a clone that needs more memory than there is is not made")
  func room() throws {
    let target = try CloneTarget("threads", ["3"])
    guard
      case .noRoom(target.pid, let needed, 4096) = try refusal(target.process(), available: 4096)
    else {
      Issue.record("expected that there is no room")
      return
    }
    #expect(needed > 4096)
    #expect(try refusal(target.process(), available: needed + (64 << 20)) == nil)
    // Of a GiB and a half: page tables and a quarter.
    #expect(CloneRoom(anonymous: 1 << 30, files: 1 << 29).needed == (3 << 20) + (256 << 20))
    #expect(CloneRoom(anonymous: 1 << 20, files: 0).needed == (1 << 20) + (1 << 11))
    #expect(CloneRoom(anonymous: .max, files: .max).needed > 1 << 62)
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
    #expect(throws: CloneError.keeperNotStarted(call: "posix_spawn /nowhere", errno: ENOENT)) {
      _ = try ProcessClone(of: process, keeper: KeeperProgram(path: "/nowhere", arguments: []))
    }
    #expect(throws: CloneError.keeperEnded(pid: target.pid)) {
      _ = try ProcessClone(of: process, keeper: KeeperProgram(path: "/bin/true", arguments: []))
    }
    #expect(throws: CloneError.keeperUnintelligible(line: "something")) {
      _ = try ProcessClone(
        of: process, keeper: KeeperProgram(path: "/bin/echo", arguments: ["something\n"]))
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
