// A speed of growth as a user writes it.

/// Why a speed of growth could not be read.
package struct ByteRateError: Error, Hashable, Sendable {
  /// What was given.
  package var text: String
}

/// Bytes per second.
package struct ByteRate: Hashable, Sendable {
  /// How many bytes a second.
  package var bytesPerSecond: Double

  /// Makes a rate.
  package init(bytesPerSecond: Double) {
    self.bytesPerSecond = bytesPerSecond
  }

  /// Reads a number of bytes and a time, such as `1MiB/min`, `500k/s`, `0.5 MB/h` or `0/min`.
  ///
  /// Units are powers of 1024, as everywhere here: B, K, KB, KiB, and so on with M, G and T, of either
  /// case. Times are s, sec, second, m, min, minute, h, hour, d, day. Without a time a minute is meant.
  ///
  /// - Throws: `ByteRateError`.
  package init(parsing text: String) throws(ByteRateError) {
    let parts = text.lowercased()
      .split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(Self.trimmed)
    let digits = parts[0].prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits),
      let unit = Self.units[String(Self.trimmed(parts[0][digits.endIndex...]))],
      let seconds = parts.count == 1 ? 60 : Self.times[String(parts[1])],
      (number * unit).isFinite
    else { throw ByteRateError(text: text) }
    bytesPerSecond = number * unit / seconds
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return text
  }

  private static let units: [String: Double] = {
    var units: [String: Double] = ["": 1, "b": 1]
    for (power, letter) in ["k", "m", "g", "t"].enumerated() {
      let value = Double(UInt64(1) << UInt64(10 * (power + 1)))
      for ending in ["", "b", "ib"] { units[letter + ending] = value }
    }
    return units
  }()

  private static let times: [String: Double] = [
    "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400,
  ]
}
