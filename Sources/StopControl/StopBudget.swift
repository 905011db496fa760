// How long a target may stand still, at once and in all.

/// What the stops of a target may cost it.
package struct StopBudget: Hashable, Sendable {
  /// How long one stop may last, nil if as long as the work takes.
  package var longestPause: Duration?
  /// The share of the time that the target may stand still while it is captured: above 0, at most 1.
  package var stoppedShare: Double
  /// The part of a pause that is planned for; the rest is for what nobody plans: another process or
  /// virtual machine that takes the processor away.
  private let plannedShare: Double

  /// Makes a budget; a share outside of what is possible becomes the nearest that is.
  ///
  /// If the work is `expected` to take no longer than one pause, almost all of that is planned for,
  /// since stopping once more for the rest costs more than it saves.
  package init(
    longestPause: Duration?, stoppedShare: Double = 0.5, expected: Duration? = nil
  ) {
    self.longestPause = longestPause
    self.stoppedShare = min(1, max(0.01, stoppedShare))
    let fitsOnce = longestPause.map { pause in expected.map { $0 <= pause } ?? false } ?? false
    plannedShare = fitsOnce ? 0.95 : 0.88
  }

  /// The part that work gets at least where stopping the threads, and what every stop has to read, have
  /// used up the planned one.
  private static let leastShare = 0.25

  /// The moment at which work in a stop should end, of `CLOCK_MONOTONIC` in nanoseconds.
  ///
  /// The stop `began` at a moment, its own work begins `now`, and letting the threads go took `release`
  /// the last time.
  package func workEnd(began: Int64, now: Int64, release: Int64) -> Int64 {
    guard let longestPause else { return .max }
    let pause = Double(longestPause.wholeNanoseconds)
    let planned = began &+ Int64(pause * plannedShare) &- release
    return max(planned, now &+ Int64(pause * Self.leastShare))
  }

  /// How long the target must run after a stop of `length`, both in nanoseconds.
  package func rest(after length: Int64) -> Int64 {
    Int64(Double(length) * (1 - stoppedShare) / stoppedShare)
  }
}

extension Duration {
  /// The duration in whole nanoseconds, at most those of an `Int64`.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflowToo) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow || overflowToo ? .max : sum
  }
}
