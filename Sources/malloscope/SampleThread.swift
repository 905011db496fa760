// A capture beside the screen, so that keys are heard meanwhile.

import CPtrace
import RemoteMemory
import Synchronization

/// Runs one piece of work at a time on a thread of its own, and raises an event when it is done.
final class SampleThread: Sendable {
  /// What a capture is for.
  enum Purpose: Sendable, Equatable {
    /// The next sample.
    case sample
    /// Sample chunks of a row.
    case chunks
  }

  /// A capture that has come to its end.
  struct Outcome: Sendable {
    var purpose: Purpose
    /// When it was begun, in seconds of `WatchClock`.
    var begun: Double
    var result: Result<WatchSample, WatchEnd>
  }

  private let event: Int32
  private let outcome = Mutex<Outcome?>(nil)

  /// Makes one that raises `event`.
  init(event: Int32) {
    self.event = event
  }

  /// Captures `process`; to be called again only after the outcome was taken.
  ///
  /// If no thread can be had it is done here and now.
  func start(_ process: WatchedProcess, for purpose: Purpose) {
    let work: @Sendable () -> Void = { [self] in
      let begun = WatchClock.now
      let result = Result { () throws(WatchEnd) in try process.sample() }
      outcome.withLock { $0 = Outcome(purpose: purpose, begun: begun, result: result) }
      _ = cpt_raise_event(event)
    }
    let thread = OwnThread {
      // An overflow of this thread's stack gives the terminal back, too.
      _ = cpt_use_signal_stack()
      work()
    }
    if let thread { thread.detach() } else { work() }
  }

  /// What the capture has come to, once.
  func take() -> Outcome? {
    outcome.withLock { value in
      defer { value = nil }
      return value
    }
  }
}
