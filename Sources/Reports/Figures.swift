// Numbers as people read them.

/// Turns numbers into text: grouped digits, rounded bytes, percentages, milliseconds.
package enum Figures {
  /// The digits in groups of three: `1,234,567`.
  package static func grouped(_ number: UInt64) -> String {
    let digits = Array(String(number).utf8)
    var text: [UInt8] = []
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(UInt8(ascii: ",")) }
      text.append(digit)
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// A count in groups of three.
  package static func grouped(_ count: Int) -> String {
    count < 0 ? "-" + grouped(UInt64(count.magnitude)) : grouped(UInt64(count))
  }

  /// Bytes with one decimal and a unit that is a power of 1024, as `12.3M`; below 1024 as they are.
  ///
  /// The next unit is taken from 1000 on, so that no figure is wider than six characters.
  package static func rounded(bytes: UInt64) -> String {
    guard bytes >= 1024 else { return String(bytes) }
    var value = Double(bytes) / 1024
    for unit in ["K", "M", "G", "T", "P"] {
      let tenths = rounded(value * 10)
      if tenths < 10000 { return decimal(tenths, places: 1) + unit }
      value /= 1024
    }
    return decimal(rounded(value * 10), places: 1) + "E"
  }

  /// A change in bytes with its sign, as `+12.3M`; `0` for none.
  package static func signed(bytes: Double) -> String {
    let magnitude = min(abs(bytes), 9e18)
    guard magnitude >= 0.5 else { return "0" }
    return (bytes < 0 ? "-" : "+") + rounded(bytes: UInt64(magnitude.rounded()))
  }

  /// A change of a count with its sign, in groups of three; `0` for none.
  package static func signed(_ count: Int) -> String {
    (count > 0 ? "+" : "") + grouped(count)
  }

  /// How long something lasted, to the second: `0:07`, `12:34`, `3:05:12`, `2d 03:04`.
  package static func clock(seconds: Double) -> String {
    let whole = Int(max(0, min(seconds, 1e12)))
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
    if days > 0 { return "\(days)d \(two(hours)):\(two(minutes))" }
    return hours > 0
      ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
  }

  /// Seconds with as many decimals as matter: `0.25 s`, `1.5 s`, `12 s`.
  package static func seconds(_ seconds: Double) -> String {
    let hundredths = rounded(min(max(0, seconds), 1e12) * 100)
    if hundredths.isMultiple(of: 100) { return "\(hundredths / 100) s" }
    if hundredths.isMultiple(of: 10) { return decimal(hundredths / 10, places: 1) + " s" }
    return decimal(hundredths, places: 2) + " s"
  }

  /// Chunk sizes as multiples of 16, which all are: `48`, `80-96`, `1K-2K`, `>2G`.
  ///
  /// From 1 KiB on the lower bound is the size above which the range begins.
  package static func sizes(_ sizes: ClosedRange<UInt64>, isExact: Bool = false) -> String {
    let upper = sizes.upperBound
    guard sizes.lowerBound != upper else { return String(upper) }
    let below = sizes.lowerBound == 0 ? 0 : sizes.lowerBound - 1
    guard upper != .max else {
      return ">" + (isExact ? String(below) : compact(size: below))
    }
    let first = below / 16 * 16 + 16
    if sizes.lowerBound == 0 || first == upper { return String(upper) }
    if isExact { return "\(first)-\(upper)" }
    return below < 1024
      ? "\(first)-\(compact(size: upper))" : "\(compact(size: below))-\(compact(size: upper))"
  }

  /// A chunk size with its unit if it is a multiple of it from 1 KiB on, as `128K`; else its digits.
  package static func compact(size: UInt64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")]
    where size >> UInt64(shift) > 0 && size.trailingZeroBitCount >= shift {
      return String(size >> UInt64(shift)) + unit
    }
    return String(size)
  }

  /// `part` of `whole` as `12.3%`.
  package static func percent(_ part: UInt64, of whole: UInt64) -> String {
    guard whole > 0 else { return "-" }
    return percent(Double(part) / Double(whole))
  }

  /// A fraction from 0 to 1 as `12.3%`.
  package static func percent(_ fraction: Double) -> String {
    decimal(rounded(min(1, max(0, fraction)) * 1000), places: 1) + "%"
  }

  /// A fraction as a percentage that says 100 only if nothing is missing: `99.99%`.
  package static func coverage(_ fraction: Double) -> String {
    fraction >= 1 ? "100%" : decimal(UInt64(max(0, fraction) * 10_000), places: 2) + "%"
  }

  /// A duration with about three digits: `0.06 ms`, `12.3 ms`, `1.25 s`.
  package static func duration(_ duration: Duration) -> String {
    let microseconds = microseconds(duration)
    switch microseconds {
    case ..<10_000: return decimal(microseconds / 10, places: 2) + " ms"
    case ..<1_000_000: return decimal(microseconds / 100, places: 1) + " ms"
    default: return decimal(microseconds / 10_000, places: 2) + " s"
    }
  }

  /// A duration in milliseconds to the microsecond: `2.413`.
  package static func milliseconds(_ duration: Duration) -> String {
    decimal(microseconds(duration), places: 3)
  }

  /// A duration in seconds to the microsecond, without a unit: `0.002413`.
  package static func exactSeconds(_ duration: Duration) -> String {
    decimal(microseconds(duration), places: 6)
  }

  /// `scaled` divided by ten to the power of `places`.
  package static func decimal(_ scaled: UInt64, places: Int) -> String {
    let digits = String(scaled)
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    return "\(padded.dropLast(places)).\(padded.suffix(places))"
  }

  /// The integer nearest to `value`, which is neither negative nor beyond 64 bits.
  private static func rounded(_ value: Double) -> UInt64 { UInt64(value + 0.5) }

  private static func microseconds(_ duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    let whole = UInt64(max(0, seconds)).multipliedReportingOverflow(by: 1_000_000)
    guard !whole.overflow else { return .max }
    let (sum, overflow) = whole.partialValue.addingReportingOverflow(
      UInt64(max(0, attoseconds) / 1_000_000_000_000))
    return overflow ? .max : sum
  }
}
