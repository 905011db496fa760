// A watch on a terminal: keys, samples and frames.

import CPtrace
import HeapAnalysis
import HeapModel
import LinuxTarget
import Reports
import TerminalUI
import WatchScreen

/// The loop behind the screen.
struct ScreenWatch {
  private let plan: WatchPlan
  private let event: Int32
  private let thread: SampleThread
  private var state: WatchState
  private var pace: SamplePace
  private var watched: WatchedProcess
  private var isBusy = false
  /// Whether a sample is to be taken although it pauses.
  private var wantsSample = false
  /// The row whose chunks are to be fetched next.
  private var wantedChunks: GrowthKey?
  private var end: WatchEnd?
  /// Whether the screen stays until the user leaves it.
  private var isOver = false

  init(_ plan: WatchPlan, event: Int32) {
    self.plan = plan
    self.event = event
    thread = SampleThread(event: event)
    watched = plan.watched
    watched.request.isQuiet = true
    pace = plan.pace
    let options = plan.show.reportOptions()
    state = WatchState(
      pid: plan.watched.process.pid, growth: plan.growth, interval: plan.interval,
      mostStopped: plan.mostStopped, style: options.style)
    state.filterText = plan.filterText
    state.showsContents = plan.showsContents
    state.showsExactBytes = options.showsExactBytes
  }

  /// Draws until the end; the terminal is given back in any case.
  ///
  /// - Throws: a failure if there is no terminal to be had.
  mutating func run(_ history: inout GrowthHistory) throws(Failure) -> WatchEnd {
    var screen = try TerminalScreen(usesColor: state.style.usesColor)
    (state.columns, state.rows) = screen.size
    while !isOver {
      startCapture(history)
      screen.show(WatchView.render(history, state, now: WatchClock.now))
      let keys = screen.keys(event: event, until: deadline)
      for key in keys { handle(key, &history, &screen) }
      takeSignals(&history, &screen)
      if let outcome = thread.take() {
        isBusy = false
        take(outcome, &history)
      }
      if screen.isGone { finish(.quit) }
    }
    _ = abandonCapture()
    return end ?? .quit
  }

  /// When something has to be drawn or done, whatever the user does.
  private var deadline: Double {
    let second = WatchClock.now + 1
    guard end == nil else { return .infinity }
    if isBusy { return second }
    if wantedChunks != nil { return min(second, pace.earliest) }
    return isSampling ? min(second, pace.due) : second
  }

  private var isSampling: Bool { wantsSample || !state.isPaused }

  private mutating func finish(_ reason: WatchEnd) {
    if end == nil { end = reason }
    isOver = true
  }

  // MARK: Captures

  /// Starts the capture that is due, if one is.
  private mutating func startCapture(_ history: GrowthHistory) {
    guard !isBusy, end == nil else { return }
    if let key = wantedChunks {
      // They wait for the target's share like samples do.
      guard WatchClock.now >= pace.earliest else { return }
      wantedChunks = nil
      isBusy = true
      let row = history.rows(.arenas).first { $0.key == key }
      let listing = watched.listing(
        key, arenaIndex: row?.now.arenaIndex, withContents: state.showsContents)
      thread.start(listing, for: .chunks)
    } else if isSampling, WatchClock.now >= pace.due {
      wantsSample = false
      isBusy = true
      watched.request.tellsTypes = state.growth.grouping == .types
      thread.start(watched, for: .sample)
    }
  }

