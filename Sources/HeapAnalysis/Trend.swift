// How fast something grows, told so that a few outliers and a noisy start do not matter.

/// The change of a quantity over time: the median of the slopes between all pairs of its values
/// (Theil and Sen), with the bounds that hold it with a probability of 95 % if the values deviate from
/// a straight line independently of each other.
package struct Trend: Hashable, Sendable {
  /// The fewest values that a trend is told of.
  package static let fewestValues = 4

  /// The change per second.
  package var perSecond: Double
  /// The bounds of the change per second.
  package var bounds: ClosedRange<Double>
  /// The bounds of the change per second with a probability of 99.8 %.
  ///
  /// A watch is often repeated: one in a thousand may be told a growth that is chance. Of fewer than
  /// six values there are no such bounds; then these are the least and the greatest slope.
  package var surerBounds: ClosedRange<Double>
  /// How far a value is from the line, in the median.
  package var deviation: Double
  /// How long it was looked at, in seconds.
  package var seconds: Double
  /// How many values it was told from.
  package var count: Int
  /// Whether the last third of the time saw nearly none of the change, as when caches have warmed up.
  package var isLevellingOff: Bool

  /// How much the line rises from the first to the last moment.
  package var rise: Double { perSecond * seconds }

  /// Whether the quantity grew, beyond doubt, by more than it fluctuates, and went on growing.
  package var isGrowth: Bool {
    surerBounds.lowerBound > 0 && rise > 4 * deviation && !isLevellingOff
  }
  /// Whether it shrank, in the same sense.
  package var isDecline: Bool { surerBounds.upperBound < 0 && -rise > 4 * deviation }

  /// Tells the trend of `values` at `times` (ascending, in seconds), nil if there are too few of them
  /// or no time has passed.
  ///
  /// The work is that of sorting a slope for each pair: both arrays should be short.
  package init?(times: ArraySlice<Double>, values: ArraySlice<Double>) {
    let points = Array(zip(times, values))
    guard points.count >= Self.fewestValues, let first = points.first, let last = points.last,
      last.0 > first.0
    else { return nil }
    var slopes: [Double] = []
    slopes.reserveCapacity(points.count * (points.count - 1) / 2)
    for (index, point) in points.enumerated() {
      for later in points[(index + 1)...] where later.0 > point.0 {
        slopes.append((later.1 - point.1) / (later.0 - point.0))
      }
    }
    slopes.sort()
    let slope = Self.median(slopes)
    // Kendall's test: the variance of the number of rising minus falling pairs.
    let number = Double(points.count)
    let spread = (number * (number - 1) * (2 * number + 5) / 18).squareRoot()
    let pairs = Double(slopes.count)
    func bound(_ rank: Double) -> Double {
      slopes[min(slopes.count - 1, max(0, Int(rank)))]
    }
    func bounds(deviations: Double) -> ClosedRange<Double> {
      let low = bound(((pairs - deviations * spread) / 2).rounded(.down))
      let high = bound(((pairs + deviations * spread) / 2).rounded(.up))
      return min(low, slope)...max(high, slope)
    }
    perSecond = slope
    self.bounds = bounds(deviations: 1.96)
    surerBounds = bounds(deviations: 3.09)
    seconds = last.0 - first.0
    count = points.count
    let offsets = points.map { $0.1 - slope * ($0.0 - first.0) }.sorted()
    let offset = Self.median(offsets)
    deviation = Self.median(offsets.map { abs($0 - offset) }.sorted())
    let third = max(1, points.count / 3)
    func middle(_ part: ArraySlice<(Double, Double)>) -> Double {
      Self.median(part.map(\.1).sorted())
    }
    let start = middle(points.prefix(third))
    let halfway = middle(points.dropFirst(third).dropLast(third))
    let end = middle(points.suffix(third))
    // Of a straight line it is the half.
    let change = end - start
    isLevellingOff =
      change < 0 ? end - halfway > change / 5 : end - halfway < change / 5
  }

  /// The middle of what is sorted.
  private static func median(_ sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2)
      ? sorted[middle - 1] / 2 + sorted[middle] / 2 : sorted[middle]
  }
}
