// One case measured: raw copy and tool in turn, then what is worth knowing beside them.

import Glibc
import TestKit

/// All samples of one case.
struct Measurement {
  /// What was measured.
  let benchmark: BenchmarkCase
  /// How many blocks the target holds.
  let blockCount: UInt64
  /// The raw copy that ran before each run of the tool, in milliseconds.
  private(set) var rawCopies: [Double] = []
  /// The tool's runs.
  private(set) var runs: [ToolFigures] = []
  /// The copy through a small buffer, in milliseconds.
  private(set) var pieces: [Double] = []
  /// The bare walk through copied bytes, in milliseconds.
  private(set) var walks: [Double] = []
  /// The heartbeat's longest gap with nobody attached, in milliseconds.
  private(set) var idleGaps: [Double] = []
  /// The same around a run of the tool.
  private(set) var toolGaps: [Double] = []
  /// The same around gdb, empty if it is not installed.
  private(set) var gdbGaps: [Double] = []

  /// Measures the case.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(_ benchmark: BenchmarkCase, _ options: Options) throws {
    self.benchmark = benchmark
    let target = try BenchmarkTarget(scenario: benchmark.name, withHeartbeat: false)
    blockCount = target.blockCount
    try measureTimes(of: target, runs: options.runs)
    try target.program.close()

    // Another process, since a heartbeat is not idle.
    let beating = try BenchmarkTarget(scenario: benchmark.name, withHeartbeat: true)
    try measureGaps(of: beating, runs: options.runs, gdbRuns: options.gdbRuns)
    try beating.program.close()
  }

  /// How many bytes the tool copies, every time.
  var copiedBytes: UInt64 { runs[0].copiedBytes }

  private mutating func measureTimes(of target: BenchmarkTarget, runs count: Int) throws {
    let copied = try ToolFigures(of: target).copiedBytes
    let server = try target.copyServer(byteCount: copied)
    _ = try server.copy(.raw)
    // In turn, so that what changes on the machine meanwhile changes both.
    for _ in 0..<count {
      rawCopies.append(try server.copy(.raw).0)
      let figures = try ToolFigures(of: target)
      guard figures.copiedBytes == copied else {
        throw MeasuringError.wrong(
          what: "bytes copied", found: Double(figures.copiedBytes), expected: Double(copied))
      }
      runs.append(figures)
    }
    for _ in 0..<count {
      pieces.append(try server.copy(.pieces).0)
      _ = try server.copy(.raw)
      let (milliseconds, chunks) = try server.copy(.walk)
      guard chunks >= Double(target.blockCount) else {
        throw MeasuringError.wrong(
          what: "chunks in the raw copy", found: chunks, expected: Double(target.blockCount))
      }
      walks.append(milliseconds)
    }
    try server.close()
  }

  private mutating func measureGaps(
    of target: BenchmarkTarget, runs count: Int, gdbRuns: Int
  ) throws {
    let runTime = UInt32(Samples(runs.map(\.wholeRun)).median * 1000)
    for _ in 0..<count {
      idleGaps.append(try target.gap { usleep(runTime) })
      toolGaps.append(try target.gap { _ = try ToolFigures(of: target) })
    }
    guard let gdb = try? installedProgram("gdb") else { return }
    for _ in 0..<gdbRuns {
      gdbGaps.append(
        try target.gap {
          // Without what would have it ask a server for debug information.
          let run = try ToolRun(
            executable: gdb, ["-p", "\(target.program.pid)", "-batch", "-nx", "-ex", "detach"],
            environment: ["DEBUGINFOD_URLS": nil])
          guard run.exitCode == 0 else {
            throw MeasuringError.failed(program: "gdb", run.ending, standardError: run.error)
          }
        })
    }
  }
}
