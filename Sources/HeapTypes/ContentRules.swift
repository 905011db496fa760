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
    let ones: UInt64 = 0x0101_0101_0101_0101
    // Two bits of each byte at a time: bit n in the low half of a byte's sum, bit n + 4 in the high one.
    var sums = InlineArray<4, UInt64>(repeating: 0)
    var repeated: UInt64 = 0
    var before: UInt64 = 0
    let count = beginning.wordCount
    let bytes = UInt64(count * 8)
    var zeros: UInt64 = 0
    for index in 0..<count { zeros &+= zeroBytes(beginning[index]) }
    guard sum(zeros) * 8 <= bytes else { return false }
    for index in 0..<count {
      let word = beginning[index]
      for bit in 0..<4 { sums[bit] &+= word >> UInt64(bit) & (0x11 &* ones) }
      repeated &+= zeroBytes(word ^ (word << 8 | before >> 56))
      before = word
    }
    guard sum(repeated) * 8 <= bytes else { return false }
    let least = count >= 8 ? bytes / 4 : bytes / 8
    for bit in 0..<4 {
      let low = sum(sums[bit] & (0x0F &* ones))
      let high = sum(sums[bit] >> 4 & (0x0F &* ones))
      guard low >= least, low <= bytes - least, high >= least, high <= bytes - least else {
        return false
      }
    }
    return true
  }

  /// A 1 in each byte that is zero.
  @inline(__always)
  private static func zeroBytes(_ word: UInt64) -> UInt64 {
    let low = word & 0x7F7F_7F7F_7F7F_7F7F &+ 0x7F7F_7F7F_7F7F_7F7F
    return ~(low | word) >> 7 & 0x0101_0101_0101_0101
  }

  /// The sum of the bytes of `word`, which is below 256.
  @inline(__always)
  private static func sum(_ word: UInt64) -> UInt64 {
    (word &* 0x0101_0101_0101_0101) >> 56
  }
}
