// The words of a heap that lead into the heap.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Words that may be pointers into the heap")
struct ReferenceTests {
  /// The words of chunks in use that lead to others, by looking at each.
  private func expected(_ heap: SyntheticHeap) throws -> Set<HeapReference> {
    let ranges = heap.chunks.filter { $0.state == .inUse }.map {
      AddressRange($0.userAddress, byteCount: $0.usableSize)
    }
    let low = ranges.map(\.lowerBound).min()?.bits ?? 0
    let high = ranges.map(\.upperBound).max()?.bits ?? 0
    var found: Set<HeapReference> = []
    for chunk in heap.chunks where chunk.state == .inUse {
      for offset in stride(from: 0, to: chunk.usableSize &- 7, by: 8) {
        let place = RemoteAddress(chunk.userAddress.bits + offset)
        guard let word = try heap.image.word(at: place), word & 7 == 0, word >= low, word < high,
          ranges.contains(where: { $0.contains(RemoteAddress(word)) })
        else { continue }
        found.insert(HeapReference(place: place, target: RemoteAddress(word)))
      }
    }
    return found
  }

  @Test("every one is found, ascending, in one stop and in many", arguments: GlibcShape.classes)
  func everyWord(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      plan.hazards = []
      var heap = SyntheticHeap(plan)
      // Pointers from each chunk in use to the beginning and to the middle of others.
      let chunks = heap.chunks.filter { $0.state == .inUse && $0.usableSize >= 40 }
      for (index, chunk) in chunks.enumerated() {
        let other = chunks[(index * 7 + 3) % chunks.count]
        heap.memory.store(other.userAddress.bits, at: chunk.userAddress.bits + 16)
        heap.memory.store(other.userAddress.bits + 8, at: chunk.userAddress.bits + 32)
      }
      let expected = try expected(heap)
      #expect(expected.count >= 2 * chunks.count)
      for patience in [Int.max, 2] {
        let found = try pacedWalk(heap, patience: patience, collectsReferences: true).snapshot
        let places = found.references.map(\.place)
        #expect(places == places.sorted(), "\(plan)")
        #expect(Set(places).count == places.count, "\(plan)")
        #expect(expected.subtracting(found.references).isEmpty, "\(plan), patience \(patience)")
        for reference in found.references {
          #expect(try heap.image.word(at: reference.place) == reference.target.bits)
        }
      }
      #expect(try pacedWalk(heap).snapshot.references.isEmpty)
    }
  }
}
