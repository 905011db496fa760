// JSON text, written in order, without a tree in memory.

/// A compact JSON document in the making.
struct JSONWriter {
  private(set) var buffer = OutputBuffer()
  private var needsComma = false

  // MARK: Containers

  mutating func object<Failure: Error>(
    _ key: String? = nil, _ members: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    try nest(key, UInt8(ascii: "{"), UInt8(ascii: "}"), members)
  }

  mutating func array<Failure: Error>(
    _ key: String? = nil, _ elements: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    try nest(key, UInt8(ascii: "["), UInt8(ascii: "]"), elements)
  }

  // MARK: Values

  /// Writes a number, or null if it is not known.
  mutating func number(_ key: String?, _ value: UInt64?) {
    guard let value else { return null(key) }
    begin(key)
    buffer.append(decimal: value)
  }

  /// Writes a number, or null if it is not known.
  mutating func number(_ key: String?, _ value: Int?) {
    guard let value else { return null(key) }
    begin(key)
    buffer.append(decimal: value)
  }

  /// Writes a number that is already text, so that it has exactly these digits.
  mutating func number(_ key: String?, digits: String) {
    begin(key)
    buffer.append(digits)
  }

  mutating func boolean(_ key: String?, _ value: Bool) {
    begin(key)
    buffer.append(value ? "true" : "false")
  }

  mutating func null(_ key: String?) {
    begin(key)
    buffer.append("null")
  }

  /// Writes an address as a `0x` string.
  mutating func address(_ key: String?, _ bits: UInt64) {
    begin(key)
    buffer.append(UInt8(ascii: "\""))
    buffer.append(hexadecimal: bits)
    buffer.append(UInt8(ascii: "\""))
  }

  /// Writes a string, or null; Swift strings are valid UTF-8, so only what JSON forbids and the
  /// delete character are escaped.
  mutating func string(_ key: String?, _ value: String?) {
    guard let value else { return null(key) }
    begin(key)
    quoted(value)
  }

  // MARK: Ending

  /// Ends the document with a line feed and hands it over.
  mutating func finish<Sink: ByteSink & ~Copyable>(
    into sink: inout Sink
  ) throws(Sink.Failure) {
    buffer.append(UInt8(ascii: "\n"))
    try buffer.drain(into: &sink)
  }

  /// Hands over what has gathered, if it is much: call it once an element of a long array.
  mutating func drainIfFull<Sink: ByteSink & ~Copyable>(
    into sink: inout Sink
  ) throws(Sink.Failure) {
    try buffer.drainIfFull(into: &sink)
  }

  private mutating func nest<Failure: Error>(
    _ key: String?, _ opening: UInt8, _ closing: UInt8,
    _ content: (inout JSONWriter) throws(Failure) -> Void
  ) throws(Failure) {
    begin(key)
    buffer.append(opening)
    needsComma = false
    try content(&self)
    buffer.append(closing)
    needsComma = true
  }

  private mutating func begin(_ key: String?) {
    if needsComma { buffer.append(UInt8(ascii: ",")) }
    needsComma = true
    guard let key else { return }
    // Keys are our own words, which hold nothing to escape.
    buffer.append(UInt8(ascii: "\""))
    buffer.append(key)
    buffer.append(UInt8(ascii: "\""))
    buffer.append(UInt8(ascii: ":"))
  }

  private mutating func quoted(_ text: String) {
    buffer.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): buffer.append("\\\"")
      case UInt8(ascii: "\\"): buffer.append("\\\\")
      case UInt8(ascii: "\n"): buffer.append("\\n")
      case UInt8(ascii: "\r"): buffer.append("\\r")
      case UInt8(ascii: "\t"): buffer.append("\\t")
      case 0..<0x20, 0x7F:
        buffer.append(byte < 0x10 ? "\\u000" : "\\u00")
        buffer.append(String(byte, radix: 16))
      default: buffer.append(byte)
      }
    }
    buffer.append(UInt8(ascii: "\""))
  }
}
