// A place in the bytes of a text file of /proc: what the parsers that must be fast share.

/// Reads numbers and separators from bytes, never beyond their end.
struct ByteCursor: ~Escapable {
  private let bytes: Span<UInt8>
  /// The next byte to be read.
  private(set) var index = 0

  /// Starts at the first of `bytes`.
  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>) {
    self.bytes = bytes
  }

  /// Whether nothing is left.
  var isAtEnd: Bool { index >= bytes.count }

  /// The next byte, without going on; nil at the end.
  var next: UInt8? { index < bytes.count ? bytes[index] : nil }

  /// Goes on by one if the next byte is `byte`.
  @_lifetime(self: copy self)
  mutating func skip(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    index += 1
    return true
  }

  /// Goes on over all bytes equal to `byte`.
  @_lifetime(self: copy self)
  mutating func skipAll(_ byte: UInt8) {
    while next == byte { index += 1 }
  }

  /// Takes one byte, nil at the end.
  @_lifetime(self: copy self)
  mutating func take() -> UInt8? {
    guard let byte = next else { return nil }
    index += 1
    return byte
  }

  /// Takes hexadecimal digits, nil if there is none or the number does not fit.
  @_lifetime(self: copy self)
  mutating func takeHexadecimal() -> UInt64? {
    var value: UInt64 = 0
    let start = index
    while let byte = next {
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x61...0x66: digit = byte - 0x61 + 10
      case 0x41...0x46: digit = byte - 0x41 + 10
      default: return index > start ? value : nil
      }
      guard value >> 60 == 0 else { return nil }
      value = value << 4 | UInt64(digit)
      index += 1
    }
    return index > start ? value : nil
  }

  /// Takes decimal digits, nil if there is none or the number does not fit.
  @_lifetime(self: copy self)
  mutating func takeDecimal() -> UInt64? {
    var value: UInt64 = 0
    let start = index
    while let byte = next, (0x30...0x39).contains(byte) {
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, tooLargeToo) = product.addingReportingOverflow(UInt64(byte - 0x30))
      if tooLarge || tooLargeToo { return nil }
      value = sum
      index += 1
    }
    return index > start ? value : nil
  }

  /// Takes the rest of the line and its end, and returns where the rest lies.
  @_lifetime(self: copy self)
  mutating func takeLine() -> Range<Int> {
    let start = index
    while index < bytes.count, bytes[index] != 0x0a { index += 1 }
    let end = index
    if index < bytes.count { index += 1 }
    return start..<end
  }

  /// Whether two ranges of the bytes hold the same.
  func areEqual(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard left.count == right.count else { return false }
    // The ends of names differ more often than their beginnings.
    for offset in (0..<left.count).reversed()
    where bytes[left.lowerBound + offset] != bytes[right.lowerBound + offset] {
      return false
    }
    return true
  }

  /// The byte at `place`, which must lie within a range that this cursor returned.
  subscript(_ place: Int) -> UInt8 { bytes[place] }
}
