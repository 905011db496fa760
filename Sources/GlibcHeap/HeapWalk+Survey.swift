// The unstopped look before the walk: where large chunks are, and how large chunks are on the whole.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How much memory the look may copy.
  ///
  /// Small chunks use it up soon; large ones, of which only the headers are read, take long.
  private static var surveyBytes: UInt64 { 16 << 20 }
  /// What a large chunk is counted as whose header is there already, so that a look at millions of them
  /// ends.
  private static var jumpBytes: UInt64 { 1 << 10 }
  /// The least size of a chunk that counts as large: what is copied at once where chunks are small is
  /// much more.
  private static var largeSize: UInt64 { 16 << 10 }

  /// Follows chunks from each segment's beginning and notes the large ones behind large ones, and how
  /// many chunks it met in how many bytes.
  mutating func lookForLargeChunks(
    of arenas: [Arena], into hints: inout HeapHints
  ) throws(ReadFault) {
    var bytesLeft = Self.surveyBytes
    for (index, arena) in arenas.enumerated() where bytesLeft > 0 {
      self.arena = arena
      for (start, limit) in surveySegments(isMain: index == 0) where bytesLeft > 0 {
        try follow(from: start, to: limit, &bytesLeft, &hints)
      }
    }
    hints.farHeaders.sort()
    hints.tcacheKey = try tcacheKey()
  }

  private func surveySegments(isMain: Bool) -> [(start: UInt64, limit: UInt64)] {
    guard !isMain else {
      guard let start = mainStart else { return [] }
      return [(start, breakLimit(from: start))]
    }
    return (heaps[arena.address] ?? []).map { heap in
      let isFirst = heap.range.contains(arena.address)
      let first = HeapInfoLayout(byteCount: heapInfoSize(of: arena))
        .firstChunk(isFirstHeap: isFirst, arena: arena.layout)
      return (heap.start &+ first, heap.range.upperBound.bits)
    }
  }

  private mutating func follow(
    from start: UInt64, to limit: UInt64, _ bytesLeft: inout UInt64, _ hints: inout HeapHints
  ) throws(ReadFault) {
    var address = start
    var isBehindLarge = false
    while address < limit, limit &- address >= 32, address != arena.top.bits {
      if window.holds(address, 16) {
        if isBehindLarge { bytesLeft &-= min(bytesLeft, Self.jumpBytes) }
      } else {
        guard bytesLeft > 0,
          try window.move(to: address, holding: 16, limit: limit, reader: reader)
        else { return }
        bytesLeft &-= min(bytesLeft, UInt64(window.count))
        hints.bytesCopied &+= UInt64(window.count)
      }
      guard let field = window.word(at: address &+ 8) else { return }
      let size = field & ~7
      guard field & 0b1010 == 0, size >= 32, size <= limit &- address else { return }
      let isLarge = size >= Self.largeSize
      // Links on another page than the header may never have been touched.
      let isOnOnePage = address & 4095 <= 4096 - 32
      if isLarge, isBehindLarge, isOnOnePage { hints.farHeaders.append(address) }
      if TcacheLayout.chunkSizes.contains(size) {
        scan.noteWatched(address)
      }
      hints.chunksSeen += 1
      hints.bytesSeen &+= size
      isBehindLarge = isLarge
      address &+= size
    }
  }
}
