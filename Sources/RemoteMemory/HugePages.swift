// Memory of our own, in pages of 2 MiB if they are wanted.

import Glibc

/// A large block of memory, of which nothing is touched yet.
///
/// A page of 4 KiB costs 1.5 us when it is first touched (measured on a virtual machine), which for 72 MiB is
/// 28 ms; in huge pages it is 6 to 17 ms. But there, for some time after, reading the memory of another process
/// took up to a hundred times as long: of 90 captures in many short stops, 22 had one of 9 to 22 ms instead of 5,
/// and of 40 without huge pages none. They are for what is done in one long stop.
@safe package struct MemoryBlock: ~Copyable {
  /// How large a huge page is.
  static let hugePageSize = 2 << 20

  /// Its first byte; valid as long as the block is.
  package let start: UnsafeMutableRawPointer
  /// Its size in bytes.
  private let byteCount: Int

  /// Where it is.
  package var extent: Range<UInt> {
    let first = unsafe UInt(bitPattern: start)
    return first..<first + UInt(byteCount)
  }

  /// Allocates at least `byteCount` bytes; in huge pages if they are wanted and the kernel has them.
  package init(byteCount: Int, inHugePages isHuge: Bool) {
    let size =
      max(1, (byteCount + Self.hugePageSize - 1) / Self.hugePageSize) * Self.hugePageSize
    unsafe start = UnsafeMutableRawPointer.allocate(
      byteCount: size, alignment: Self.hugePageSize)
    self.byteCount = size
    // Where it is refused, pages are small.
    if isHuge { _ = unsafe madvise(start, size, MADV_HUGEPAGE) }
  }

  deinit {
    unsafe start.deallocate()
  }
}

extension Array where Element: BitwiseCopyable {
  /// An empty array with room for `count` elements, in huge pages where the kernel has them; nothing of it is
  /// touched.
  package init(hugeCapacity count: Int) {
    unsafe self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = 0
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      guard let base = bytes.baseAddress else { return }
      let first = (UInt(bitPattern: base) &+ 4095) & ~4095
      let end = (UInt(bitPattern: base) &+ UInt(bytes.count)) & ~4095
      guard let start = unsafe UnsafeMutableRawPointer(bitPattern: first), end > first else {
        return
      }
      _ = unsafe madvise(start, Int(end - first), MADV_HUGEPAGE)
    }
  }

  /// Where the room for its first `count` elements is; valid as long as nothing is added beyond its capacity.
  package mutating func extent(ofFirst count: Int) -> Range<UInt> {
    let size = UInt(Swift.min(count, capacity) * MemoryLayout<Element>.stride)
    return unsafe withUnsafeMutableBytes { bytes in
      let first = UInt(bitPattern: bytes.baseAddress)
      return first..<first + size
    }
  }
}
