// What all verbs that capture have in common: a capture, a report, an exit code.

import ArgumentParser
import GlibcHeap
import HeapModel
import LinuxTarget
import Reports

extension ToolFacts {
  /// This program.
  static let malloscope = ToolFacts(name: "malloscope", version: Version.number)
}

/// Captures the process that `source` names and writes it by `render`.
///
/// The output is opened before the target is touched. A result with gaps ends the run with exit code
/// 2, after it was written.
///
/// - Throws: a failure, or the exit code for an incomplete result.
func captureAndWrite(
  _ source: SourceOptions, _ show: ShowOptions, _ request: CaptureRequest,
  render: (HeapReport, inout Output) throws(Failure) -> Void
) throws {
  let process = try source.process()
  var output = try Output(path: show.output, force: show.force)
  let report: HeapReport
  do throws(Failure) {
    report = try capture(process, request)
  } catch {
    output.discard()
    throw error
  }
  if !show.quiet, let guest = GuestHost(process) {
    StandardError.write("note: \(guest.observation); \(guest.hint)")
  }
  try render(report, &output)
  try output.close()
  try conclude(report, show)
}

/// Says on standard error what a format without findings cannot say, and ends an incomplete run.
///
/// - Throws: the exit code 2.
func conclude(_ report: HeapReport, _ show: ShowOptions) throws {
  let snapshot = report.snapshot
  let failed = snapshot.checks.filter { !$0.holds }.count
  guard snapshot.isIncomplete || failed > 0 else { return }
  if !show.quiet, show.chosenFormat == .csv || show.output != nil {
    StandardError.write(
      "note: the result is incomplete: \(snapshot.findings.count) findings, \(failed) checks of "
        + "glibc's totals do not hold")
  }
  throw ExitCode(Failure.Code.incomplete.rawValue)
}
