// The tool against programs that never stand still: what moves may be off by a chunk, no more.

import HeapModel
import TestKit
import Testing

@Suite("The tool's count of a heap that is never quiet", .serialized)
struct ChurnReportTests {
  /// What many runs on one program gave.
  private struct Tally {
    /// How often the count was off by so much.
    var differences: [Int: Int] = [:]
    /// How often the tool ended so.
    var codes: [Int32?: Int] = [:]
    /// Runs whose count is off by more than one chunk a thread, with their findings.
    var far: [String] = []
    /// Those of them that are off by more than two a thread.
    var extreme: [String] = []
    /// Runs that break a rule, with what they said.
    var broken: [String] = []
  }

  @Test(
    "in one stop, is within one chunk a thread of the truth but rarely, and hardly ever off by two",
    arguments: [
      (threads: 4, blocks: 80_000, runs: 100), (threads: 1, blocks: 20_000, runs: 40),
      (threads: 8, blocks: 40_000, runs: 20),
    ])
  func countIsNearlyExact(threads: Int, blocks: Int, runs: Int) throws {
    let program = try TargetProgram(scenario: "churn", ["\(threads)", "\(blocks)"])
    let oracle = try program.waitForOracle()
    #expect(oracle.held?.count == UInt64(blocks))
    var tally = Tally()
    for number in 1...runs {
      let run = try ToolRun(["\(program.pid)", "--json", "--capture", "stop"])
      try judge(run, number: number, truth: blocks + threads, threads: threads, &tally)
    }
    let summary =
      "differences \(tally.differences.sorted { $0.key < $1.key }), exit codes \(tally.codes)"
    #expect(tally.broken == [], "\(summary)")
    #expect(tally.far.count <= runs / 10, "\(summary): \(tally.far)")
    #expect(tally.extreme.count <= 2, "\(summary): \(tally.extreme)")
    // It still works, and has lost nothing.
    #expect(try program.ask().hasPrefix("replaced "))
    program.process.closeInput()
    let rest = try program.process.readToEnd(by: Deadline(in: TargetProgram.patience))
    #expect(rest.hasPrefix("held \(blocks) "))
    #expect(try program.close() == .exit(0))
  }

  /// The truth: the blocks, and one vector of thread-local storage for each thread.
  private func judge(
    _ run: ToolRun, number: Int, truth: Int, threads: Int, _ tally: inout Tally
  ) throws {
    tally.codes[run.exitCode, default: 0] += 1
    guard run.exitCode == 0 || run.exitCode == 2 else {
      tally.broken.append("run \(number) ended with \(run.ending): \(run.error)")
      return
    }
    let document = try HeapDocument(run.output)
    let difference = Int(document.totals.inUseChunks) - truth
    tally.differences[difference, default: 0] += 1
    // While it fills its cache, a thread has taken two chunks out of the bins and put away neither.
    let report = "run \(number) is off by \(difference): \(document.findings.map(\.detail))"
    // The program itself holds one block more for a moment.
    if abs(difference) > threads, document.findings.isEmpty {
      tally.broken.append("run \(number) is off by \(difference) and names nothing")
    }
    if abs(difference) > threads { tally.far.append(report) }
    // A whole fastbin is in a thread's hands while it is taken apart, about once in 600 runs. Then the
    // arena is locked, or the only thread is inside malloc, and that is said.
    if abs(difference) > 2 * threads {
      let isTold = document.findings.contains { $0.kind == "in_transit" }
      if difference < 0 || difference > 500 || !isTold { tally.broken.append(report) }
      tally.extreme.append(report)
    }
    // Movement is not damage.
    let damage = document.findings.filter { $0.kind != "in_transit" }
    if !damage.isEmpty {
      tally.broken.append("run \(number) reports \(damage.map(\.kind)): \(damage[0].detail)")
    }
    if document.coverage < 0.999 {
      tally.broken.append("run \(number) covers \(document.coverage)")
    }
  }

  @Test(
    "in other ways, is within 0.1 % of the truth but sometimes, says what moved, and never far off",
    arguments: [
      (mode: "auto", runs: 20, worst: 800), (mode: "slices", runs: 20, worst: 800),
      (mode: "live", runs: 20, worst: 2400), (mode: "fork", runs: 10, worst: 40),
    ])
  func countOfMovement(mode: String, runs: Int, worst: Int) throws {
    let program = try TargetProgram(scenario: "churn", ["4", "80000"])
    try program.waitReady()
    var differences: [Int] = []
    for _ in 0..<runs {
      let run = try ToolRun(["\(program.pid)", "--json", "--capture", mode])
      #expect(run.exitCode == 0, "\(run.error)")
      let document = try HeapDocument(run.output)
      #expect(document.capture.mode == (mode == "auto" ? document.capture.mode : mode))
      #expect(document.coverage > 0.999)
      let difference = abs(Int(document.totals.inUseChunks) - 80_004)
      differences.append(difference)
      #expect(difference <= worst)
      #expect(difference <= 80 || !document.findings.isEmpty)
    }
    // This is a debug build, whose slices are many; the benchmark has the figures of a release build. The
    // medians of live are 700 to 810 (measured, of this build and an earlier one in turns).
    let isNear = differences.sorted()[runs / 2] <= (mode == "live" ? 1200 : 160)
    #expect(isNear, "\(mode): \(differences.sorted())")
    #expect(try program.ask().hasPrefix("replaced "))
    #expect(try program.close() == .exit(0))
  }

  @Test("movement alone does not make a result incomplete", arguments: CaptureChoice.allCases)
  func movement(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "churn", ["4", "8000", "5000"])
    try program.waitReady()
    for _ in 0..<(choice == .stop ? 40 : 15) {
      let run = try ToolRun(["\(program.pid)", "--json"] + choice.options)
      #expect(run.exitCode == 0, "\(run.error)")
      let damage = try HeapDocument(run.output).findings.filter {
        !["in_transit", "moved"].contains($0.kind)
      }
      #expect(damage.map(\.detail) == [])
    }
  }
}
