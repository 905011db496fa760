// A watch without a terminal: a block, an object or a row for each sample.

import CPtrace
import Glibc
import HeapAnalysis
import HeapModel
import Reports

/// Samples and writes in turn.
struct LineWatch {
  /// How often in a row a capture may fail for a reason that may pass.
  private static let patience = 10

  let plan: WatchPlan
  /// The event that signals raise.
  let event: Int32

  /// Watches until the end, and writes everything.
  ///
  /// - Throws: a failure of the output, or of the very first capture.
  func run(_ history: inout GrowthHistory) throws -> WatchEnd {
    var output = try Output(path: plan.show.output, force: plan.show.force)
    var pace = plan.pace
    var watched = plan.watched
    var failures = 0
    var end: WatchEnd?
    repeat {
      let begun = WatchClock.now
      do throws(WatchEnd) {
        let sample = try watched.sample()
        watched.request.isQuiet = true
        failures = 0
        history.add(sample.report, sample.memory, at: sample.time)
        pace.note(
          begun: sample.time, stopped: sample.report.capture.totalStop, used: sample.used)
        try writeSample(history, to: &output)
        if let count = plan.count, history.sampleCount >= count { end = .complete }
      } catch {
        if case .failed(let failure) = error {
          guard history.sampleCount > 0 else {
            output.discard()
            throw failure
          }
          failures += 1
          if failure.isTransient, failures < Self.patience {
            note("a sample failed: \(failure.fact)")
            pace.noteFailure(begun: begun)
            continue
          }
        }
        end = error
      }
      if end == nil { end = wait(until: pace.due) }
    } while end == nil
    let reached = end ?? .quit
    try plan.writeSummary(history, end: reached, to: &output)
    try output.close()
    return reached
  }

  private func writeSample(
    _ history: GrowthHistory, to output: inout Output
  ) throws(WatchEnd) {
    do throws(Failure) {
      switch plan.show.usualFormat {
      case .text:
        let options = plan.show.reportOptions()
        if history.sampleCount == 1, let report = history.latest {
          try TextWatch.writeTarget(report, options: options, to: &output)
        }
        try TextWatch.writeSample(
          history, clock: WatchClock.timeOfDay(), growth: plan.growth, options: options,
          to: &output)
      case .json:
        try JSONWatch.writeSample(
          history, growth: plan.growth, tool: .malloscope, to: &output)
      case .csv:
        if history.sampleCount == 1 { try CSVWatch.writeHeader(to: &output) }
        try CSVWatch.writeSample(history, to: &output)
      }
    } catch {
      throw .failed(error)
    }
  }

  private func note(_ line: String) {
    if !plan.show.quiet { StandardError.write("note: \(line)") }
  }

  /// Waits for a moment; returns why there is to be no other sample, if so.
  private func wait(until due: Double) -> WatchEnd? {
    while true {
      let signals = cpt_take_signals()
      if cpt_interrupted() != 0 { return .interrupted }
      // Only here, where the target runs.
      if signals & UInt32(cpt_signal_suspend) != 0 { _ = cpt_stop_ourselves() }
      let left = due - WatchClock.now
      if left <= 0 { return nil }
      // A reader that has gone is noticed at once, not at the next sample.
      let isFile = plan.show.output != nil
      var entries = [
        cpt_poll_entry(fd: event, wants_readable: 1, readable: 0, hung_up: 0),
        cpt_poll_entry(fd: isFile ? -1 : 1, wants_readable: 0, readable: 0, hung_up: 0),
      ]
      _ = cpt_poll(&entries, Int32(entries.count), Int64(min(left, 3600) * 1e9))
      if entries[0].readable != 0 { cpt_wait_event(event) }
      if entries[1].hung_up != 0 {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
      }
    }
  }
}
