// The bytes of one fuzzed input, from the front to the end.

/// Takes numbers from an input; behind its end there are zeros.
struct FuzzBytes {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Whether all bytes were taken.
  var isAtEnd: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    position += 1
    return bytes[position - 1]
  }

  /// A little-endian number of `count` bytes.
  mutating func number(_ count: Int) -> UInt64 {
    (0..<UInt64(count)).reduce(0) { $0 | UInt64(byte()) << (8 * $1) }
  }

  /// The next `count` bytes, fewer at the end.
  mutating func bytes(_ count: Int) -> ArraySlice<UInt8> {
    let start = min(position, bytes.count)
    position = min(start + count, bytes.count)
    return bytes[start..<position]
  }
}
