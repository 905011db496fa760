// Bytes copied out of a file, read as little-endian numbers without ever going past their end.

/// Consecutive bytes of a file.
struct FileBytes {
  var bytes: [UInt8]

  var count: Int { bytes.count }

  /// The number at byte `offset`, nil if it does not lie inside completely.
  func load<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type, at offset: Int
  ) -> Number? {
    let size = MemoryLayout<Number>.size
    guard offset >= 0, bytes.count >= size, offset <= bytes.count - size else { return nil }
    let raw = unsafe bytes.span.bytes
    return Number(
      littleEndian: unsafe raw.unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self))
  }

  /// The bytes from `offset` to the next zero byte, which must follow within `limit` bytes.
  func text(at offset: Int, limit: Int) -> ArraySlice<UInt8>? {
    guard offset >= 0, offset < bytes.count else { return nil }
    let rest = bytes[offset..<min(bytes.count, offset + min(limit, bytes.count - offset))]
    guard let end = rest.firstIndex(of: 0) else { return nil }
    return rest[..<end]
  }
}

/// A place in a file.
struct FileRange: Hashable {
  var offset: UInt64
  var byteCount: UInt64

  /// The part from `start` on, at most `limit` bytes; nil if `start` lies behind the end.
  func dropping(_ start: UInt64, limit: UInt64 = .max) -> FileRange? {
    guard start <= byteCount else { return nil }
    return FileRange(offset: offset &+ start, byteCount: min(limit, byteCount - start))
  }
}
