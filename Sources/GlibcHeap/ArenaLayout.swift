// Where the fields of an arena (`malloc_state`) and of a heap (`heap_info`) lie.

/// Offsets in bytes within `malloc_state`; the same on x86-64 and aarch64.
///
/// Evidence: upstream's struct at every release from 2.17 to 2.44, and the DWARF of Debian's 2.31,
/// 2.36, 2.41, 2.43 and 2.44. The class is told by the distance from the arena to its own `next`
/// field, which is in the libc file, and never by a version number: stable branches back-ported
/// layouts.
package struct ArenaLayout: Hashable, Sendable {
  /// The class's letter.
  package let name: String
  /// The 10 heads of the fastbins, nil where there are none.
  package let fastbins: Int?
  /// The top chunk.
  package let top: Int
  /// The 254 words of the bins' list heads.
  package let bins: Int
  /// The next arena in the ring.
  package let next: Int
  /// How many threads use the arena, nil where it is not counted.
  package let attachedThreads: Int?
  /// `system_mem`.
  package let systemMemory: Int
  /// `max_system_mem`.
  package let maxSystemMemory: Int
  /// The size of the whole structure.
  package let byteCount: Int

  /// glibc 2.17 to 2.22.
  package static let a = ArenaLayout(
    name: "A", fastbins: 8, top: 88, bins: 104, next: 2152,
    attachedThreads: nil, systemMemory: 2168, maxSystemMemory: 2176, byteCount: 2184)
  /// glibc 2.23 to 2.26, and the 2.22 branch.
  package static let b = ArenaLayout(
    name: "B", fastbins: 8, top: 88, bins: 104, next: 2152,
    attachedThreads: 2168, systemMemory: 2176, maxSystemMemory: 2184, byteCount: 2192)
  /// glibc 2.27 to 2.42, and the 2.26 branch: `have_fastchunks` became a field of its own.
  package static let c = ArenaLayout(
    name: "C", fastbins: 16, top: 96, bins: 112, next: 2160,
    attachedThreads: 2176, systemMemory: 2184, maxSystemMemory: 2192, byteCount: 2200)
  /// glibc 2.43 and 2.44: no fastbins.
  package static let d = ArenaLayout(
    name: "D", fastbins: nil, top: 8, bins: 24, next: 2072,
    attachedThreads: 2088, systemMemory: 2096, maxSystemMemory: 2104, byteCount: 2112)

  /// The mutex, a 32-bit word: 0 when free.
  package static let mutex = 0
  /// The flags, a 32-bit word.
  package static let flags = 4
  /// The flag for memory that is not contiguous.
  package static let nonContiguousFlag: UInt32 = 2
  /// How many fastbins there are, for chunks of 32 bytes and each multiple of 16 after it.
  package static let fastbinCount = 10
  /// The bins that hold lists: 1 is unsorted, 2 to 63 small, 64 to 126 large, 127 unused.
  package static let binNumbers = 1..<128

  /// The distance from a bin's two list words back to the pseudo-chunk that its list points to.
  package static let pseudoChunkDistance: UInt64 = 16

  /// Where the two list words (`fd`, `bk`) of bin `number` lie.
  package func binWords(_ number: Int) -> Int {
    bins + 16 * (number - 1)
  }
}

/// Offsets in bytes within `heap_info`, which begins each heap of a thread arena.
package struct HeapInfoLayout: Hashable, Sendable {
  /// The size of the structure: 32, and 48 from glibc 2.35 (`pagesize` was added).
  package let byteCount: Int

  /// The arena that the heap belongs to.
  package static let arena = 0
  /// The heap before it, 0 in the first.
  package static let previous = 8
  /// How many bytes of the heap are in use by the arena.
  package static let size = 16

  /// The addresses that heaps are aligned to, unless huge pages were asked for.
  package static let defaultHeapMaximum: UInt64 = 64 << 20

  /// Where the first chunk lies in a heap, in bytes from its start: behind the heap's header and,
  /// in the first heap, the arena, rounded up to a multiple of 16.
  package func firstChunk(isFirstHeap: Bool, arena layout: ArenaLayout) -> UInt64 {
    let end = UInt64(byteCount + (isFirstHeap ? layout.byteCount : 0))
    return (end + 15) & ~15
  }
}
