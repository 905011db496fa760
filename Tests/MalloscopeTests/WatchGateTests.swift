// The gate of a watch, for tests under load: which programs pass it and which do not.

import Glibc
import TestKit
import Testing

@Suite("The gate of a watch", .serialized)
struct WatchGateTests {
  private func gate(
    _ pid: Int32, _ words: [String] = ["0.2", "8"], limit: String = "1MiB/min"
  ) throws -> ToolRun {
    try ToolRun(["watch", "\(pid)"] + words + unstretched + ["--fail-above", limit, "--json"])
  }

  /// On a busy machine a heap that changes at full speed is not always seen whole.
  private func expectPassed(_ run: ToolRun, mayBeIncomplete: Bool = false) throws {
    let summary = try WatchedRun(run.output).summary
    let isWhole = !mayBeIncomplete || summary.incompleteSamples == 0
    #expect(run.ending == .exit(isWhole ? 0 : 2), "\(run.error)")
    #expect(run.error == "")
    #expect(summary.gate?.outcome == "passed")
    #expect(summary.gate?.limitBytesPerMinute == 1_048_576)
  }

  private func expectFailed(_ run: ToolRun, _ pid: Int32) throws {
    #expect(run.ending == .exit(1), "\(run.error)")
    let reason = try Regex(
      "^malloscope: bytes in use of process \(pid) grew by \\S+/min \\(\\S+ to \\S+\\), more than "
        + "the 1\\.0M/min of --fail-above\n$")
    #expect(run.error.firstMatch(of: reason) != nil, "\(run.error)")
    let summary = try WatchedRun(run.output).summary
    #expect(summary.gate?.outcome == "failed" && summary.inUse?.grows == true)
    #expect(summary.kinds.first == "in_use", "\(summary.kinds)")
  }

  @Test("a server that leaks under load fails")
  func leak() throws {
    let server = try LeakingProgram(.leak)
    let load = try LeakingProgram(.load(port: try #require(server.port), perSecond: 2000))
    #expect(try comes { try server.ask()["requests", default: 0] > 100 })
    try expectFailed(try gate(server.pid), server.pid)
    // As fast as it may, it passes.
    #expect(try gate(server.pid, limit: "100MiB/min").ending == .exit(0))
    #expect(try load.close() == .exit(0))
    // And so it does without load.
    try expectPassed(try gate(server.pid, ["0.1", "5"]))
    #expect(try server.close() == .exit(0))
  }

  @Test("an extension of Python that forgets to free fails")
  func leakingExtension() throws {
    let program = try LeakingProgram(.leakingExtension(milliseconds: 10))
    try expectFailed(try gate(program.pid), program.pid)
  }

  @Test("a process that does nothing passes, at any speed")
  func idle() throws {
    let program = try LeakingProgram(.idle)
    try expectPassed(try gate(program.pid, ["0.1", "5"]))
    #expect(try gate(program.pid, ["0.1", "5"], limit: "0/min").ending == .exit(0))
  }

  @Test("a server that frees all that it allocates passes under load")
  func steady() throws {
    let server = try LeakingProgram(.steady)
    let load = try LeakingProgram(.load(port: try #require(server.port), perSecond: 2000))
    #expect(try comes { try server.ask()["requests", default: 0] > 100 })
    try expectPassed(try gate(server.pid))
    #expect(try load.close() == .exit(0))
  }

  @Test("a process whose heap changes at full speed passes")
  func churn() throws {
    let program = try LeakingProgram(.churn)
    // By chance alone it would seem to grow in every third run.
    for _ in 0..<3 {
      try expectPassed(try gate(program.pid, ["0.1", "6"]), mayBeIncomplete: true)
    }
  }

  @Test("a server that only fragments passes under load")
  func fragment() throws {
    let server = try LeakingProgram(.fragment)
    let load = try LeakingProgram(.load(port: try #require(server.port), perSecond: 3000))
    #expect(try comes { try server.ask()["requests", default: 0] > 100 })
    try expectPassed(try gate(server.pid))
    #expect(try load.close() == .exit(0))
  }

  @Test("what too few samples cannot tell is neither passed nor failed")
  func untold() throws {
    let program = try LeakingProgram(.idle)
    let run = try gate(program.pid, ["0.1", "2"])
    #expect(run.ending == .exit(2))
    #expect(
      run.error
        == "malloscope: cannot tell whether bytes in use grew faster than 1.0M/min: 2 samples, at "
        + "least 4 are needed\n")
    let summary = try WatchedRun(run.output).summary
    #expect(summary.gate?.outcome == "untold" && summary.inUse == nil)
    #expect(
      summary.words == [
        "Too few samples to tell growth from fluctuation: 2, of 4 that it takes."
      ])
  }

  @Test("a target that ends too early is told as the reason")
  func endsEarly() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let watch = try RunningWatch(
      program.pid, ["0.1", "1000", "--fail-above", "1MiB/min"])
    _ = try watch.line()
    program.process.send(SIGKILL)
    _ = try program.process.waitForEnd(by: Deadline(in: TargetProgram.patience))
    let summary = try watch.summary(code: 2)
    #expect(summary.end == "process \(program.pid) ended")
    #expect(summary.samples < 4)
    #expect(
      watch.process.standardError.hasSuffix(
        "at least 4 are needed (process \(program.pid) ended)\n"))
  }

  @Test("an interrupted watch is judged by nobody")
  func interrupted() throws {
    let program = try LeakingProgram(.leakingExtension(milliseconds: 5))
    let watch = try RunningWatch(
      program.pid, ["0.1", "1000", "--fail-above", "1MiB/min"])
    for _ in 0..<6 { _ = try watch.line() }
    watch.process.send(SIGINT)
    let summary = try watch.summary(code: 130)
    #expect(summary.end == "interrupted")
  }
}
