// Stopping live children and letting them go, with threads, signals and states of every kind.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

private let patience = Duration.seconds(30)
private let stopDeadline = Duration.seconds(2)

@Suite("Stopping a process", .serialized)
struct StopWindowTests {
  /// Starts a program under `StopTargets` and waits until it says that it is ready.
  private func start(_ name: String, _ arguments: [String] = []) throws -> ChildProcess {
    let program = try CompiledProgram.path("StopTargets/\(name).c")
    let child = try ChildProcess(ChildProcess.Launch(program, arguments))
    #expect(try child.readLine(by: Deadline(in: patience), waitingFor: "ready") == "ready")
    return child
  }

  /// What a program answers to a line.
  private func ask(_ child: ChildProcess) throws -> String {
    try child.write("count\n")
    return try child.readLine(by: Deadline(in: patience), waitingFor: "an answer")
  }

  /// The state letter of every thread of a process.
  private func states(of pid: Int32) throws -> [Character] {
    let proc = ProcFileSystem()
    return try proc.numbers(in: proc.path(pid, "task")).compactMap { tid in
      guard let text = try? proc.text(proc.path(pid, "task/\(tid)/stat")) else { return nil }
      return ProcessStat(parsing: text)?.state
    }
  }

  private func tracer(of pid: Int32) throws -> Int32 {
    try LinuxProcess.inspect(pid).tracerPID
  }

  /// Polls until `condition` holds.
  private func wait(for condition: () throws -> Bool) throws {
    let deadline = Deadline(in: patience)
    while try !condition() {
      if deadline.hasPassed {
        Issue.record("the condition did not come to hold in time")
        return
      }
      usleep(500)
    }
  }

