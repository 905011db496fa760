// Checks the synthetic heap builder against the identities that hold in every glibc process, so
// that a wrong builder is not taken for a wrong walker.

import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Synthetic heaps")
struct SyntheticHeapTests {
  @Test("every arena's parts add up to its system_mem", arguments: GlibcShape.presets)
  func partsAddUp(shape: GlibcShape) {
    for seed in 0..<16 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      for arena in heap.arenas {
        let summary = arena.summary
        let chunks = summary.inUse.bytes + summary.free.bytes + summary.cached.bytes
        let rest = summary.tcacheStructures.bytes + summary.topBytes
        let outside = summary.headerBytes + summary.foreignBytes
        #expect(chunks + rest + outside == summary.systemBytes, "\(heap.plan)")
        let place = arena.address + shape.arenaFields.systemMem
        #expect(heap.memory.word(at: place) == summary.systemBytes)
        for range in arena.heaps {
          #expect(heap.memory.word(at: range.lowerBound.bits) == arena.address)
          #expect(heap.memory.word(at: range.lowerBound.bits + 16) == range.byteCount)
        }
      }
    }
  }

  @Test(
    "each segment's chain of sizes leads through exactly its chunks", arguments: GlibcShape.presets)
  func chainsLeadThroughChunks(shape: GlibcShape) {
    for seed in 0..<8 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      for segment in heap.segments {
        var cursor = segment.range.lowerBound.bits
        #expect(cursor % 16 == 0)
        var isPreviousFree = false
        for chunk in segment.chunks {
          #expect(chunk.address == cursor)
          let size = heap.memory.word(at: cursor + 8)
          #expect(size & ~7 == chunk.size)
          #expect((size & 1 == 0) == isPreviousFree, "\(heap.plan) at \(RemoteAddress(cursor))")
          isPreviousFree = chunk.state == .binned
          cursor += size & ~7
          if isPreviousFree { #expect(heap.memory.word(at: cursor) == chunk.size) }
        }
        switch segment.tail {
        case .top: #expect(cursor == segment.end)
        case .fenceposts(let count):
          #expect(cursor == segment.end - UInt64(count) * 16)
          #expect(segment.end % heap.plan.pageSize == 0)
          #expect(heap.memory.word(at: segment.end - 8) == 0x11)
        case .terminator: #expect(heap.memory.word(at: segment.end - 8) == 1)
        }
      }
    }
  }

  @Test(
    "a contiguous main arena ends where sbrk_base and system_mem say", arguments: GlibcShape.presets
  )
  func breakEndsAtTop(shape: GlibcShape) throws {
    for seed in [0, 2, 3, 8, 10] as [UInt64] {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      let summary = heap.arenas[0].summary
      let place = heap.parameters.bits + shape.parameterFields.sbrkBase
      let top = try #require(summary.topAddress).bits
      #expect(heap.memory.word(at: place) + summary.systemBytes == top + summary.topBytes)
    }
  }

  @Test("the lists hold exactly the chunks of their state", arguments: GlibcShape.presets)
  func listsHoldTheirChunks(shape: GlibcShape) {
    for seed in 0..<8 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      let fields = shape.arenaFields
      for (index, arena) in heap.arenas.enumerated() where arena.summary.topAddress != nil {
        var binned: Set<UInt64> = []
        for bin in 1...127 {
          let pseudo = arena.address + fields.bins + UInt64(bin - 1) * 16 - 16
          var last = pseudo
          var cursor = heap.memory.word(at: pseudo + 16)
          while cursor != pseudo {
            #expect(heap.memory.word(at: cursor + 24) == last)
            #expect(binned.insert(cursor).inserted)
            last = cursor
            cursor = heap.memory.word(at: cursor + 16)
          }
          #expect(heap.memory.word(at: pseudo + 24) == last)
        }
        let expected = heap.arenaChunks.filter { $0.arena == index && $0.state == .binned }
        #expect(binned == Set(expected.map(\.address)))
      }
      let cached = heap.tcaches.reduce(0) { $0 + $1.bins.reduce(0) { $0 + $1.count } }
      #expect(cached == heap.arenaChunks.count { $0.state == .tcache })
      let fast = heap.arenas.reduce(0) { $0 + $1.fastbins.reduce(0) { $0 + $1.count } }
      #expect(fast == heap.arenaChunks.count { $0.state == .fastbin })
    }
  }

  @Test("mmapped chunks end with their mappings", arguments: GlibcShape.presets)
  func mmappedChunksEndWithMappings(shape: GlibcShape) {
    for seed in 0..<16 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      for (chunk, mapping) in zip(heap.mmapped, heap.mmappedMappings) {
        let header = chunk.userAddress.bits - 16
        let words = [heap.memory.word(at: header), heap.memory.word(at: header + 8)]
        #expect(words[0] == header - mapping.lowerBound.bits)
        let length = words[0] + (words[1] & ~7) + (shape.isAtLeast243 ? 16 : 0)
        #expect(length == mapping.byteCount)
        #expect(chunk.range.upperBound == mapping.upperBound)
        let inPage = chunk.userAddress.bits % heap.plan.pageSize
        #expect(inPage & (inPage &- 1) == 0)
      }
    }
  }

  @Test("over all seeds each kind of content occurs")
  func everyKindOccurs() {
    var states: Set<ChunkState> = []
    var tails: Set<SyntheticSegment.Tail> = []
    for seed in 0..<16 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: .named("2.36"), seed: seed))
      states.formUnion(heap.arenaChunks.map(\.state))
      tails.formUnion(heap.segments.map(\.tail))
    }
    #expect(states == Set(ChunkState.allCases))
    #expect(
      tails == [
        .top, .fenceposts(2), .fenceposts(3), .terminator(isMerged: false),
        .terminator(isMerged: true),
      ])
  }
}
