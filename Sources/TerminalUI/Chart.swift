// Values drawn with characters.

/// Values over time in one row or in several, and a part of a whole as a bar.
package enum Chart {
  /// One row with one column per value, its height in eighths of the row; nil, for which nothing is
  /// known, is a blank.
  ///
  /// The least of `range`, or of the values, is the lowest bar and the greatest the highest; if all
  /// are equal, they are the lowest. NaN and infinities count as nil. Without Unicode the height is
  /// in the darkness of a character.
  package static func sparkline(
    _ values: [Double?], range: ClosedRange<Double>? = nil, usesUnicode: Bool
  ) -> String {
    let scale = Scale(values, range)
    let ramp = usesUnicode ? eighths : shades
    return String(
      values.map { value -> Character in
        guard let fraction = scale.fraction(of: value) else { return " " }
        return ramp[level(fraction, of: ramp.count - 1)]
      })
  }

  /// `rows` rows, the top one first, in which each value is a column of its height.
  ///
  /// As in a sparkline; without Unicode, whole cells of `#`. No more than 1000 rows are made.
  package static func columns(
    _ values: [Double?], rows: Int, range: ClosedRange<Double>? = nil, usesUnicode: Bool
  ) -> [String] {
    let rows = min(rows, greatestSide)
    guard rows > 0 else { return [] }
    let scale = Scale(values, range)
    let steps = usesUnicode ? eighths.count : 1
    let heights = values.map { value in
      scale.fraction(of: value).map { 1 + level($0, of: rows * steps - 1) } ?? 0
    }
    return (0..<rows).reversed().map { row in
      String(
        heights.map { height -> Character in
          let part = height - row * steps
          guard part > 0 else { return " " }
          return usesUnicode ? eighths[min(part, steps) - 1] : "#"
        })
    }
  }

  /// A horizontal bar, as much of `width` columns as `part` is of `whole`.
  ///
  /// A part that is more than nothing is seen; nothing, and a whole that is not above zero, are "".
  /// It is not filled up with blanks. Without Unicode it is made of `#`.
  package static func bar(
    _ part: Double, of whole: Double, width: Int, usesUnicode: Bool
  ) -> String {
    let width = min(width, greatestSide)
    guard width > 0, part > 0, whole > 0, part.isFinite, whole.isFinite else { return "" }
    let steps = usesUnicode ? eighths.count : 1
    let length = max(1, level(min(part / whole, 1), of: width * steps))
    guard usesUnicode else { return String(repeating: "#", count: length) }
    let rest = length % steps
    return String(repeating: "\u{2588}", count: length / steps)
      + (rest > 0 ? String(leftEighths[rest - 1]) : "")
  }

  private static let greatestSide = 1000
  private static let eighths: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
  private static let leftEighths: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"]
  private static let shades: [Character] = [".", ":", "-", "=", "+", "*", "#", "@"]

  /// `fraction`, from 0 to 1, of `greatest`, to the nearest whole number.
  private static func level(_ fraction: Double, of greatest: Int) -> Int {
    Int((fraction * Double(greatest)).rounded())
  }

  /// The values between which others are drawn.
  private struct Scale {
    private var least = 0.0
    private var greatest = 0.0

    init(_ values: [Double?], _ range: ClosedRange<Double>?) {
      let known = values.compactMap { $0 }.filter(\.isFinite)
      least = range?.lowerBound ?? known.min() ?? 0
      greatest = range?.upperBound ?? known.max() ?? 0
    }

    /// Where a value lies, from 0 to 1; nil if it is not known.
    func fraction(of value: Double?) -> Double? {
      guard let value, value.isFinite else { return nil }
      guard least < greatest else { return 0 }
      let span = greatest - least
      // The distance of two numbers that exist may be too great for one.
      let fraction =
        span.isFinite
        ? (value - least) / span : (value / 2 - least / 2) / (greatest / 2 - least / 2)
      return fraction.isNaN ? 0 : min(max(fraction, 0), 1)
    }
  }
}
