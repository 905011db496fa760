// One case measured: the tool in each mode in turn with the raw copy, and what else costs what.

import Glibc
import TestKit

/// All samples of one case.
struct CaseMeasurement {
  /// What was measured.
  let benchmark: BenchmarkCase
  /// What the target holds.
  let held: MallocInfo.Amount
  /// The bytes of the chunks that that is in.
  let heldChunkBytes: UInt64
  /// How the target's heartbeat runs.
  let heartbeatIsRealTime: Bool
  /// The tool, one for each mode.
  private(set) var modes: [ModeMeasurement] = []
  /// What everything is compared with.
  let references: ReferenceMeasurement
  /// What others cost.
  let debuggers: DebuggerMeasurement

  /// Measures the case.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(_ benchmark: BenchmarkCase, _ options: Options) throws {
    self.benchmark = benchmark
    let target = try BenchmarkTarget(
      benchmark.scenario, blocksInFlight: benchmark.blocksInFlight)
    guard let held = target.held else {
      throw TestKitError.malformed(
        what: "a scenario that does not say what it holds", text: benchmark.name)
    }
    self.held = held
    heldChunkBytes = target.heldChunkBytes
    heartbeatIsRealTime = target.heartbeatIsRealTime

    let first = try ToolFigures(of: target, [])
    // Some modes copy a little more than others.
    let server = try target.copyServer(byteCount: first.copiedBytes / 4 * 5)
    for mode in benchmark.modes {
      modes.append(
        try ModeMeasurement(mode, of: target, comparedWith: server, runs: options.runs))
    }
    references = try ReferenceMeasurement(
      of: target, copying: first.copiedBytes, by: server, runs: options.runs)
    try server.close()
    debuggers = try DebuggerMeasurement(of: target, options)
    try target.program.close()
  }
}

/// The samples of one mode.
struct ModeMeasurement {
  /// The mode.
  let mode: BenchmarkCase.Mode
  /// Why the tool would not capture in this mode; nothing else was measured then.
  private(set) var refusal: String?
  /// The tool's runs.
  private(set) var runs: [ToolFigures] = []
  /// The raw copy of as many bytes that followed each of them, in milliseconds.
  private(set) var rawCopies: [Double] = []
  /// The bare clone that followed each, where it is a bar.
  private(set) var bareClones: [Double] = []

  /// Measures the mode, after a run that does not count.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(
    _ mode: BenchmarkCase.Mode, of target: BenchmarkTarget, comparedWith server: TargetProgram,
    runs count: Int
  ) throws {
    self.mode = mode
    do {
      _ = try ToolFigures(of: target, mode.arguments)
    } catch MeasuringError.failed(_, let ending, let standardError) {
      refusal = "\(ending): \(standardError.prefix { $0 != "\n" })"
      return
    }
    // In turn, so that what changes on the machine meanwhile changes both.
    for _ in 0..<count {
      let figures = try ToolFigures(of: target, mode.arguments)
      runs.append(figures)
      rawCopies.append(try server.copy(.raw, figures.copiedBytes))
      if mode.bars.contains(where: \.isAgainstClone) { bareClones.append(try target.bareClone()) }
    }
  }
}

/// The samples of what is no tool at all, in milliseconds.
struct ReferenceMeasurement {
  /// How many bytes were copied.
  let byteCount: UInt64
  /// The raw copy.
  private(set) var rawCopies: [Double] = []
  /// The copy through a small buffer.
  private(set) var pieces: [Double] = []
  /// The heartbeat's longest gap with nothing going on, for as long as the raw copy takes.
  private(set) var idleGaps: [Double] = []
  /// The same beside the raw copy, which stops nobody.
  private(set) var copyGaps: [Double] = []

  /// Measures them.
  ///
  /// - Throws: `TestKitError`.
  init(
    of target: BenchmarkTarget, copying byteCount: UInt64, by server: TargetProgram, runs: Int
  ) throws {
    self.byteCount = byteCount
    for _ in 0..<runs {
      var milliseconds = 0.0
      let copyGap = try target.gap { milliseconds = try server.copy(.raw, byteCount) }
      rawCopies.append(milliseconds)
      copyGaps.append(copyGap)
      pieces.append(try server.copy(.pieces, byteCount))
      idleGaps.append(try target.gap { usleep(UInt32(milliseconds * 1000)) })
    }
  }
}
