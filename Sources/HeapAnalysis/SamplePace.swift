// When the next sample is due.

/// How often a target is captured, so that it is stopped for at most a share of the time, and capturing
/// it takes at most a share of a processor.
package struct SamplePace: Sendable {
  /// The part of the target's share that is planned for.
  private let plannedPart: Double
  /// Whether the last sample's stops, which no pause follows, are paid for after the first.
  private let paysAhead: Bool

  /// The seconds between two samples that are asked for.
  package var interval: Double
  /// The share of the time that the target may be stopped.
  package var mostStopped: Double
  /// The share of one processor that may be used on average, nil for no limit.
  private let mostUsed: Double?
  /// When the next sample is due, in seconds of the caller's clock.
  package private(set) var due = -Double.infinity
  /// The seconds that the target's stops ask for, if those are more.
  package private(set) var stretched: Double?
  private var begun = -Double.infinity
  private var needed = 0.0

  /// Makes a pace by which the first sample is due at once, and that plans for a part of the
  /// target's share.
  package init(
    interval: Double, mostStopped: Double, mostUsed: Double? = nil, plannedPart: Double = 1,
    paysAhead: Bool = false
  ) {
    self.mostUsed = mostUsed
    self.plannedPart = plannedPart
    self.paysAhead = paysAhead
    self.interval = interval
    self.mostStopped = mostStopped
  }

  /// Notes that a sample was begun at a moment, stopped the target for so long, and took so much of a
  /// processor.
  package mutating func note(begun: Double, stopped: Duration, used: Duration = .zero) {
    let isFirst = self.begun == -.infinity
    self.begun = begun
    let forStops = seconds(for: stopped) * (isFirst && paysAhead ? 2 : 1)
    needed = max(forStops, mostUsed.map { used / .seconds(1) / $0 } ?? 0)
    plan()
  }

  /// Notes stops beside those of the samples, for which the target is left alone longer.
  package mutating func noteExtra(stopped: Duration) {
    needed += seconds(for: stopped)
    plan()
  }

  /// Notes that a sample was begun at a moment and came to nothing.
  package mutating func noteFailure(begun: Double) {
    self.begun = begun
    plan()
  }

  /// Takes another interval.
  package mutating func change(interval: Double) {
    self.interval = interval
    plan()
  }

  /// Has the next sample taken as soon as the target's share allows.
  package mutating func hurry() {
    due = earliest
  }

  /// When the target's share allows another stop, whatever is due.
  package var earliest: Double { begun + needed }

  /// How long the target must be left alone for stops of such a length.
  private func seconds(for stopped: Duration) -> Double {
    stopped / .seconds(1) / (mostStopped * plannedPart)
  }

  private mutating func plan() {
    due = begun + max(interval, needed)
    // A fraction of a percent is nobody's concern.
    stretched = needed > interval * 1.02 ? needed : nil
  }
}
