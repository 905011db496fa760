// When the next sample is due.

import CPtrace
import Glibc

/// The clock by which samples are timed.
enum WatchClock {
  /// Seconds of CLOCK_MONOTONIC.
  static var now: Double { Double(cpt_now()) / 1e9 }

  /// The time of day, as `16:02:11`, or as `20261124-160211` for a file's name.
  static func timeOfDay(forFileName: Bool = false) -> String {
    var seconds = time(nil)
    var parts = tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return "" }
    var text = [CChar](repeating: 0, count: 32)
    let count = unsafe strftime(
      &text, text.count, forFileName ? "%Y%m%d-%H%M%S" : "%H:%M:%S", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// How often a target is captured, so that it is stopped for at most a share of the time.
struct WatchPace {
  /// The part of the target's share that is planned for: the rest is for what it sees of a stop beyond
  /// what we see, and for the last sample, which no pause follows.
  private static let plannedPart = 0.9

  /// The seconds between two samples that are asked for.
  var interval: Double
  /// The share of the time that the target may be stopped.
  var mostStopped: Double
  /// When the next sample is due, in seconds of `WatchClock`.
  private(set) var due = -Double.infinity
  /// The seconds that the target's stops ask for, if those are more.
  private(set) var stretched: Double?
  private var begun = -Double.infinity
  private var needed = 0.0

  init(interval: Double, mostStopped: Double) {
    self.interval = interval
    self.mostStopped = mostStopped
  }

  /// Notes that a sample was begun at a moment and stopped the target for so long.
  mutating func note(begun: Double, stopped: Duration) {
    self.begun = begun
    needed = seconds(for: stopped)
    plan()
  }

  /// Notes stops beside those of the samples, for which the target is left alone longer.
  mutating func noteExtra(stopped: Duration) {
    needed += seconds(for: stopped)
    plan()
  }

  /// Notes that a sample was begun at a moment and came to nothing.
  mutating func noteFailure(begun: Double) {
    self.begun = begun
    plan()
  }

  /// Takes another interval.
  mutating func change(interval: Double) {
    self.interval = interval
    plan()
  }

  /// Has the next sample taken as soon as the target's share allows.
  mutating func hurry() {
    due = begun + needed
  }

  /// How long the target must be left alone for stops of such a length.
  private func seconds(for stopped: Duration) -> Double {
    stopped / .seconds(1) / (mostStopped * Self.plannedPart)
  }

  private mutating func plan() {
    due = begun + max(interval, needed)
    // A fraction of a percent is nobody's concern.
    stretched = needed > interval * 1.02 ? needed : nil
  }
}
