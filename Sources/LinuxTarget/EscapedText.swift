// Text in which some bytes are written as a mark and a number, as the kernel and systemd do.

/// How bytes are written that would not be safe in a line or a file name.
enum Escape {
  /// The kernel's way in mount tables: a backslash and three octal digits.
  case octal
  /// systemd's way in names of units: `\x` and two hexadecimal digits.
  case hexadecimal

  private var mark: String {
    switch self {
    case .octal: "\\"
    case .hexadecimal: "\\x"
    }
  }

  /// The text with these bytes; what only looks like an escape stays as it is.
  func undone(in text: some StringProtocol) -> String {
    let bytes = Array(text.utf8)
    let mark = mark.utf8
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      // Either is four bytes long.
      if bytes[index...].starts(with: mark), index + 4 <= bytes.count,
        let value = UInt8(
          String(decoding: bytes[index + mark.count..<index + 4], as: UTF8.self),
          radix: self == .octal ? 8 : 16)
      {
        result.append(value)
        index += 4
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
