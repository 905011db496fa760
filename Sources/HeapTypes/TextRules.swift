// Whether bytes are text.

/// The rules for text, as the cases of `Content` state them.
enum TextRules {
  /// The kind of text that `beginning` is, nil if it is none.
  @inline(__always)
  static func content(of beginning: Beginning) -> Content? {
    let printable = printableCount(beginning)
    if printable > 0, isText(beginning, length: printable, leastBeforeZero: 10) { return .ascii }
    // What ends the printable characters begins one of several bytes; it has two if it is the first.
    if printable < beginning.byteCount, (0xC2...0xF4).contains(beginning.byte(printable)),
      printable > 0 || beginning.byte(1) & 0xC0 == 0x80, isUTF8(beginning)
    {
      return .utf8
    }
    // Most beginnings are told apart by the first units alone.
    for index in 0..<3 where !isLow(beginning.unit(index)) && !isEastAsian(beginning.unit(index)) {
      return nil
    }
    return isUTF16(beginning) ? .utf16 : nil
  }

  /// Whether text of `length` bytes ends as text may: with the last byte, with a zero if it is long enough,
  /// or with zeros.
  private static func isText(
    _ beginning: Beginning, length: Int, leastBeforeZero: Int
  ) -> Bool {
    let count = beginning.byteCount
    if length >= count { return count >= 8 }
    guard beginning.byte(length) == 0, length >= 4 else { return false }
    if length >= leastBeforeZero { return true }
    let end = min(count, length + 8)
    for index in length..<end where beginning.byte(index) != 0 { return false }
    return true
  }

  /// How many bytes from the first on are printable ASCII, blanks or line ends.
  @inline(__always)
  private static func printableCount(_ beginning: Beginning) -> Int {
    var length = 0
    for index in 0..<8 {
      let others = ~printableMask(beginning[index]) & 0x8080_8080_8080_8080
      if others != 0 {
        length += others.trailingZeroBitCount >> 3
        break
      }
      length += 8
    }
    return min(length, beginning.byteCount)
  }

  /// The high bit of each byte that is printable ASCII, or between tab and carriage return.
  @inline(__always)
  private static func printableMask(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let low = word & (0x7F &* ones)
    // Adding 0x80 - n sets the high bit of bytes of at least n; below 0x80 nothing is carried.
    let printable = (low &+ 0x60 &* ones) & ~(low &+ 0x01 &* ones)
    let blank = (low &+ 0x77 &* ones) & ~(low &+ 0x72 &* ones)
    return ~word & (printable | blank)
  }

  private static func isUTF8(_ beginning: Beginning) -> Bool {
    let count = beginning.byteCount
    var index = 0
    var hasOthers = false
    while index < count {
      let byte = beginning.byte(index)
      if byte == 0 { break }
      if byte < 0x80 {
        guard byte >= 0x20 && byte != 0x7F || (9...13).contains(byte) else { return false }
        index += 1
        continue
      }
      let length: Int
      switch byte {
      case 0xC2...0xDF: length = 2
      case 0xE0...0xEF: length = 3
      case 0xF0...0xF4: length = 4
      default: return false
      }
      let end = min(count, index + length)
      for next in index + 1..<end where beginning.byte(next) & 0xC0 != 0x80 { return false }
      if index + 1 < end, isOverlong(byte, beginning.byte(index + 1)) { return false }
      hasOthers = true
      index = end
    }
    guard hasOthers else { return false }
    return isText(beginning, length: index, leastBeforeZero: 16)
  }

  /// Whether the first two bytes of a character are such that a shorter form exists, or none (The Unicode
  /// Standard, table 3-7).
  private static func isOverlong(_ first: UInt8, _ second: UInt8) -> Bool {
    switch first {
    case 0xE0: second < 0xA0
    case 0xED: second > 0x9F
    case 0xF0: second < 0x90
    case 0xF4: second > 0x8F
    default: false
    }
  }

  private static func isUTF16(_ beginning: Beginning) -> Bool {
    let count = beginning.byteCount / 2
    var length = 0
    var low = 0
    var letters = 0
    var scripts: UInt16 = 0
    var korean = 0
    while length < count {
      let unit = beginning.unit(length)
      if unit == 0 { break }
      guard isLow(unit) || isEastAsian(unit) else { return false }
      if isLow(unit) {
        low += 1
        if isLetter(unit) { letters += 1 }
        if unit >= 0x250 { scripts |= 1 << (unit >> 8) }
      } else if unit >= 0xAC00, unit < 0xFF01 {
        korean += 1
      }
      length += 1
    }
    if low < length { return length >= 14 && (korean == 0 || korean == length - low) }
    return length >= 4 && letters * 4 >= length * 3 && scripts.nonzeroBitCount <= 1
  }

  /// Whether a unit is a character below U+0700 and no control character.
  @inline(__always)
  private static func isLow(_ unit: UInt16) -> Bool {
    unit < 0x700 && (unit >= 0x20 && unit &- 0x7F > 0x20 || unit &- 9 <= 4)
  }

  private static func isLetter(_ unit: UInt16) -> Bool {
    switch unit {
    case 0x20, 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0xC0...0x24F, 0x386...0x3FF, 0x400...0x52F, 0x5D0...0x5EA, 0x620...0x64A: true
    default: false
    }
  }

  /// Whether a unit is a Chinese, Japanese or Korean character or punctuation.
  @inline(__always)
  private static func isEastAsian(_ unit: UInt16) -> Bool {
    switch unit {
    case 0x3000...0x30FF, 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFF01...0xFFEE: true
    default: false
    }
  }
}
