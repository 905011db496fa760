// The tool must not harm its target: whatever happens to the tool, the target runs on.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("The tool does no harm", .serialized)
struct HarmTests {
  @Test("10,000 signals that arrive during 100 runs all count")
  func signalsAreCounted() throws {
    let program = try TargetProgram(scenario: "signals", ["3"])
    try program.waitReady()
    // The first real-time signal that glibc leaves to programs; the kernel queues it.
    let signal: Int32 = 34
    for run in 1...100 {
      let tool = try start(["\(program.pid)", "--json"])
      var sent = 0
      while tool.endingIfAny() == nil, sent < 100 {
        program.process.send(signal)
        sent += 1
        // Spread over the run, of which the stop is a part.
        usleep(100)
      }
      for _ in sent..<100 { program.process.send(signal) }
      #expect(try tool.waitForEnd(by: Deadline(in: TargetProgram.patience)) == .exit(0))
      // The kernel's queue is bounded: no more until these are taken.
      #expect(try comes { try program.ask() == "count 0 \(run * 100)" })
      #expect(status(program.pid, "TracerPid") == "0")
    }
  }

  @Test("a run that is killed at any moment releases the target")
  func killedTool() throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    var killedInStop = 0
    for run in 0..<50 {
      let tool = try start(["\(program.pid)", "--capture", "stop"])
      // Every other time anywhere in the run's beginning, else somewhere in the stop.
      if run % 2 == 1 { #expect(comes { isStopped(program, by: tool) }) }
      usleep(UInt32.random(in: 0..<30_000))
      if isStopped(program, by: tool) { killedInStop += 1 }
      tool.send(SIGKILL)
      _ = try tool.waitForEnd(by: Deadline(in: TargetProgram.patience))
      try expectFree(program, within: .seconds(1))
    }
    #expect(killedInStop >= 20)
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "SIGINT, SIGTERM and SIGHUP end a run with 130 after the target was let go",
    arguments: [SIGINT, SIGTERM, SIGHUP])
  func interrupted(signal: Int32) throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    let tool = try start(["chunks", "\(program.pid)", "--format", "csv"])
    #expect(comes { isStopped(program, by: tool) })
    tool.send(signal)
    #expect(try tool.waitForEnd(by: Deadline(in: TargetProgram.patience)) == .exit(130))
    #expect(tool.standardError == "malloscope: interrupted; the target runs on\n")
    try expectFree(program, within: .seconds(1))
  }

  @Test(
    "a trap inside the tool during a stop, on a terminal, releases the target within a second",
    arguments: [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT])
  func trapOnATerminal(signal: Int32) throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(), ["chunks", "\(program.pid)", "--limit", "5"])
    launch.input = .terminal
    launch.output = .terminal
    launch.error = .terminal
    // As eager as the Swift runtime's crash reporter can be told to be: it would wait for a key.
    launch.environment["SWIFT_BACKTRACE"] = "enable=yes,interactive=yes,timeout=30s"
    launch.environment["TERM"] = "xterm"
    let tool = try ChildProcess(launch)
    #expect(comes { isStopped(program, by: tool) })
    tool.send(signal)
    try expectFree(program, within: .seconds(1))
    #expect(try tool.waitForEnd(by: Deadline(in: TargetProgram.patience)) == .signal(signal))
  }

  @Test("a target that job control has stopped stays stopped and can be continued")
  func groupStopped() throws {
    let program = try TargetProgram(scenario: "threads")
    let oracle = try program.waitForOracle()
    program.process.send(SIGSTOP)
    #expect(comes { status(program.pid, "State") == "T" })
    for _ in 0..<5 {
      let document = try reportedHeap(program.pid)
      #expect(document.findings.map(\.detail) == [])
      // The main thread's, the ended and the running threads' vectors, and what is listed.
      #expect(document.totals.inUseChunks == UInt64(oracle.live.count) + 5)
      #expect(comes(within: .seconds(1)) { status(program.pid, "State") == "T" })
      #expect(status(program.pid, "TracerPid") == "0")
    }
    program.process.send(SIGCONT)
    #expect(try program.ask() == "here")
    #expect(try program.close() == .exit(0))
  }

  @Test("threads that sleep in system calls are not woken, but for those that signal(7) excepts")
  func sleepersSleepOn() throws {
    let program = try TargetProgram(scenario: "sleepers", ["20"])
    try program.waitReady()
    for _ in 0..<10 { _ = try reportedHeap(program.pid) }
    // epoll_wait comes back from any stop; a program must expect that.
    let answer = try program.ask()
    #expect(answer.hasPrefix("interrupted futex=0 nanosleep=0 poll=0 epoll="))
    #expect(answer.hasSuffix(" read=0"))
  }

  @Test("threads that come and go during a run do not disturb it")
  func spawner() throws {
    let program = try TargetProgram(scenario: "spawner", ["3"])
    try program.waitReady()
    for _ in 0..<20 {
      let run = try ToolRun(["\(program.pid)", "--json"])
      #expect(run.exitCode == 0 || run.exitCode == 2, "\(run.error)")
      let document = try HeapDocument(run.output)
      let damage = document.findings.filter { $0.kind != "in_transit" }
      #expect(damage.map(\.detail) == [])
    }
    #expect(try program.ask().hasPrefix("spawned "))
    #expect(try program.close() == .exit(0))
  }

  @Test("the parent of a vfork is reported, or named, within the deadline")
  func vfork() throws {
    let program = try TargetProgram(scenario: "vfork")
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)", "--json"], within: .seconds(10))
    // What that thread caches is not known.
    #expect(run.exitCode == 2, "\(run.error)")
    let document = try HeapDocument(run.output)
    #expect(document.findings.map(\.kind) == ["thread_not_stopped"])
    #expect(try program.close() == .exit(0))
  }

  private func start(_ arguments: [String]) throws -> ChildProcess {
    var launch = ChildProcess.Launch(try BuildProduct.malloscope.path(), arguments)
    launch.input = .file("/dev/null")
    launch.output = .capture
    return try ChildProcess(launch)
  }

  private func isStopped(_ program: TargetProgram, by tool: ChildProcess) -> Bool {
    // The tracer is a thread of the tool's own.
    guard status(program.pid, "State") == "t",
      let tracer = Int32(status(program.pid, "TracerPid")), tracer > 0
    else { return false }
    return status(tracer, "Tgid") == "\(tool.pid)"
  }

  /// The target is traced by nobody, not stopped, and answers.
  private func expectFree(_ program: TargetProgram, within patience: Duration) throws {
    #expect(
      comes(within: patience) {
        let state = status(program.pid, "State")
        return status(program.pid, "TracerPid") == "0" && (state == "S" || state == "R")
      }, "\(status(program.pid, "TracerPid")) \(status(program.pid, "State"))")
    #expect(try program.ask() == "here")
  }
}
