// Repeated measurements of one figure, and how figures are written.

/// The values of one figure, at least one, in ascending order.
struct Samples {
  private let sorted: [Double]

  /// Takes the values in any order.
  init(_ values: [Double]) {
    precondition(!values.isEmpty, "a figure is measured at least once")
    sorted = values.sorted()
  }

  /// Half of the values are at most this, half at least.
  var median: Double {
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// The smallest value.
  var smallest: Double { sorted[0] }

  /// The largest value.
  var largest: Double { sorted[sorted.count - 1] }

  /// `smallest..largest`.
  func range(decimals: Int) -> String {
    "\(decimal(smallest, decimals))..\(decimal(largest, decimals))"
  }
}

/// `value`, not negative, with so many digits after the point.
func decimal(_ value: Double, _ decimals: Int) -> String {
  let scale = (0..<decimals).reduce(1) { scale, _ in scale * 10 }
  let scaled = Int((value * Double(scale)).rounded())
  guard decimals > 0 else { return "\(scaled)" }
  let fraction = String(scaled % scale)
  return "\(scaled / scale)." + String(repeating: "0", count: decimals - fraction.count) + fraction
}

/// `count` with commas between groups of three digits.
func grouped(_ count: UInt64) -> String {
  var text = ""
  for (position, digit) in String(count).reversed().enumerated() {
    if position > 0, position % 3 == 0 { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}

/// Bytes in mebibytes.
func mebibytes(_ bytes: UInt64) -> Double { Double(bytes) / 1_048_576 }
