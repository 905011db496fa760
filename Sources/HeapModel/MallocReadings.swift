// What only a process's memory tells of how its malloc is laid out.

/// How a walk found a malloc's lists and caches to be laid out, by what they hold.
package struct MallocReadings: Hashable, Sendable {
  /// A thread's cache.
  package struct Cache: Hashable, Sendable {
    /// The size of its structure in bytes.
    package var byteCount: Int
    /// The size of the chunk that holds it.
    package var chunkSize: UInt64
    /// Where the pointer to it is in the library's thread-local block, in bytes; nil if it was found by
    /// what it holds alone.
    package var offset: UInt64?
    /// In how many threads one was found.
    package var threads: Int

    /// Makes a cache.
    package init(byteCount: Int, chunkSize: UInt64, offset: UInt64?, threads: Int) {
      self.byteCount = byteCount
      self.chunkSize = chunkSize
      self.offset = offset
      self.threads = threads
    }
  }

  /// Whether links within lists are masked with their own address; nil if none told.
  package var masksLinks: Bool?
  /// The threads' caches, nil if none was found.
  package var cache: Cache?
  /// The size of `heap_info` that the addresses of thread arenas tell; nil without any.
  package var heapInfoByteCount: Int?

  /// Makes readings of nothing.
  package init() {}
}