  private mutating func take(_ outcome: SampleThread.Outcome, _ history: inout GrowthHistory) {
    switch outcome.result {
    case .success(let sample) where outcome.purpose == .chunks:
      history.noteStops(sample.report.capture)
      pace.noteExtra(stopped: sample.report.capture.totalStop)
      showChunks(sample)
    case .success(let sample):
      history.add(sample.report, sample.memory, at: sample.time)
      pace.note(
        begun: sample.time, stopped: sample.report.capture.totalStop, used: sample.used)
      if let count = plan.count, history.sampleCount >= count { finish(.complete) }
    case .failure(.failed(let failure)) where history.sampleCount > 0:
      state.message = "a sample failed: \(failure.fact)"
      pace.noteFailure(begun: outcome.begun)
      if outcome.purpose == .chunks { state.mode = .table }
    case .failure(.interrupted):
      pace.noteFailure(begun: outcome.begun)
      // They are still waited for.
      if outcome.purpose == .chunks, case .chunks(let panel) = state.mode {
        wantedChunks = panel.key
      }
    case .failure(let reason):
      end = reason
      state.end = reason.words
      if outcome.purpose == .chunks { state.mode = .table }
      // Without a sample there is nothing to look at; a test wants to go on.
      if history.sampleCount == 0 || plan.count != nil || plan.growthLimit != nil { isOver = true }
    }
    state.stretchedInterval = pace.stretched
  }

  private mutating func showChunks(_ sample: WatchSample) {
    guard case .chunks(var panel) = state.mode, let listing = sample.listing else { return }
    panel.lines = listing.chunks.map {
      ChunkPanel.Line(chunk: $0, contents: sample.contents[$0.userAddress])
    }
    panel.total = listing.total
    state.mode = .chunks(panel)
  }

  /// Ends a capture that is under way, waits until the target runs, and returns what has become of it.
  private mutating func abandonCapture() -> SampleThread.Outcome? {
    guard isBusy else { return nil }
    cpt_abort_work(1)
    defer {
      cpt_abort_work(0)
      isBusy = false
    }
    while true {
      if let outcome = thread.take() { return outcome }
      cpt_wait_event(event)
    }
  }

  // MARK: Keys and signals

  private mutating func handle(
    _ key: Key, _ history: inout GrowthHistory, _ screen: inout TerminalScreen
  ) {
    let path = "malloscope-\(state.pid)-\(WatchClock.timeOfDay(forFileName: true)).txt"
    let actions = state.handle(key, history: history, suggestedPath: path)
    if state.interval != pace.interval {
      pace.change(interval: state.interval)
      state.stretchedInterval = pace.stretched
    }
    for action in actions {
      switch action {
      case .quit: finish(.quit)
      case .setBaseline: history.setBaseline()
      case .fetchChunks(let key): wantedChunks = key
      case .sample:
        wantsSample = true
        pace.hurry()
      case .redraw: screen.forget()
      case .write(let path): write(history, to: path)
      }
    }
  }

  private mutating func takeSignals(
    _ history: inout GrowthHistory, _ screen: inout TerminalScreen
  ) {
    let signals = cpt_take_signals()
    if cpt_interrupted() != 0 { finish(.interrupted) }
    if signals & UInt32(cpt_signal_suspend) != 0, !isOver {
      // Not while a capture has the target stopped.
      if let outcome = abandonCapture() { take(outcome, &history) }
      screen.suspend()
    } else if signals & UInt32(cpt_signal_continued) != 0 {
      // In the background, this has us stopped until we are in front again.
      if let outcome = abandonCapture() { take(outcome, &history) }
      screen.resume()
    }
    if signals != 0 {
      (state.columns, state.rows) = screen.size
      screen.forget()
    }
  }

  private mutating func write(_ history: GrowthHistory, to path: String) {
    do throws(Failure) {
      var options = plan.show.reportOptions()
      options.limit = .max
      options.style.usesColor = false
      var output = try Output(path: path, force: false)
      if let report = history.latest {
        try TextWatch.writeTarget(report, options: options, to: &output)
      }
      try TextWatch.writeSample(
        history, clock: WatchClock.timeOfDay(), growth: state.growth, options: options,
        to: &output)
      try TextWatch.writeSummary(
        history, end: state.end ?? "the watch goes on", growth: state.growth, options: options,
        to: &output)
      try output.close()
      state.message = "written to \(path)"
    } catch {
      state.message = error.fact
    }
  }
}
