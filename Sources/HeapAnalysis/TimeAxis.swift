// The moments of a watch that may last for days, in a fixed amount of memory.

/// Moments in ascending order, of which so many are kept as fit; when there are too many, every
/// second one goes.
///
/// The newest is always among them. What belongs to the moments is kept in arrays beside, to which the
/// same `Step` is applied.
package struct TimeAxis: Sendable {
  /// What happens to the arrays when a moment is added.
  package struct Step: Hashable, Sendable {
    /// Whether the newest element makes way for the next.
    var replacesLast: Bool
    /// Whether afterwards only every second element, and the newest, stays.
    var thins: Bool
  }

  /// How many moments are kept at most.
  package let capacity: Int
  /// The moments, in seconds.
  package private(set) var times: [Double] = []
  /// Of how many moments one is kept.
  package private(set) var stride = 1
  private var count = 0
  private var isLastProvisional = false

  /// Makes an axis without moments; a capacity below 4 counts as 4.
  package init(capacity: Int = 128) {
    self.capacity = max(4, capacity)
    times.reserveCapacity(self.capacity + 1)
  }

  /// Adds a moment, in seconds, and returns what to do with the arrays.
  package mutating func add(_ time: Double) -> Step {
    let replacesLast = isLastProvisional
    let kept = times.count + (replacesLast ? 0 : 1)
    let step = Step(replacesLast: replacesLast, thins: kept > capacity)
    times.take(time, step)
    if step.thins { stride *= 2 }
    isLastProvisional = !count.isMultiple(of: stride)
    count += 1
    return step
  }
}

extension [Double] {
  /// Adds what belongs to a moment that was added to an axis.
  mutating func take(_ value: Double, _ step: TimeAxis.Step) {
    if step.replacesLast { removeLast() }
    append(value)
    guard step.thins else { return }
    let last = count - 1
    var kept = 0
    for index in indices where index.isMultiple(of: 2) || index == last {
      self[kept] = self[index]
      kept += 1
    }
    removeLast(count - kept)
  }
}
