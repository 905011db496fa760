// Clones of live children: that they are what their originals were, and that these notice nothing.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

@Suite("Cloning a process", .serialized)
struct ProcessCloneTests {
  @Test("a clone holds the memory of one moment, while its original goes on")
  func memory() throws {
    let target = try CloneTarget("cells")
    let address = try #require(UInt64(target.words[1]))
    let count = try #require(Int(target.words[2]))
    var cells = [UInt64](repeating: 0, count: count)
    for _ in 0..<10 {
      let clone = try target.clone()
      let atFirst = try #require(UInt64(target.ask()))
      #expect(try comes { try #require(UInt64(target.ask())) > atFirst + 2 })
      let bytes = cells.withUnsafeMutableBytes { room in
        cpt_read_memory(clone.pid, address, room.baseAddress, room.count)
      }
      #expect(bytes == Int64(8 * count))
      // All cells up to one are of a round, all after it of the round before.
      let round = cells[0]
      let change = cells.firstIndex { $0 != round } ?? count
      #expect(cells[change...].allSatisfy { $0 == round - 1 })
      #expect(round <= atFirst)
      #expect(clone.threads.count == 2 && clone.threadCount == 2 && clone.findings.isEmpty)
      #expect(Set(clone.threads.map(\.tid)).contains(target.pid))
      #expect(clone.firstStop > .zero && clone.firstStop < .seconds(2))
      #expect(clone.registersChanged > .zero && clone.registersChanged < clone.firstStop)
      #expect(try clone.end() > .zero)
      try target.expectUntouched()
    }
  }

  @Test("a clone is a stopped child of its original, the first to go if memory runs out")
  func place() throws {
    let target = try CloneTarget("threads", ["20"])
    let clone = try target.clone()
    let pid = clone.pid
    let status = try #require(statusOf(pid))
    #expect(status.parent == target.pid && status.threads == 1 && status.state == "t")
    // The forker has ended and has not been waited for yet.
    #expect(childrenOf(target.pid).filter(isAlive) == [pid])
    let proc = ProcFileSystem()
    #expect(try proc.text(proc.path(pid, "oom_score_adj")) == "1000\n")
    #expect(try proc.text(proc.path(target.pid, "oom_score_adj")) == "0\n")
    #expect(try proc.numbers(in: proc.path(pid, "fd")).isEmpty)
    #expect(clone.threads.count == 21)
    #expect(try target.process().tracerPID == 0)
    _ = try clone.end()
    #expect(statusOf(pid) == nil)
    try target.expectUntouched()
  }

  @Test("a clone that only goes out of scope is gone, too")
  func outOfScope() throws {
    let target = try CloneTarget("threads", ["3"])
    var pid: Int32 = 0
    do {
      let clone = try target.clone()
      pid = clone.pid
    }
    #expect(statusOf(pid) == nil)
    try target.expectUntouched()
  }

  @Test("a thread that computes all the time computes on as before")
  func computing() throws {
    let target = try CloneTarget("spinner")
    for _ in 0..<15 {
      let clone = try target.clone()
      _ = try clone.end()
      target.child.send(SIGUSR1)
      #expect(try target.nextLine() == "right")
    }
    target.child.send(SIGTERM)
    #expect(try target.child.waitForEnd(by: Deadline(in: CloneTarget.patience)) == .exit(0))
  }

  @Test("100 clones do not wake the threads that sleep in system calls")
  func sleepers() throws {
    let program = try TargetProgram(scenario: "sleepers", ["10"])
    try program.waitReady()
    let target = CloneTarget(program.process)
    for _ in 0..<100 {
      let clone = try target.clone()
      _ = try clone.end()
    }
    let answer = try program.ask()
    #expect(answer.hasPrefix("interrupted futex=0 nanosleep=0 poll=0 epoll="))
    #expect(answer.hasSuffix(" read=0"))
    try target.expectUntouched()
  }

  @Test("blocked system calls go on after 20 clones, but for those that signal(7) excepts")
  func blockedCalls() throws {
    let target = try CloneTarget("blocked")
    for _ in 0..<20 {
      let clone = try target.clone()
      _ = try clone.end()
    }
    try target.child.write("finish\n")
    for _ in 0..<7 {
      let words = try target.nextLine().split(separator: " ")
      let isExcepted = ["epoll_wait", "semop", "sigtimedwait"].contains(words[0])
      #expect(words[1] == "undisturbed" || (isExcepted && words[1] == "EINTR"), "\(words[0])")
    }
  }

