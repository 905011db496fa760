// The tool must not harm its target: whatever happens to the tool, the target runs on.

import Glibc
import HeapModel
import TestKit
import Testing

/// The first real-time signal that glibc leaves to programs; the kernel queues it.
private let queuedSignal: Int32 = 34

@Suite("The tool does no harm", .serialized)
struct HarmTests {
  @Test(
    "signals that arrive during many runs all count, 10,000 in 100 runs of the default",
    arguments: CaptureChoice.allCases)
  func signalsAreCounted(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "signals", ["3"])
    try program.waitReady()
    for run in 1...(choice == .auto ? 100 : 20) {
      let tool = try start(["\(program.pid)", "--json"] + choice.options)
      var sent = 0
      while tool.endingIfAny() == nil, sent < 100 {
        program.process.send(queuedSignal)
        sent += 1
        // Spread over the run, of which the stop is a part.
        usleep(100)
      }
      for _ in sent..<100 { program.process.send(queuedSignal) }
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
      let tool = try start(["\(program.pid)"] + CaptureChoice.stop.options)
      inFrontOfTheTool {
        // Every other time anywhere in the run's beginning, else somewhere in the stop.
        if run % 2 == 1 { #expect(comes { isStopped(program, by: tool) }) }
        usleep(UInt32.random(in: 0..<30_000))
        if isStopped(program, by: tool) { killedInStop += 1 }
        tool.send(SIGKILL)
      }
      _ = try tool.waitForEnd(by: Deadline(in: TargetProgram.patience))
      try expectFree(program, within: .seconds(1))
    }
    #expect(killedInStop >= 20)
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "a run that is killed at any moment takes no signal along, and leaves no clone",
    arguments: CaptureChoice.allCases)
  func killedAmongSignals(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "signals", ["3"])
    try program.waitReady()
    var sent = 0
    for _ in 0..<25 {
      let tool = try start(["\(program.pid)"] + choice.options)
      let length = UInt32.random(in: 0..<60_000)
      for _ in 0..<length / 300 {
        program.process.send(queuedSignal)
        sent += 1
        usleep(100)
      }
      tool.send(SIGKILL)
      _ = try tool.waitForEnd(by: Deadline(in: TargetProgram.patience))
      #expect(comes(within: .seconds(1)) { status(program.pid, "TracerPid") == "0" })
      #expect(comes(within: .seconds(10)) { childrenOf(program.pid).isEmpty })
      let arrived = try comes(within: .seconds(10)) { try program.ask() == "count 0 \(sent)" }
      #expect(arrived, "\(sent) sent")
    }
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "SIGINT, SIGTERM and SIGHUP end a run with 130 after the target was let go",
    arguments: [SIGINT, SIGTERM, SIGHUP])
  func interrupted(signal: Int32) throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    let tool = try start(
      ["chunks", "\(program.pid)", "--format", "csv"] + CaptureChoice.stop.options)
    inFrontOfTheTool {
      #expect(comes { isStopped(program, by: tool) })
      tool.send(signal)
    }
    #expect(try tool.waitForEnd(by: Deadline(in: TargetProgram.patience)) == .exit(130))
    #expect(tool.standardError == "malloscope: interrupted; the target runs on\n")
    try expectFree(program, within: .seconds(1))
  }

  @Test(
    "a run is interrupted at once between two stops, and while it only reads",
    arguments: [
      // A hundred times as long running as stopped: some seconds in all.
      ["--capture", "slices", "--max-pause", "1", "--max-stopped", "1"],
      ["--capture", "live"], ["--capture", "fork"],
    ])
  func interruptedElsewhere(options: [String]) throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    // A run without stops may have ended before the signal: then it comes earlier.
    let isInterrupted = try [60_000, 30_000, 15_000].contains { (delay: UInt32) in
      let hasStops = options.contains("slices")
      // Without stops, something that takes longer.
      let verb = hasStops ? ["histogram"] : ["types", "--owner"]
      let tool = try start(verb + ["\(program.pid)"] + options)
      if hasStops {
        inFrontOfTheTool { #expect(comes { isStopped(program, by: tool) }) }
      }
      usleep(delay)
      let sent = ContinuousClock.now
      tool.send(SIGINT)
      let end = try tool.waitForEnd(by: Deadline(in: TargetProgram.patience))
      #expect(ContinuousClock.now - sent < .seconds(5))
      try expectFree(program, within: .seconds(1))
      #expect(comes { childrenOf(program.pid).isEmpty })
      if end == .exit(0), !hasStops { return false }
      #expect(end == .exit(130))
      #expect(tool.standardError == "malloscope: interrupted; the target runs on\n")
      return true
    }
    #expect(isInterrupted)
  }

  @Test(
    "a trap inside the tool during a stop, on a terminal, releases the target within a second",
    arguments: [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGQUIT])
  func trapOnATerminal(signal: Int32) throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(),
      ["chunks", "\(program.pid)", "--limit", "5"]
        + CaptureChoice.stop.options)
    launch.input = .terminal
    launch.output = .terminal
    launch.error = .terminal
    // As eager as the Swift runtime's crash reporter can be told to be: it would wait for a key.
    launch.environment["SWIFT_BACKTRACE"] = "enable=yes,interactive=yes,timeout=30s"
    launch.environment["TERM"] = "xterm"
    let tool = try ChildProcess(launch)
    inFrontOfTheTool {
      #expect(comes { isStopped(program, by: tool) })
      tool.send(signal)
    }
    try expectFree(program, within: .seconds(1))
    #expect(try tool.waitForEnd(by: Deadline(in: TargetProgram.patience)) == .signal(signal))
  }

  @Test(
    "a target that job control has stopped stays stopped and can be continued",
    arguments: CaptureChoice.allCases)
  func groupStopped(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "threads")
    let oracle = try program.waitForOracle()
    program.process.send(SIGSTOP)
    #expect(comes { status(program.pid, "State") == "T" })
    for _ in 0..<(choice == .auto ? 5 : 2) {
      if choice == .fork {
        // A clone of it could not be told from one that others have stopped.
        let run = try ToolRun(["\(program.pid)"] + choice.options)
        #expect(run.exitCode == 69)
        #expect(run.error.contains("job control"), "\(run.error)")
      } else {
        let document = try reportedHeap(program.pid, choice)
        #expect(document.findings.map(\.detail) == [])
        // The main thread's, the ended and the running threads' vectors, and what is listed.
        #expect(document.totals.inUseChunks == UInt64(oracle.live.count) + 5)
      }
      #expect(comes(within: .seconds(1)) { status(program.pid, "State") == "T" })
      #expect(status(program.pid, "TracerPid") == "0")
    }
    program.process.send(SIGCONT)
    #expect(try program.ask() == "here")
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "threads that sleep in system calls are not woken, but for those that signal(7) excepts",
    arguments: CaptureChoice.allCases)
  func sleepersSleepOn(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "sleepers", ["20"])
    try program.waitReady()
    for _ in 0..<10 { _ = try reportedHeap(program.pid, choice) }
    let answer = try program.ask()
    if choice.stops {
      // epoll_wait comes back from any stop; a program must expect that.
      #expect(answer.hasPrefix("interrupted futex=0 nanosleep=0 poll=0 epoll="))
      #expect(answer.hasSuffix(" read=0"))
    } else {
      #expect(answer == "interrupted futex=0 nanosleep=0 poll=0 epoll=0 read=0")
    }
  }

  @Test(
    "threads that come and go during a run do not disturb it", arguments: CaptureChoice.allCases)
  func spawner(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "spawner", ["3"])
    try program.waitReady()
    for _ in 0..<(choice == .auto ? 20 : 8) {
      let run = try ToolRun(["\(program.pid)", "--json"] + choice.options)
      // Threads that keep appearing are a reason not to clone.
      if choice == .fork, run.exitCode == 69 { continue }
      #expect(run.exitCode == 0 || run.exitCode == 2, "\(run.error)")
      let document = try HeapDocument(run.output)
      let damage = document.findings.filter { !["in_transit", "moved"].contains($0.kind) }
      #expect(damage.map(\.detail) == [])
    }
    #expect(try program.ask().hasPrefix("spawned "))
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "a target that becomes another program again and again is shown as one of them, or not at all",
    arguments: CaptureChoice.allCases)
  func restless(choice: CaptureChoice) throws {
    let program = try TargetProgram(
      ChildProcess.Launch(
        CompiledProgram.path("Restless.c", flags: ["-w"]), ["2000"]))
    try program.waitReady()
    var codes: [Int32: Int] = [:]
    for _ in 0..<25 {
      let run = try ToolRun(
        ["\(program.pid)", "--json"] + choice.options, within: .seconds(20))
      let code = try #require(run.exitCode, "\(run.ending)")
      codes[code, default: 0] += 1
      guard code == 0 || code == 2 else {
        #expect(code == 66 || code == 69, "\(code): \(run.error)")
        #expect(run.output == "" && run.error.hasPrefix("malloscope: "))
        continue
      }
      let document = try HeapDocument(run.output)
      // It never has more than these, its standard streams' buffers and what its start leaves.
      #expect(document.totals.inUseChunks <= 2010, "\(document.totals)")
      if code == 0 { #expect(document.coverage == 1) }
      #expect(status(program.pid, "TracerPid") == "0")
    }
    #expect(codes[0, default: 0] > 3, "\(codes)")
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

  /// Runs `body` before all that the tool does: in a stop that takes precedence over everything else,
  /// and may have threads on all processors.
  private func inFrontOfTheTool(_ body: () -> Void) {
    var urgent = sched_param(sched_priority: 2)
    var ordinary = sched_param(sched_priority: 0)
    // SCHED_RESET_ON_FORK, which the Glibc module does not show: not for our children.
    let resetOnFork: Int32 = 0x4000_0000
    // Who may not, the tool may not either.
    _ = sched_setscheduler(0, SCHED_FIFO | resetOnFork, &urgent)
    body()
    _ = sched_setscheduler(0, SCHED_OTHER, &ordinary)
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
