// What happens when the processes that make and read a clone are killed.

import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

@Suite("Keeping a clone whatever happens", .serialized)
struct CloneKeeperTests {
  @Test("a tool that is killed at any moment leaves no clone, and the target as it was")
  func killedTool() throws {
    let program = try TargetProgram(scenario: "sleepers", ["10"])
    try program.waitReady()
    let target = CloneTarget(program.process)
    let keeper = try BuildProduct.malloscope.path()
    let startTime = try target.process().startTime
    var seen: [Int: Int] = [:]
    // How long the first ones took at least until the clone was there, in microseconds: builds differ by
    // much.
    var usual: UInt32 = 1_000_000
    for round in 0..<64 {
      let tool = try CloneTarget(
        "starter", [keeper, "clone-keeper", "\(target.pid)", "\(startTime)"])
      let keeperPID = try #require(Int32(tool.words[1]))
      let start = ContinuousClock.now
      // Anywhere, or when the keeper has begun with the target, or when the clone is there.
      switch round % 3 {
      case 0 where round > 3: usleep(.random(in: 0..<usual))
      case 1: #expect(comes { statusOf(target.pid)?.tracer != 0 || hasChildren(target) })
      default: #expect(comes { childrenOf(target.pid).count == 2 })
      }
      if round <= 3, round != 1 {
        usual = min(usual, UInt32(max(1, (ContinuousClock.now - start) / .microseconds(1))))
      }
      if round % 3 > 0 { usleep(.random(in: 0..<2_000)) }
      seen[childrenOf(target.pid).count, default: 0] += 1
      tool.child.send(SIGKILL)
      _ = try tool.child.waitForEnd(by: Deadline(in: CloneTarget.patience))
      #expect(comes { !isAlive(keeperPID) })
      try target.expectUntouched()
    }
    // Before the clone was there, and with both forker and clone.
    #expect(seen[0, default: 0] > 5 && seen[2, default: 0] > 5, "\(seen)")
    let answer = try program.ask()
    #expect(answer.hasPrefix("interrupted futex=0 nanosleep=0 poll=0 epoll="))
    #expect(answer.hasSuffix(" read=0"))
    #expect(try program.close() == .exit(0))
  }

  private func hasChildren(_ target: CloneTarget) -> Bool { !childrenOf(target.pid).isEmpty }

  @Test("a keeper that is killed takes the clone with it, and a second one does the rest")
  func killedKeeper() throws {
    let target = try CloneTarget("threads", ["5"])
    for _ in 0..<5 {
      let clone = try target.clone()
      let pid = clone.pid
      let keeper = try #require(statusOf(pid)?.tracer)
      kill(keeper, SIGKILL)
      #expect(comes { !isAlive(pid) })
      #expect(try clone.end() > .zero)
      try target.expectUntouched()
    }
    #expect(try Int(target.ask()) != nil)
  }

  @Test("what a keeper leaves that is killed half way is found and cleaned up by the next one")
  func remnants() throws {
    let target = try CloneTarget("threads", ["5"])
    let process = try target.process()
    let arguments = ["clone-keeper", "\(target.pid)", "\(process.startTime)"]
    var left = 0
    for _ in 0..<20 {
      let keeper = try ChildProcess(
        ChildProcess.Launch(BuildProduct.malloscope.path(), arguments))
      let startTime = try LinuxProcess.inspect(keeper.pid).startTime
      // With a sleeping futex as its caller, a thread survives this in any case.
      #expect(comes { hasChildren(target) })
      keeper.send(SIGKILL)
      _ = try keeper.waitForEnd(by: Deadline(in: CloneTarget.patience))
      left += childrenOf(target.pid).count
      let next = try ToolRun(arguments + ["--after", "\(startTime)"])
      #expect(next.output.hasPrefix("ended ") && next.output.split(separator: " ").count == 2)
      try target.expectUntouched()
    }
    #expect(left >= 20)
    #expect(try Int(target.ask()) != nil)
  }

  @Test(
    "signals that end other processes do not reach the keeper",
    arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM])
  func signals(signal: Int32) throws {
    let target = try CloneTarget("threads", ["2"])
    let clone = try target.clone()
    let keeper = try #require(statusOf(clone.pid)?.tracer)
    // Those of a terminal go to the groups of its session.
    #expect(getpgid(keeper) == keeper)
    kill(keeper, signal)
    usleep(1000)
    #expect(isAlive(clone.pid))
    _ = try clone.end()
    try target.expectUntouched()
  }

  @Test("a target that is stopped by job control meanwhile is rid of its clone, and stays stopped")
  func stoppedMeanwhile() throws {
    let target = try CloneTarget("threads", ["3"])
    let clone = try target.clone()
    target.child.send(SIGSTOP)
    #expect(comes { statusOf(target.pid)?.state == "T" })
    _ = try clone.end()
    #expect(childrenOf(target.pid) == [])
    #expect(comes { statusOf(target.pid)?.state == "T" })
    target.child.send(SIGCONT)
    #expect(try Int(target.ask()) != nil)
  }

  @Test("a target that is killed while its clone is made or read is gone, and so is the clone")
  func killedTarget() throws {
    for round in 0..<20 {
      let target = try CloneTarget("threads", ["8"])
      let process = try target.process()
      let keeper = try ChildProcess(
        ChildProcess.Launch(
          BuildProduct.malloscope.path(),
          ["clone-keeper", "\(target.pid)", "\(process.startTime)"]))
      #expect(comes { statusOf(target.pid)?.tracer != 0 || hasChildren(target) })
      usleep(UInt32(round) * 100)
      target.child.send(SIGKILL)
      #expect(
        try target.child.waitForEnd(by: Deadline(in: CloneTarget.patience)) == .signal(SIGKILL))
      try keeper.finish(by: Deadline(in: CloneTarget.patience))
      let lines = try keeper.readToEnd(by: Deadline(in: CloneTarget.patience))
        .split(separator: "\n")
      #expect(lines.last?.hasPrefix("ended ") == true)
      let clones = lines.filter { $0.hasPrefix("ready ") }
        .compactMap { Int32($0.split(separator: " ")[1]) }
      #expect(comes { clones.allSatisfy { !isAlive($0) } })
    }
  }
}