  @Test(
    "a thread that waits with another signal mask has its own mask afterwards",
    arguments: ["", "ppoll"])
  func masks(call: String) throws {
    let target = try CloneTarget("masked", [call])
    for round in 0..<20 {
      let clone = try target.clone()
      // It waits, with SIGUSR1 let through, whether the clone is there or not.
      if round % 2 == 0 {
        target.child.send(SIGUSR1)
        #expect(try target.nextLine() == "woken")
      }
      _ = try clone.end()
      target.child.send(SIGUSR1)
      #expect(try target.nextLine() == "woken")
    }
    target.child.send(SIGUSR2)
    target.child.send(SIGUSR1)
    #expect(try target.child.waitForEnd(by: Deadline(in: CloneTarget.patience)) == .exit(0))
  }

  @Test("signals that arrive during 120 clones all count, with their values")
  func signals() throws {
    let target = try CloneTarget("signals")
    let sender = try ChildProcess(
      ChildProcess.Launch(
        CompiledProgram.path("StopTargets/sender.c"), [String(target.pid), "10000"]))
    for _ in 0..<120 {
      let clone = try target.clone()
      _ = try clone.end()
    }
    #expect(try sender.waitForEnd(by: Deadline(in: CloneTarget.patience)) == .exit(0))
    let expected = "10000 \(10000 * 10001 / 2)"
    #expect(try comes { try target.ask() == expected })
    try target.expectUntouched()
  }

  @Test("a target that waits for any child meets none of ours", arguments: ["ignore", "count"])
  func strangers(mode: String) throws {
    let target = try CloneTarget("children", [mode])
    for _ in 0..<15 {
      let clone = try target.clone()
      _ = try clone.end()
    }
    let words = try target.ask().split(separator: " ")
    let children = try #require(Int(words[1]))
    let signals = try #require(Int(words[3]))
    #expect(children > 15)
    // One may be on its way.
    #expect(mode == "ignore" ? signals == 0 : (children...children + 1).contains(signals))
    #expect(words[5] == "0")
  }

  @Test("a target without children is sent no SIGCHLD and finds no child")
  func childless() throws {
    let target = try CloneTarget("childless")
    for _ in 0..<15 {
      let clone = try target.clone()
      _ = try clone.end()
    }
    #expect(try target.ask() == "signals 0 children 0")
    try target.expectUntouched()
  }

  @Test("what the target closes is closed while its clone lives")
  func descriptors() throws {
    let target = try CloneTarget("descriptors")
    let clone = try target.clone()
    #expect(try target.ask() == "end")
    _ = try clone.end()
    try target.expectUntouched()
  }

  @Test("a target in another PID namespace is cloned and rid of its clone")
  func otherNamespace() throws {
    let program = try CompiledProgram.path("StopTargets/threads.c")
    let shell = try ChildProcess(
      ChildProcess.Launch(
        installedProgram("unshare"), ["--pid", "--fork", "--kill-child", program, "3"]))
    #expect(try shell.readLine(by: Deadline(in: CloneTarget.patience)) == "ready")
    let pid = try #require(childrenOf(shell.pid).first)
    let process = try LinuxProcess.inspect(pid)
    #expect(process.namespacedPid == 1)
    for _ in 0..<5 {
      let clone = try ProcessClone(
        of: process, keeper: keeperProgram(), room: CloneRoom(for: process))
      #expect(statusOf(clone.pid)?.parent == pid)
      _ = try clone.end()
      #expect(childrenOf(pid) == [])
    }
    try shell.write("count\n")
    #expect(try Int(shell.readLine(by: Deadline(in: CloneTarget.patience))) != nil)
  }

  @Test("a target that ends while its clone lives ends with its status, and so does the clone")
  func endingTarget() throws {
    let target = try CloneTarget("threads", ["5"])
    let clone = try target.clone()
    let pid = clone.pid
    target.child.closeInput()
    #expect(try target.child.waitForEnd(by: Deadline(in: CloneTarget.patience)) == .exit(0))
    #expect(isAlive(pid))
    #expect(try clone.end() == .zero)
    #expect(!isAlive(pid))
  }

  @Test("a clone that is killed by others is no trouble")
  func killedClone() throws {
    let target = try CloneTarget("threads", ["5"])
    let clone = try target.clone()
    let pid = clone.pid
    kill(pid, SIGKILL)
    // Waited for by its tracer, so that nothing waits for that.
    #expect(comes { statusOf(pid).map { $0.state == "Z" && $0.tracer == 0 } ?? true })
    #expect(try clone.end() > .zero)
    #expect(statusOf(pid) == nil)
    try target.expectUntouched()
  }
}
