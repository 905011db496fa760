// The innermost loop of the walk.

import HeapModel
import RemoteMemory

/// What takes note of the chunks of a run.
protocol RunKeeper {
  /// Whether it has no room for another one.
  var isFull: Bool { get }
  /// Takes note of the chunk whose header is at `offset` in `bytes`.
  mutating func keep(_ bytes: RawSpan, at offset: Int)
}

/// Takes note of nothing.
struct KeepsNothing: RunKeeper {
  var isFull: Bool { false }

  @inline(__always)
  func keep(_ bytes: RawSpan, at offset: Int) {}
}

/// A run of plain chunks: in use, not marked, in no fastbin, as most are.
///
/// A loop of its own because so little is alive in it that it stays in registers.
struct PlainRun {
  /// The chunk that is not counted yet, and its size field.
  var chunk: UInt64
  var field: UInt64
  /// How many chunks were counted.
  var count = 0

  /// Counts chunks until one is not plain, its header lies after `lastHeader` (in bytes from `base`,
  /// where the window begins), the boundary is reached, or `keeper` is full.
  @inline(__always)
  mutating func advance<Keeper: RunKeeper>(
    through window: RawSpan, base: UInt64, lastHeader: UInt64, ground: ChainScan.Ground,
    flat: inout MutableSpan<SizeCounts>, keeper: inout Keeper
  ) {
    let inUseFlags = ground.forbiddenFlags | 1
    let boundary = ground.boundary &- base
    let fastbinLimit = ground.fastbinLimit
    let watchedSize = ground.watchedSize
    let watchedReach = ground.watchedReach
    // No word of a program's is left out by the key of none.
    let tcacheKey = ground.tcacheKey == 0 ? UInt64.max : ground.tcacheKey
    let linkMask: UInt64 = if case .masked = ground.linking { .max } else { 0 }
    var offset = chunk &- base
    var field = field
    var count = 0
    while !keeper.isFull {
      let size = field & ~7
      let next = offset &+ size
      guard next <= lastHeader, next < boundary, size < SizeTable.flatLimit else { break }
      let nextField = window.word(at: Int(truncatingIfNeeded: next) &+ 8)
      // Looked at whether needed or not: a branch on the size would often be mispredicted. A link
      // of a fastbin's is a multiple of 16 when decoded.
      let stored = window.word(at: Int(truncatingIfNeeded: offset) &+ 16)
      let link = stored ^ ((base &+ offset &+ 16) >> 12 & linkMask)
      guard nextField & inUseFlags == 1, nextField >= 32, nextField & ~7 <= boundary &- next,
        link & 15 != 0 || size > fastbinLimit, size &- watchedSize > watchedReach,
        window.word(at: Int(truncatingIfNeeded: offset) &+ 24) != tcacheKey
      else { break }
      flat[Int(truncatingIfNeeded: size >> 4)].inUse &+= 1
      keeper.keep(window, at: Int(truncatingIfNeeded: offset))
      count &+= 1
      offset = next
      field = nextField
    }
    chunk = base &+ offset
    self.field = field
    self.count = count
  }
}
