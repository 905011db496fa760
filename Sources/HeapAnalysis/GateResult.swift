// Whether a program's heap grew faster than a test allows.

/// How a gate of a watch was passed, or not.
package struct GateResult: Hashable, Sendable {
  /// How it came out.
  package enum Outcome: String, Sendable {
    /// In use grew no faster than allowed.
    case passed
    /// It grew faster.
    case failed
    /// There were too few samples to tell.
    case untold
  }

  /// How fast in use may grow, in bytes per second.
  package var limit: Double
  /// How it came out.
  package var outcome: Outcome

  /// Judges the trend of what is in use: what only fluctuates does not fail, however steep the line
  /// through it.
  package init(limit: Double, trend: Trend?) {
    self.limit = limit
    outcome =
      switch trend {
      case nil: .untold
      // What fluctuates, or levels off, is no growth, however steep its slope is.
      case let trend?: trend.isGrowth && trend.perSecond > limit ? .failed : .passed
      }
  }
}
