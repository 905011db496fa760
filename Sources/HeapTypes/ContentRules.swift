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
  /// Of random bytes, 4 in 10^7 begin so.
  case ascii
  /// UTF-8 with at least one character that is not ASCII: to the end, or at least 12 bytes and a zero, or at
  /// least 4 bytes and then at least 8 zeros or nothing but zeros. A character cut off by the end is one.
  case utf8
  /// UTF-16 with little end first: to the end or to a zero, at least 4 units of which none is a control
  /// character, all below U+0700 and at least three quarters of them letters of one script, digits or spaces;
  /// or at least 14 units of Chinese, Japanese or Korean text.
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
  /// Of 3 random words 4 in 10^5 look so, of 8 less than 1 in 10^11.
  case doubles
  /// At least three quarters of the bytes differ from one another (of 64; more of fewer), at most one in 8
  /// is zero, and the share of set bits is between three and five eighths.
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
    } else if Self.isZero(beginning) {
      self = .zeros
    } else if let text = TextRules.content(of: beginning) {
      self = text
    } else if beginning.wordCount == 0 {
      self = .mixed
    } else {
      self = Self.number(beginning)
    }
  }

  private static func isZero(_ beginning: Beginning) -> Bool {
    var all: UInt64 = 0
    for index in 0..<8 { all |= beginning[index] }
    return all == 0
  }

  private static func number(_ beginning: Beginning) -> Content {
    let count = beginning.wordCount
    var arePointers = true
    var areWords = true
    var areHalves = true
    var areBytes = true
    var areDoubles = true
    var doubleBits = 0
    for index in 0..<count {
      let word = beginning[index]
      areBytes = areBytes && word & 0xE0E0_E0E0_E0E0_E0E0 == 0
      guard word != 0 else { continue }
      arePointers = arePointers && beginning.isPointer(word)
      areWords = areWords && word &+ (1 << 24) <= 1 << 25
      let low = UInt32(truncatingIfNeeded: word)
      let high = UInt32(truncatingIfNeeded: word >> 32)
      areHalves = areHalves && low &+ (1 << 20) <= 1 << 21 && high &+ (1 << 20) <= 1 << 21
      // The exponent's bias is 1023.
      areDoubles = areDoubles && (word >> 52 & 0x7FF) &- 1003 <= 60
      doubleBits += word & 0xF_FFFF == 0 ? 25 : 5
    }
    if arePointers { return .pointers }
    if areWords || areHalves || areBytes { return .smallIntegers }
    if areDoubles, doubleBits >= 15 { return .doubles }
    return isRandom(beginning) ? .random : .mixed
  }

  private static func isRandom(_ beginning: Beginning) -> Bool {
    var seen = SIMD4<UInt64>()
    var zeros = 0
    var bits = 0
    let count = beginning.byteCount
    for index in 0..<(count + 7) >> 3 { bits += beginning[index].nonzeroBitCount }
    guard bits * 8 >= count * 8 * 3, bits * 8 <= count * 8 * 5 else { return false }
    for index in 0..<count {
      let byte = beginning.byte(index)
      seen[Int(byte >> 6)] |= 1 << UInt64(byte & 63)
      if byte == 0 { zeros += 1 }
    }
    let distinct =
      seen[0].nonzeroBitCount + seen[1].nonzeroBitCount + seen[2].nonzeroBitCount
      + seen[3].nonzeroBitCount
    // Of 64 random bytes 57 differ on average, of 24 some 23.
    let least = count >= 64 ? 48 : count - 2 - count / 8
    return zeros * 8 <= count && distinct >= least
  }
}
