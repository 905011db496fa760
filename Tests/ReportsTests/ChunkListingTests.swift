// Which chunks of a row are listed.

import HeapAnalysis
import HeapModel
import Testing

@Suite("Chunk listings")
struct ChunkListingTests {
  @Test("chunks listed of a row are spread, held ones first, and an arena's are its own")
  func listing() {
    var snapshot = HeapSnapshot()
    snapshot.arenas = [0x1000, 0x2000].enumerated().map { index, address in
      ArenaSummary(
        index: index, address: RemoteAddress(address), kind: index == 0 ? .main : .thread)
    }
    snapshot.arenas[1].inUse = Tally(count: 20, bytes: 960)
    snapshot.sizes = [SizeClass(size: 48, inUse: 1000, free: 10, cached: 0)]
    snapshot.chunks = (0..<1010).map { number in
      Chunk(
        userAddress: RemoteAddress(0x10000 + UInt64(number) * 48), size: 48, usableSize: 40,
        state: number % 101 == 0 ? .binned : .inUse, arena: number < 990 ? 0 : 1)
    }
    let sizes = ChunkListing(snapshot, of: .sizes(48...48), limit: 100)
    #expect(sizes.chunks.count == 100 && sizes.total == 1010)
    #expect(sizes.chunks.allSatisfy { $0.state == .inUse })
    #expect(sizes.chunks.last.map { $0.userAddress > snapshot.chunks[980].userAddress } == true)
    let arena = ChunkListing(snapshot, of: .arena(RemoteAddress(0x2000)), limit: 100)
    #expect(arena.chunks.count == 20 && arena.chunks.allSatisfy { $0.arena == 1 })
    #expect(arena.total == 20)
    #expect(
      ChunkListing(snapshot, of: .arena(RemoteAddress(0x3000)), limit: 100).chunks.isEmpty)
  }
}
