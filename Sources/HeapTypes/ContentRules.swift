// What bytes look like when nothing else tells what they are.

import HeapModel

/// What the first bytes of a chunk look like, by rules that are tried in the order of the cases.
///
/// All rules look at the first 64 bytes, or at all if there are fewer.
enum Content: Int, CaseIterable {
  /// No byte at all.
  case empty
  /// All bytes are zero.
  case zeros
  /// Printable ASCII with spaces, tabs and line ends: to the end, or at least 10 characters and a zero, or
  /// at least 4 characters and then at least 8 zeros or nothing but zeros.
  ///
  /// Of random bytes, 6 in 10^7 begin so.
  case ascii
  /// UTF-8 with at least one character that is not ASCII: to the end, or at least 16 bytes and a zero, or at
  /// least 4 bytes and then at least 8 zeros or nothing but zeros. A character cut off by the end is one.
  ///
  /// Of random bytes, 1 in 10^7 begin so.
  case utf8
  /// UTF-16 with little end first: to the end or to a zero, at least 4 units of which none is a control
  /// character, all below U+0700 and at least three quarters of them letters of one script, digits or spaces;
  /// or at least 14 units of Chinese and Japanese, or of Korean text.
  case utf16
  /// Every word is zero or could be an address: within 4 GiB of the chunk or between 1 TiB and 256 TiB.
  case pointers
  /// Every 8 bytes are a number between -2^24 and 2^24, or every 4 bytes one between -2^20 and 2^20,
  /// or every byte is below 32.
  case smallIntegers
  /// Every word is zero or a double between 2^-20 and 2^41 or the negative of one, which together have
  /// 15 bits in which random ones would differ: 5 for the exponent of each, and 20 more for each whose
  /// mantissa ends in 20 zero bits.
  ///
  /// Of 3 random words 3 in 10^5 look so, of 8 less than 1 in 10^11.
  case doubles
  /// Each of the 8 bits is set in a quarter to three quarters of the bytes (of fewer than 64, in an eighth to
  /// seven eighths), at most one byte in 8 is zero, and at most one in 8 is the same as the one before.
  case random
  /// Anything else.
  case mixed

  /// The name in reports.
  var name: String {
    switch self {
    case .empty: "empty"
    case .zeros: "zeros"
    case .ascii: "text (ASCII)"
    case .utf8: "text (UTF-8)"
    case .utf16: "text (UTF-16)"
    case .pointers: "pointers"
    case .smallIntegers: "small integers"
    case .doubles: "doubles"
    case .random: "random or compressed"
    case .mixed: "mixed data"
    }
  }

  /// What the rule saw, in short.
  var detail: String {
    switch self {
    case .empty: "no byte can be used"
    case .zeros: "the first 64 bytes are zero"
    case .ascii: "the first 64 bytes, or those before a zero, are printable ASCII"
    case .utf8: "the first 64 bytes, or those before a zero, are UTF-8 beyond ASCII"
    case .utf16: "the first 64 bytes, or those before a zero, are UTF-16"
    case .pointers: "the first 8 words are addresses or zero"
    case .smallIntegers: "the first 64 bytes are integers near zero"
    case .doubles: "the first 8 words are doubles of common size or zero"
    case .random: "the first 64 bytes are as varied as random ones"
    case .mixed: "no rule for the first 64 bytes holds"
    }
  }

  /// Tells what `beginning` looks like.
  init(_ beginning: Beginning) {
    if beginning.byteCount == 0 {
      self = .empty
    } else if beginning.isZero {
      self = .zeros
    } else if let text = TextRules.content(of: beginning) {
      self = text
    } else if beginning.wordCount == 0 {
      self = .mixed
    } else {
      self = Self.number(beginning)
    }
  }

  private static func number(_ beginning: Beginning) -> Content {
    // Each rule ends at the first word that breaks it, which mostly is the first.
    if arePointers(beginning) { return .pointers }
    if areWords(beginning) || areHalves(beginning) || areBytes(beginning) { return .smallIntegers }
    if areDoubles(beginning) { return .doubles }
    return isRandom(beginning) ? .random : .mixed
  }

  @inline(__always)
  private static func arePointers(_ beginning: Beginning) -> Bool {
    for index in 0..<beginning.wordCount {
      let word = beginning[index]
      guard word == 0 || beginning.isPointer(word) else { return false }
    }
    return true
  }

  @inline(__always)
  private static func areWords(_ beginning: Beginning) -> Bool {
    for index in 0..<beginning.wordCount where beginning[index] &+ (1 << 24) > 1 << 25 {
      return false
    }
    return true
  }

  @inline(__always)
  private static func areHalves(_ beginning: Beginning) -> Bool {
    for index in 0..<beginning.wordCount {
      let word = beginning[index]
      let low = UInt32(truncatingIfNeeded: word)
      let high = UInt32(truncatingIfNeeded: word >> 32)
      guard low &+ (1 << 20) <= 1 << 21, high &+ (1 << 20) <= 1 << 21 else { return false }
    }
    return true
  }

  @inline(__always)
  private static func areBytes(_ beginning: Beginning) -> Bool {
    for index in 0..<beginning.wordCount where beginning[index] & 0xE0E0_E0E0_E0E0_E0E0 != 0 {
      return false
    }
    return true
  }

  @inline(__always)
  private static func areDoubles(_ beginning: Beginning) -> Bool {
    var bits = 0
    for index in 0..<beginning.wordCount {
      let word = beginning[index]
      guard word != 0 else { continue }
      // The exponent's bias is 1023.
      guard (word >> 52 & 0x7FF) &- 1003 <= 60 else { return false }
      bits += word & 0xF_FFFF == 0 ? 25 : 5
    }
    return bits >= 15
  }

  private static func isRandom(_ beginning: Beginning) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let count = beginning.wordCount
    let bytes = UInt64(count * 8)
    let words = beginning.vector
    var zeros = zeroBytes(words)
    for index in count..<8 { zeros[index] = 0 }
    guard sum(zeros.wrappedSum()) * 8 <= bytes else { return false }
    var repeated = zeroBytes(words ^ (words &<< 8 | beginning.vectorBefore &>> 56))
    for index in count..<8 { repeated[index] = 0 }
    guard sum(repeated.wrappedSum()) * 8 <= bytes else { return false }
    let least = count >= 8 ? bytes / 4 : bytes / 8
    // Two bits of each byte at a time: bit n in the low half of a byte's sum, bit n + 4 in the high one.
    for bit in 0..<4 {
      let both = (words &>> UInt64(bit) & (0x11 &* ones)).wrappedSum()
      let low = sum(both & (0x0F &* ones))
      let high = sum(both >> 4 & (0x0F &* ones))
      guard low >= least, low <= bytes - least, high >= least, high <= bytes - least else {
        return false
      }
    }
    return true
  }

  /// A 1 in each byte that is zero.
  @inline(__always)
  private static func zeroBytes(_ words: SIMD8<UInt64>) -> SIMD8<UInt64> {
    let low = words & 0x7F7F_7F7F_7F7F_7F7F &+ 0x7F7F_7F7F_7F7F_7F7F
    return ~(low | words) &>> 7 & 0x0101_0101_0101_0101
  }

  /// The sum of the bytes of `word`, which is below 256.
  @inline(__always)
  private static func sum(_ word: UInt64) -> UInt64 {
    (word &* 0x0101_0101_0101_0101) >> 56
  }
}
