// Little-endian loads from bytes that came from the target.

/// Bytes copied from the target; a load outside of them is nil.
struct CopiedBytes: Equatable {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  func word(at offset: Int) -> UInt64? { load(at: offset, as: UInt64.self) }
  func halfWord(at offset: Int) -> UInt32? { load(at: offset, as: UInt32.self) }
  func quarterWord(at offset: Int) -> UInt16? { load(at: offset, as: UInt16.self) }
  func byte(at offset: Int) -> UInt8? { load(at: offset, as: UInt8.self) }

  private func load<Value: BitwiseCopyable>(at offset: Int, as type: Value.Type) -> Value? {
    guard offset >= 0, offset <= bytes.count - MemoryLayout<Value>.size else { return nil }
    let span = unsafe bytes.span.bytes
    return unsafe span.unsafeLoadUnaligned(fromByteOffset: offset, as: type)
  }
}

extension RawSpan {
  /// The little-endian word at `offset`; the caller has checked that it lies inside.
  @inline(__always)
  func word(at offset: Int) -> UInt64 {
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
}
