// Keys that are characters: ASCII, its control characters, and UTF-8.

extension KeyDecoder {
  /// The key of a byte below 0x80 other than the escape.
  static func key(ofByte byte: UInt8) -> Key? {
    switch byte {
    case 0x09: .tab
    case 0x0A, 0x0D: .enter
    case 0x08, 0x7F: .backspace
    case 0x01...0x1A: .control(Character(Unicode.Scalar(byte + 0x60)))
    case 0x00, 0x1B...0x1F: .control(Character(Unicode.Scalar(byte + 0x40)))
    default: .character(Character(Unicode.Scalar(byte)))
    }
  }

  /// The character that `bytes`, the first of them 0x80 or greater, begin with, and of how many.
  ///
  /// Nil if it is not whole yet. What is malformed, and a control character, is no key.
  static func character(in bytes: [UInt8]) -> (byteCount: Int, key: Key?)? {
    let lead = bytes[0]
    let byteCount: Int
    // The second bytes that make no overlong form, no surrogate and nothing beyond U+10FFFF.
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch lead {
    case 0xC2...0xDF:
      byteCount = 2
    case 0xE0...0xEF:
      byteCount = 3
      if lead == 0xE0 { second = 0xA0...0xBF }
      if lead == 0xED { second = 0x80...0x9F }
    case 0xF0...0xF4:
      byteCount = 4
      if lead == 0xF0 { second = 0x90...0xBF }
      if lead == 0xF4 { second = 0x80...0x8F }
    default:
      return (1, nil)
    }
    for index in 1..<byteCount {
      guard index < bytes.count else { return nil }
      let allowed = index == 1 ? second : 0x80...0xBF
      guard allowed.contains(bytes[index]) else { return (index, nil) }
    }
    let text = String(decoding: bytes.prefix(byteCount), as: UTF8.self)
    guard let scalar = text.unicodeScalars.first, scalar.value >= 0xA0 else {
      return (byteCount, nil)
    }
    return (byteCount, .character(Character(scalar)))
  }
}
