// Protocol buffers' wire format, as much of it as a profile needs.

/// A message in the making.
///
/// Fields that are zero or empty are left out, which is how the format says so.
struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  /// Writes a number; one that is negative takes ten bytes.
  mutating func number(_ field: Int, _ value: UInt64) {
    guard value != 0 else { return }
    varint(UInt64(field) << 3)
    varint(value)
  }

  mutating func number(_ field: Int, _ value: Int) {
    number(field, UInt64(bitPattern: Int64(value)))
  }

  mutating func boolean(_ field: Int, _ value: Bool) {
    number(field, value ? 1 : 0)
  }

  /// Writes a text, also if it is empty: for elements of a list.
  mutating func element(_ field: Int, _ text: String) {
    delimited(field, Array(text.utf8))
  }

  /// Writes a list of numbers in one piece.
  mutating func packed(_ field: Int, _ values: [UInt64]) {
    guard !values.isEmpty else { return }
    var list = ProtobufWriter()
    for value in values { list.varint(value) }
    delimited(field, list.bytes)
  }

  /// Writes a message within this one.
  mutating func message(_ field: Int, _ fill: (inout ProtobufWriter) -> Void) {
    var inner = ProtobufWriter()
    fill(&inner)
    delimited(field, inner.bytes)
  }

  private mutating func delimited(_ field: Int, _ content: [UInt8]) {
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(content.count))
    bytes += content
  }

  /// Seven bits a byte, the lowest first; the highest bit says that there are more.
  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
