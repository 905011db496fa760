// The layout of all tables: a label, the median, the range, a ratio and a bar.

/// Rows of 100 columns at most.
enum Table {
  /// The names of the columns.
  static func heading(_ title: String = "", ratio: String = "") -> String {
    row(title, "median", "min..max", ratio, "at most")
  }

  /// One row.
  static func row(
    _ label: String, _ median: String, _ range: String, _ ratio: String = "", _ bar: String = ""
  ) -> String {
    let text =
      label.padded(to: 21) + median.padded(to: -11) + range.padded(to: -17) + "  "
      + ratio.padded(to: 26) + bar
    return String(text.reversed().drop { $0 == " " }.reversed())
  }

  /// A row of samples in one unit.
  static func row(
    _ label: String, _ samples: Samples, _ unit: Figure.Unit, _ ratio: String = "",
    _ bar: String = ""
  ) -> String {
    row(label, unit.text(samples.median), samples.range(decimals: unit.decimals), ratio, bar)
  }

  /// A row of milliseconds, or why there is none: nil where the program is not installed.
  static func row(_ label: String, milliseconds: [Double]?) -> String {
    guard let milliseconds else { return row(label, "not there", "") }
    return milliseconds.isEmpty
      ? row(label, "not run", "") : row(label, Samples(milliseconds), .milliseconds)
  }
}

extension String {
  /// Filled with spaces, at least one, to `width` on the right, or on the left if that is negative.
  fileprivate func padded(to width: Int) -> String {
    let fill = String(repeating: " ", count: max(1, abs(width) - count))
    return width < 0 ? fill + self : self + fill
  }
}
