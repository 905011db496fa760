// One run of the tool, measured from outside and by what it says of itself.

import CPtrace
import TestKit

/// What one run of the tool took.
struct ToolFigures {
  /// How it says to have captured the heap: the mode, and the consistency.
  let capture: String
  /// What it found wrong, from the first finding on, if it says that its result has gaps.
  let gaps: Substring?
  /// How many bytes it says to have copied.
  let copiedBytes: UInt64
  private var values: [Figure: Double]

  /// A figure, nil where this tool does not say or this target cannot be judged.
  subscript(figure: Figure) -> Double? { values[figure] }

  /// Runs `malloscope PID --json` with more arguments on a target, between two questions to the
  /// target's heartbeat.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(of target: BenchmarkTarget, _ arguments: [String]) throws {
    var run: Run?
    let gap = try target.gap { run = try Run(["\(target.program.pid)", "--json"] + arguments) }
    guard let run else { preconditionFailure("the body of a gap always runs") }
    let json = run.document
    gaps = run.isComplete ? nil : try text(after: "findings", in: json).prefix(200)
    values = [
      .gap: gap, .wholeRun: run.milliseconds, .peakMemory: mebibytes(run.peakBytes),
      .longestStop: try number("longest_stop_ms", in: json),
      .totalStop: try number("total_stop_ms", in: json), .stops: try number("stops", in: json),
    ]
    copiedBytes = UInt64(try number("copied_bytes", in: json))
    values[.copied] = mebibytes(copiedBytes)
    values[.resynchronisations] = try? number("resynchronisations", in: json)
    values[.retries] = try? number("retries", in: json)
    let mode = try word("mode", in: json)
    capture = "\(mode), \(try word("consistency", in: json))"
    guard target.held != nil else { return }
    // The first figures of these names are the totals.
    let count = try number("in_use_chunks", in: json)
    let bytes = try number("in_use_bytes", in: json)
    values[.blocksOff] = target.truthfulCount.distance(to: count)
    values[.bytesOff] = target.truthfulBytes.distance(to: bytes)
  }
}

/// One run of a verb that says how long the target was stopped, in text.
struct TypesRun {
  /// From the tool's start to its end, and the longest stop, in milliseconds.
  let whole: Double
  let stop: Double
  /// The most memory that it had, in MiB.
  let peak: Double

  /// Runs the tool.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(_ arguments: [String]) throws {
    let run = try Run(arguments)
    whole = run.milliseconds
    peak = mebibytes(run.peakBytes)
    guard let place = run.document.firstRange(of: "\nstopped "),
      let stop = Double(
        run.document[place.upperBound...].drop { $0 == " " }.prefix { $0.isNumber || $0 == "." })
    else { throw MeasuringError.noFigure(key: "stopped", document: run.document) }
    self.stop = stop
  }
}

/// One run as the benchmark sees it.
private struct Run {
  let milliseconds: Double
  let document: String
  let peakBytes: UInt64
  let isComplete: Bool

  /// The tool's exit code for a result with gaps.
  private static let incomplete = Ending.exit(2)

  init(_ arguments: [String]) throws {
    var launch = ChildProcess.Launch(try BuildProduct.malloscope.path(), arguments)
    launch.input = .file("/dev/null")
    let deadline = Deadline(in: TargetProgram.patience)
    let start = cpt_now()
    let process = try ChildProcess(launch)
    document = try process.readToEnd(by: deadline)
    let ending = try process.waitForEnd(by: deadline, lookingEvery: 20)
    milliseconds = Double(cpt_now() - start) / 1_000_000
    isComplete = ending == .exit(0)
    guard isComplete || ending == Self.incomplete, let peak = process.peakResidentBytes else {
      throw MeasuringError.failed(
        program: "malloscope", ending, standardError: process.standardError)
    }
    peakBytes = peak
  }
}

extension ClosedRange<Double> {
  /// How far `value` lies outside.
  fileprivate func distance(to value: Double) -> Double {
    Swift.max(lowerBound - value, value - upperBound, 0)
  }
}

/// The first number that `document`, which is JSON, has for `key`.
///
/// - Throws: `MeasuringError.noFigure`.
private func number(_ key: String, in document: String) throws(MeasuringError) -> Double {
  guard let value = Double(try text(after: key, in: document).prefix { $0.isNumber || $0 == "." })
  else { throw .noFigure(key: key, document: String(document.prefix(2000))) }
  return value
}

/// The first string that it has for `key`.
///
/// - Throws: `MeasuringError.noFigure`.
private func word(_ key: String, in document: String) throws(MeasuringError) -> Substring {
  try text(after: key, in: document).dropFirst().prefix { $0 != "\"" }
}

private func text(after key: String, in document: String) throws(MeasuringError) -> Substring {
  guard let name = document.firstRange(of: "\"\(key)\":") else {
    throw .noFigure(key: key, document: String(document.prefix(2000)))
  }
  return document[name.upperBound...]
}
