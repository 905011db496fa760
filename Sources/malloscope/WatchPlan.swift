// What a watch is to do, and how every watch ends.

import ArgumentParser
import CPtrace
import Glibc
import HeapAnalysis
import HeapModel
import LinuxTarget
import Reports

/// A watch as the user ordered it.
struct WatchPlan {
  var watched: WatchedProcess
  /// Which rows are shown, and in what order.
  var growth: GrowthOptions
  /// The filter as it was typed.
  var filterText: String
  /// The seconds between samples.
  var interval: Double
  /// How many samples, nil for no end.
  var count: Int?
  /// The share of the time that the target may be stopped.
  var mostStopped: Double
  /// How many bytes a second in use may grow.
  var growthLimit: Double?
  /// Whether chunks' contents may be shown.
  var showsContents: Bool
  var show: ShowOptions

  /// How often samples are taken.
  ///
  /// A fifth of the target's share is left for what it sees of a stop beyond what we see (an eighth,
  /// measured: its threads come back one by one).
  var pace: SamplePace {
    SamplePace(
      interval: interval, mostStopped: mostStopped, mostUsed: watched.request.processorShare,
      plannedPart: 0.8, paysAhead: true)
  }

  /// Watches until the end.
  ///
  /// - Throws: a failure, or the exit code.
  func run() throws {
    let event = cpt_make_event()
    guard event >= 0 else {
      throw Failure(code: .inputOutput, fact: "cannot make an event (errno \(-event))")
    }
    _ = cpt_watch_signals(event)
    let isScreen =
      show.usualFormat == .text && show.output == nil && isatty(0) == 1 && isatty(1) == 1
      && Environment.value("TERM") != "dumb"
    var history = GrowthHistory()
    let end: WatchEnd
    if isScreen {
      var screen = ScreenWatch(self, event: event)
      end = try screen.run(&history)
      if case .failed(let failure) = end, history.sampleCount == 0 { throw failure }
      var output = try Output(path: nil, force: false)
      try writeSummary(history, end: end, to: &output)
    } else {
      end = try LineWatch(plan: self, event: event).run(&history)
    }
    try conclude(history, end)
  }

  /// Writes what the watch has shown, in the format asked for.
  func writeSummary(
    _ history: GrowthHistory, end: WatchEnd, to output: inout Output
  ) throws(Failure) {
    guard history.sampleCount > 0 else { return }
    switch show.usualFormat {
    case .text:
      try TextWatch.writeSummary(
        history, end: end.words, growth: growth, options: show.reportOptions(), to: &output)
    case .json:
      try JSONWatch.writeSummary(
        history, end: end.words, gate: gate(history), growth: growth, tool: .malloscope,
        to: &output)
    case .csv:
      guard !show.quiet else { return }
      for sentence in GrowthWords.sentences(
        GrowthSummary(history), of: history.latest?.target)
      {
        StandardError.write("note: \(sentence)")
      }
    }
  }

  private func gate(_ history: GrowthHistory) -> GateResult? {
    growthLimit.map { GateResult(limit: $0, trend: history.trend(.inUse)) }
  }

  /// Ends the run: by what stopped it, by the gate, or by gaps in what was seen.
  ///
  /// - Throws: a failure or an exit code, unless all is well.
  private func conclude(_ history: GrowthHistory, _ end: WatchEnd) throws {
    switch end {
    case .interrupted: throw ExitCode(Failure.Code.interrupted.rawValue)
    case .failed(let failure): throw failure
    case .ended, .executed:
      if history.sampleCount == 0 {
        throw Failure(code: .noInput, fact: end.words + " before its first sample was complete")
      }
    case .complete, .quit: break
    }
    // Ctrl-C on the screen of a process that has ended: it does not run on.
    guard cpt_interrupted() == 0 else { throw ExitCode(Failure.Code.interrupted.rawValue) }
    try judge(history, end)
    guard history.incompleteCount == 0 else {
      if !show.quiet, show.usualFormat != .text || show.output != nil {
        StandardError.write(
          "note: \(history.incompleteCount) of \(history.sampleCount) samples were incomplete: see "
            + "their findings")
      }
      throw ExitCode(Failure.Code.incomplete.rawValue)
    }
  }

  private func judge(_ history: GrowthHistory, _ end: WatchEnd) throws {
    guard let gate = gate(history) else { return }
    let limit = "\(Figures.signed(bytes: gate.limit * 60).drop { $0 == "+" })/min"
    switch gate.outcome {
    case .passed: return
    case .failed:
      let speed = history.trend(.inUse).map(GrowthWords.speed) ?? ""
      throw Failure(
        code: .found,
        fact: "bytes in use of process \(watched.process.pid) grew by \(speed), more "
          + "than the \(limit) of --fail-above")
    case .untold:
      throw Failure(
        code: .incomplete,
        fact: "cannot tell whether bytes in use grew faster than \(limit): "
          + "\(history.sampleCount) samples, at least \(Trend.fewestValues) are needed"
          + (history.sampleCount < (count ?? .max) ? " (\(end.words))" : ""))
    }
  }
}
