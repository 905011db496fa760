// Processor time that is kept for a stop, so that nobody takes our processor away in the middle of one.

import CPtrace
package import LinuxTarget

/// What is left of a processor quota, as far as this process itself uses it.
///
/// The kernel hands a group its time anew in each period: who rests for one begins his next work with all
/// of it. A process that has used it up stands still, and with it whom it has stopped.
package struct ProcessorAllowance: Sendable {
  /// The part of a quota that is planned for: each processor keeps up to 5 ms for itself
  /// (`sched_cfs_bandwidth_slice_us`), and the group's other processes use some.
  private static let plannedShare = 0.6
  /// A stop that is shorter sees nothing of the heap.
  private static let shortestStop: Int64 = 500_000

  private let quota: Double
  private let period: Int64
  /// What this process had used when it rested the last time, in nanoseconds of all processors, and when
  /// that rest ended, of `CLOCK_MONOTONIC`.
  private var usedBefore: Int64
  private var restEnd: Int64
  private var hasRested = false

  /// An allowance of `quota`, of which is not known what this process has used of it before; nil for a
  /// quota that one thread cannot use up.
  package init?(_ quota: ProcessorQuota?) {
    guard let quota, quota.processors < 1, quota.processors > 0 else { return nil }
    self.quota = Double(quota.time.wholeNanoseconds)
    period = quota.period.wholeNanoseconds
    usedBefore = cpt_processor_time()
    restEnd = cpt_now()
  }

  /// The longest stop that can be worked through.
  package var longestStop: Duration {
    .nanoseconds(max(Int64(quota * Self.plannedShare), Self.shortestStop))
  }

  /// How long to rest before work that takes `expected` nanoseconds of a processor, in nanoseconds.
  package mutating func rest(before expected: Int64) -> Int64 {
    let used = cpt_processor_time() - usedBefore
    let left = quota * Self.plannedShare - Double(used)
    guard !hasRested || Double(expected) > left else { return 0 }
    let now = cpt_now()
    // What was used beyond a group's quota has been waited for already; beyond one of the user's, not.
    let due = Int64(min(Double(used) / quota * Double(period), 3.6e12))
    let rest = max(period, restEnd + due - now)
    usedBefore += used
    restEnd = now + rest
    hasRested = true
    return rest
  }

  /// Rests until there is enough for work that takes `expected`.
  ///
  /// - Throws: `StopError.interrupted`.
  package mutating func pause(before expected: Duration) throws(StopError) {
    let end = cpt_now() + rest(before: expected.wholeNanoseconds)
    while cpt_now() < end {
      let signal = cpt_interrupted()
      if signal != 0 { throw .interrupted(signal: signal) }
      cpt_pause(min(end - cpt_now(), 20_000_000))
    }
  }
}
