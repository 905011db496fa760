// One run of the tool, measured from outside and by what it says of itself.

import CPtrace
import TestKit

/// What one run of the tool took.
struct ToolFigures {
  /// From before posix_spawn to after its end, in milliseconds.
  let wholeRun: Double
  /// For how long it says that the target was stopped, in milliseconds.
  let stop: Double
  /// How many bytes it says to have copied.
  let copiedBytes: UInt64
  /// The most that it had resident, in bytes.
  let peakBytes: UInt64

  /// Runs `malloscope PID --json` on a target and checks that it saw the target's blocks.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(of target: BenchmarkTarget) throws {
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(), ["\(target.program.pid)", "--json"])
    launch.input = .file("/dev/null")
    let deadline = Deadline(in: TargetProgram.patience)
    let start = cpt_now()
    let process = try ChildProcess(launch)
    let document = try process.readToEnd(by: deadline)
    let ending = try process.waitForEnd(by: deadline, lookingEvery: 20)
    wholeRun = Double(cpt_now() - start) / 1_000_000
    guard ending == .exit(0), let peak = process.peakResidentBytes else {
      throw MeasuringError.failed(
        program: "malloscope", ending, standardError: process.standardError)
    }
    peakBytes = peak
    stop = try number("longest_stop_ms", in: document)
    copiedBytes = UInt64(try number("copied_bytes", in: document))
    // The first figure of that name is the total.
    let seen = try number("in_use_chunks", in: document)
    // libc itself may hold a block or two.
    guard seen >= Double(target.blockCount), seen <= Double(target.blockCount) + 16 else {
      throw MeasuringError.wrong(
        what: "chunks in use", found: seen, expected: Double(target.blockCount))
    }
  }
}

/// The first number that `document`, which is JSON, has for `key`.
///
/// - Throws: `MeasuringError.noFigure`.
private func number(_ key: String, in document: String) throws(MeasuringError) -> Double {
  guard let name = document.firstRange(of: "\"\(key)\":"),
    let value = Double(document[name.upperBound...].prefix { $0.isNumber || $0 == "." })
  else { throw .noFigure(key: key, document: String(document.prefix(2000))) }
  return value
}