  @Test("all of 300 threads stop, their registers are read, and all run on afterwards")
  func manyThreads() throws {
    let child = try start("threads", ["299"])
    let process = try LinuxProcess.inspect(child.pid)
    let window = try StopWindow(process: process, deadline: stopDeadline)
    #expect(window.threads.count == 300)
    #expect(window.notStopped.isEmpty && window.findings.isEmpty)
    #expect(try states(of: child.pid) == [Character](repeating: "t", count: 300))
    let mappings = try process.mappings()
    for thread in window.threads {
      #expect(mappings.contains { $0.isExecutable && $0.range.contains(thread.programCounter) })
      #expect(mappings.contains { $0.isWritable && $0.range.contains(thread.stackPointer) })
      #expect(mappings.contains { $0.isWritable && $0.range.contains(thread.threadPointer) })
    }
    #expect(Set(window.threads.map(\.threadPointer)).count == 300)
    // Of what kind the call is that each of them waits in.
    #expect(window.threads.allSatisfy { $0.systemCall != nil && $0.systemCall != .memory })
    #expect(window.length > .zero)
    let length = window.end()
    #expect(length > .zero && length < .seconds(10))
    #expect(try !states(of: child.pid).contains("t"))
    #expect(try tracer(of: child.pid) == 0)
    let before = try #require(Int(ask(child)))
    try wait { try #require(Int(ask(child))) > before }
    try child.finish(by: Deadline(in: patience))
  }

  @Test("a window that only goes out of scope lets the target go")
  func safetyNet() throws {
    let child = try start("threads", ["5"])
    do {
      let window = try StopWindow(
        process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
      #expect(window.threads.count == 6)
      // The kernel names the thread of ours that attached.
      #expect(try tracer(of: child.pid) != 0)
    }
    #expect(try tracer(of: child.pid) == 0)
    #expect(try !states(of: child.pid).contains("t"))
    #expect(try Int(ask(child)) != nil)
  }

  @Test("a target stopped by job control stays stopped, and continues when told to")
  func groupStop() throws {
    let child = try start("threads", ["3"])
    child.send(SIGSTOP)
    try wait { try states(of: child.pid).allSatisfy { $0 == "T" } }
    for _ in 0..<20 {
      let window = try StopWindow(
        process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
      #expect(window.threads.count == 4 && window.notStopped.isEmpty)
      _ = window.end()
    }
    try wait { try states(of: child.pid).allSatisfy { $0 == "T" } }
    // Continued while it is held, it runs on afterwards.
    let window = try StopWindow(
      process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
    child.send(SIGCONT)
    _ = window.end()
    #expect(try Int(ask(child)) != nil)
    // Stopped while it is held, it is stopped afterwards.
    let other = try StopWindow(
      process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
    child.send(SIGSTOP)
    _ = other.end()
    try wait { try states(of: child.pid).allSatisfy { $0 == "T" } }
    child.send(SIGCONT)
    #expect(try Int(ask(child)) != nil)
  }

  @Test("10,000 signals sent during 1,000 stops all arrive, with their values")
  func signals() throws {
    let child = try start("signals")
    let sender = try ChildProcess(
      ChildProcess.Launch(
        CompiledProgram.path("StopTargets/sender.c"), [String(child.pid), "10000"]))
    let process = try LinuxProcess.inspect(child.pid)
    var interrupted = 0
    for _ in 0..<1000 {
      let window = try StopWindow(process: process, deadline: stopDeadline)
      if window.threads.count != 4 { interrupted += 1 }
      _ = window.end()
    }
    #expect(interrupted == 0, "every stop finds all four threads")
    #expect(try sender.waitForEnd(by: Deadline(in: patience)) == .exit(0))
    let expected = "10000 \(10000 * 10001 / 2)"
    try wait { try ask(child) == expected }
    #expect(try ask(child) == expected)
  }

  @Test("threads that start and end while we attach are all stopped or gone")
  func churn() throws {
    let child = try start("churn")
    let process = try LinuxProcess.inspect(child.pid)
    for _ in 0..<200 {
      let window = try StopWindow(process: process, deadline: stopDeadline)
      #expect(window.notStopped.isEmpty && !window.isUnsettled)
      #expect(window.threads.count >= 9)
      let states = try states(of: child.pid)
      #expect(states.allSatisfy { $0 == "t" })
      #expect(states.count == window.threads.count)
      _ = window.end()
    }
    let before = try #require(Int(ask(child)))
    try wait { try #require(Int(ask(child))) > before }
    #expect(try tracer(of: child.pid) == 0)
  }

  @Test("the parent of a vfork is named within the deadline and works on afterwards")
  func vforkParent() throws {
    let child = try start("vforker")
    let process = try LinuxProcess.inspect(child.pid)
    try TracerThread.run { () throws(StopError) in
      let window = try StopWindow(process: process, deadline: .milliseconds(20))
      #expect(window.threads.isEmpty)
      #expect(window.notStopped.map(\.tid) == [child.pid])
      #expect(window.notStopped.first?.state == "D")
      #expect(window.notStopped.first?.systemCall != nil)
      #expect(window.findings.map(\.kind) == [.threadNotStopped])
      #expect(window.length < .seconds(2))
      _ = window.end()
    }
    #expect(try tracer(of: child.pid) == 0)
    #expect(try ask(child) == "resumed")
    #expect(try ask(child) == "alive")
  }

  @Test("a vfork parent that stops while the window ends is let go within it")
  func vforkParentResuming() throws {
    let child = try start("vforker")
    let window = try StopWindow(
      process: LinuxProcess.inspect(child.pid), deadline: .milliseconds(1))
    #expect(window.notStopped.count == 1)
    try child.write("\n")
    // The child ends, and its parent, asked to stop, does so instead of running on.
    try wait { try states(of: child.pid) == ["t"] }
    _ = window.end()
    #expect(try tracer(of: child.pid) == 0)
    #expect(try child.readLine(by: Deadline(in: patience)) == "resumed")
    #expect(try ask(child) == "alive")
  }

  @Test("a process that ends during the attachment is an error, and its status is not lost")
  func ending() throws {
    for round in 0..<120 {
      let viaExec = round % 3 == 0 ? ["exec"] : []
      let child = try start("ending", ["4", String(round * 17 % 1500)] + viaExec)
      do {
        let process = try LinuxProcess.inspect(child.pid)
        while true {
          let window = try StopWindow(process: process, deadline: stopDeadline)
          _ = window.end()
        }
      } catch let error as StopError {
        #expect(error == .processEnded(pid: child.pid))
      } catch let error as TargetError {
        switch error {
        case .zombie, .ended: break
        default: Issue.record("unexpected: \(error)")
        }
      }
      #expect(try child.waitForEnd(by: Deadline(in: patience)) == .exit(7))
    }
  }

  @Test("an exec that comes while we attach to its process's threads does not wait for us for ever")
  func execution() throws {
    for round in 0..<200 {
      let child = try start("ending", ["40", String(round * 7 % 1000), "exec"])
      do {
        let process = try LinuxProcess.inspect(child.pid)
        while true {
          let window = try StopWindow(process: process, deadline: stopDeadline)
          _ = window.end()
        }
      } catch {
        #expect(error is StopError || error is TargetError)
      }
      #expect(try child.waitForEnd(by: Deadline(in: patience)) == .exit(7))
    }
  }

  @Test("a process killed while it is stopped ends, and a stranger's death reaches its parent")
  func killed() throws {
    let child = try start("threads", ["10"])
    let window = try StopWindow(
      process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
    child.send(SIGKILL)
    _ = window.end()
    #expect(try child.waitForEnd(by: Deadline(in: patience)) == .signal(SIGKILL))

    // The grandchild's parent, not we, must get its status.
    let program = try CompiledProgram.path("StopTargets/threads.c")
    let shell = try ChildProcess(
      ChildProcess.Launch(
        "/bin/sh", ["-c", "exec 3<&0; \"$0\" 10 <&3 & echo $!; wait $!; echo $?", program]))
    let pid = try #require(Int32(shell.readLine(by: Deadline(in: patience))))
    #expect(try shell.readLine(by: Deadline(in: patience)) == "ready")
    let other = try StopWindow(process: LinuxProcess.inspect(pid), deadline: stopDeadline)
    #expect(other.threads.count == 11)
    kill(pid, SIGKILL)
    _ = other.end()
    #expect(try shell.readLine(by: Deadline(in: patience)) == "137")
  }

  @Test("a process without its first thread is stopped through the others")
  func leaderless() throws {
    let child = try start("leaderless")
    let process = try LinuxProcess.inspect(child.pid)
    #expect(process.memoryID != child.pid)
    let window = try StopWindow(process: process, deadline: stopDeadline)
    #expect(window.threads.map(\.tid) == [process.memoryID])
    #expect(window.notStopped.isEmpty)
    #expect(try !process.mappings().isEmpty)
    _ = window.end()
    #expect(try ask(child) == "alive")
    try child.finish(by: Deadline(in: patience))
  }

  @Test("a target that another traces is refused with its errno, and left as it was")
  func alreadyTraced() throws {
    let program = try CompiledProgram.path("StopTargets/boundary.c")
    let child = try ChildProcess(ChildProcess.Launch(program))
    _ = try child.readLine(by: Deadline(in: patience))
    let tracer = try start("tracer", [String(child.pid)])
    do {
      let window = try StopWindow(
        process: LinuxProcess.inspect(child.pid), deadline: stopDeadline)
      _ = window.end()
      Issue.record("attaching a second time must be refused")
    } catch let error as StopError {
      #expect(error == .attachRefused(pid: child.pid, tid: child.pid, errno: EPERM))
    }
    #expect(try self.tracer(of: child.pid) == tracer.pid)
    try tracer.finish(by: Deadline(in: patience))
    try child.finish(by: Deadline(in: patience))
  }

  @Test("blocked system calls go on after 20 stops, but for those that signal(7) excepts")
  func blockedCalls() throws {
    let child = try start("blocked")
    // All of its eight threads sleep in their calls before the first stop.
    try wait { try states(of: child.pid) == [Character](repeating: "S", count: 8) }
    let process = try LinuxProcess.inspect(child.pid)
    for _ in 0..<20 {
      let window = try StopWindow(process: process, deadline: stopDeadline)
      #expect(window.notStopped.isEmpty)
      _ = window.end()
    }
    try child.write("finish\n")
    var outcome: [Substring: Substring] = [:]
    for _ in 0..<7 {
      let words = try child.readLine(by: Deadline(in: patience)).split(separator: " ")
      outcome[words[0]] = words[1]
    }
    for (call, result) in outcome {
      // These come back early from every stop, be it that of a debugger or of job control.
      let isExcepted = ["epoll_wait", "semop", "sigtimedwait"].contains(call)
      #expect(result == "undisturbed" || (isExcepted && result == "EINTR"), "\(call)")
    }
    #expect(outcome.count == 7)
  }

  @Test("work on a tracer's thread returns its result and throws its error")
  func tracerThread() throws {
    let caller = pthread_self()
    let other = TracerThread.run { () -> Bool in pthread_equal(caller, pthread_self()) == 0 }
    #expect(other)
    #expect(throws: StopError.processEnded(pid: 7)) {
      try TracerThread.run { () throws(StopError) in throw StopError.processEnded(pid: 7) }
    }
  }
}
