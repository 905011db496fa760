// Counts of chunks with their bytes, and the histogram made of them.

/// A number of chunks and the sum of their sizes.
package struct Tally: Hashable, Sendable, BitwiseCopyable {
  /// How many chunks.
  package var count: Int
  /// Their sizes with headers, in bytes.
  package var bytes: UInt64

  /// Makes a tally, by default of nothing.
  package init(count: Int = 0, bytes: UInt64 = 0) {
    self.count = count
    self.bytes = bytes
  }

  /// Adds `count` chunks of `size` bytes each.
  package mutating func add(size: UInt64, count: Int = 1) {
    self.count &+= count
    bytes &+= size &* UInt64(truncatingIfNeeded: count)
  }

  package static func += (left: inout Tally, right: Tally) {
    left.count &+= right.count
    left.bytes &+= right.bytes
  }
}

/// The chunks of one exact size: one row of the histogram.
package struct SizeClass: Hashable, Sendable, BitwiseCopyable {
  /// The chunk size with header, in bytes.
  package var size: UInt64
  /// Chunks held by the program.
  package var inUse: Int
  /// Chunks in a bin.
  package var free: Int
  /// Chunks in a tcache or fastbin.
  package var cached: Int

  /// Makes a row, by default an empty one.
  package init(size: UInt64, inUse: Int = 0, free: Int = 0, cached: Int = 0) {
    self.size = size
    self.inUse = inUse
    self.free = free
    self.cached = cached
  }

  /// Bytes held by the program.
  package var inUseBytes: UInt64 { size &* UInt64(truncatingIfNeeded: inUse) }
  /// Bytes in bins.
  package var freeBytes: UInt64 { size &* UInt64(truncatingIfNeeded: free) }
  /// Bytes in tcaches and fastbins.
  package var cachedBytes: UInt64 { size &* UInt64(truncatingIfNeeded: cached) }
}
