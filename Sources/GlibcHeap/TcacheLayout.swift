// Where the parts of a thread's tcache structure lie.

/// Offsets in bytes within `tcache_perthread_struct`.
///
/// Evidence: upstream's struct, Debian's DWARF. Which one a process uses is told by the size of the
/// chunk that holds the structure.
package struct TcacheLayout: Hashable, Sendable {
  /// The size of the chunk that holds it, without flags.
  package let chunkSize: UInt64
  /// By how many bytes that may be larger, since what was left of a chunk was too small for one: 16 for
  /// what malloc cuts, and 32 for what memalign does, as 2.43 allocates it.
  package var slack: UInt64 { countsFreeSlots ? 32 : 16 }
  /// How many bins there are.
  package let binCount: Int
  /// The width of a counter in bytes; the counters begin the structure.
  package let counterWidth: Int
  /// Where the list heads begin.
  package let heads: Int
  /// Whether a counter holds the slots that are left instead of those that are taken.
  package let countsFreeSlots: Bool

  /// glibc 2.26 to 2.29.
  package static let bytes = TcacheLayout(
    chunkSize: 0x250, binCount: 64, counterWidth: 1, heads: 64, countsFreeSlots: false)
  /// glibc 2.30 to 2.41, and the 2.28 and 2.29 branches.
  package static let words = TcacheLayout(
    chunkSize: 0x290, binCount: 64, counterWidth: 2, heads: 128, countsFreeSlots: false)
  /// glibc 2.42 to 2.44.
  package static let slots = TcacheLayout(
    chunkSize: 0x300, binCount: 76, counterWidth: 2, heads: 152, countsFreeSlots: true)

  /// All of them.
  package static let all: [TcacheLayout] = [.bytes, .words, .slots]

  /// The sizes of their chunks.
  static let chunkSizes = bytes.chunkSize...slots.chunkSize + slots.slack

  /// The bins for one chunk size each: bin i holds chunks of 32 + 16 * i bytes.
  package static let smallBinCount = 64

  /// The size of the whole structure.
  package var byteCount: Int { heads + 8 * binCount }

  /// Whether `field` can be the size field of a structure's chunk.
  func isHeader(_ field: UInt64) -> Bool {
    field & 2 == 0 && field & ~7 >= chunkSize && field & ~7 <= chunkSize + slack
  }

  /// Whether the counters of a structure at `offset` in `bytes`, which holds them, are none above `fill`,
  /// and say that something is cached.
  func countersFit(_ bytes: RawSpan, at offset: Int, fill: UInt64) -> Bool {
    let width = UInt64(8 * counterWidth)
    var isEmpty = true
    for place in stride(from: 0, to: counterWidth * binCount, by: 8) {
      var word = bytes.word(at: offset + place)
      for _ in 0..<8 / counterWidth {
        let counter = word & (1 << width - 1)
        if counter > fill { return false }
        if counter != (countsFreeSlots ? fill : 0) { isEmpty = false }
        word >>= width
      }
    }
    return !isEmpty
  }

  /// The smallest and the largest chunk size that bin `index` may hold, in bytes.
  ///
  /// The 12 large bins of glibc 2.42 hold chunks of one power of two each, from 0x420 to 4 MiB.
  package func chunkSizes(inBin index: Int) -> ClosedRange<UInt64> {
    if index < Self.smallBinCount {
      let size = 32 + 16 * UInt64(index)
      return size...size
    }
    let exponent = UInt64(index - Self.smallBinCount) + 10
    return (index == Self.smallBinCount ? 0x420 : 1 << exponent)...((2 << exponent) - 16)
  }
}
