// Walks in many stops of heaps that nothing happens to: they must find what one stop finds.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Walks in many stops of heaps that stand still")
struct SlicedWalkTests {
  /// Heaps of every kind, of segments that need more than one window, without the contents that a
  /// walk in one stop is not sure of either.
  private func plan(_ shape: GlibcShape, _ seed: UInt64) -> SyntheticPlan {
    var plan = SyntheticPlan.random(shape: shape, seed: seed)
    plan.hazards = []
    if seed % 3 == 0 { plan.longestSegment = 0x60000 }
    if case .moved(.some, let segments) = plan.main {
      plan.main = .moved(brkGaps: [], segments: segments)
      plan.sbrkMisalignment = 0
    }
    return plan
  }

  @Test(
    "as many stops as there can be find exactly what one stop finds",
    arguments: GlibcShape.presets)
  func manyStops(shape: GlibcShape) throws {
    for seed in 0..<6 as Range<UInt64> {
      let heap = SyntheticHeap(plan(shape, seed))
      let whole = try GlibcHeapTests.walk(heap)
      var most = 0
      // Every time, and every few times, with and without a look before.
      for (patience, looksFirst) in [(1, seed % 2 == 0), (2 + Int(seed) % 4, seed % 4 < 2)] {
        let paced = try pacedWalk(heap, patience: patience, looksFirst: looksFirst)
        let wrong = disagreements(of: paced.snapshot, with: heap)
        let comment = Comment(
          rawValue: "\(heap.plan), patience \(patience), looked first \(looksFirst)\n"
            + wrong.joined(separator: "\n"))
        #expect(wrong.isEmpty, comment)
        #expect(paced.snapshot.resynchronisations == 0, comment)
        #expect(paced.snapshot.checks == whole.checks, comment)
        #expect(paced.snapshot.inUse == whole.inUse && paced.snapshot.free == whole.free, comment)
        #expect(paced.snapshot.arenas == whole.arenas, comment)
        most = max(most, paced.stops)
      }
      let pages = heap.segments.reduce(0) { $0 + $1.range.byteCount / heap.plan.pageSize }
      #expect(most >= 2 || pages < 8, "\(heap.plan): \(most) stops for \(pages) pages")
    }
  }

  @Test("a stop shows at least one chunk, and not every chunk is a stop of its own")
  func progress() throws {
    var plan = SyntheticPlan(shape: .named("2.36"), seed: 4)
    plan.longestSegment = 0x200000
    plan.hazards = []
    let heap = SyntheticHeap(plan)
    let stops = try pacedWalk(heap).stops
    #expect(stops > 5 && stops < heap.arenaChunks.count / 4, "\(stops)")
    #expect(try pacedWalk(heap, patience: .max).stops == 1)
  }

  @Test("one arena alone, and the histogram alone, are the same in many stops")
  func parts() throws {
    let heap = SyntheticHeap(GlibcDamageTests.plan(shape: .named("2.31"), seed: 2))
    let counted = try pacedWalk(heap, collectsChunks: false).snapshot
    #expect(counted.chunks.isEmpty)
    #expect(counted.sizes.filter { $0.inUse + $0.free + $0.cached > 0 } == heap.sizes)
    #expect(counted.findings.isEmpty && counted.coverage == 1)
  }

  @Test("damage is named in many stops as in one", arguments: GlibcShape.classes)
  func damage(shape: GlibcShape) throws {
    for damage in [Damage.hugeSize, .zeroSize, .wildSize] {
      for seed in 0..<4 as Range<UInt64> {
        var heap = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: seed))
        var random = SyntheticRandom(seed: seed &+ 77)
        let done = try #require(damage.apply(to: &heap, using: &random))
        let whole = try GlibcHeapTests.walk(heap)
        let paced = try pacedWalk(heap).snapshot
        let comment = Comment(rawValue: "\(done), \(heap.plan)")
        #expect(paced.findings.map(\.kind) == whole.findings.map(\.kind), comment)
        #expect(paced.chunks == whole.chunks && paced.arenas == whole.arenas, comment)
        #expect(paced.isIncomplete && paced.resynchronisations == 0, comment)
      }
    }
  }

  // MARK: Live

  /// What a look at a running target can tell of `heap`: an empty tcache's structure is a block like
  /// any other, and so are cached chunks if no tcache shows how they are linked.
  private func visible(_ heap: SyntheticHeap) -> SyntheticHeap {
    var heap = heap
    for tcache in heap.tcaches where tcache.bins.allSatisfy(\.isEmpty) {
      for segment in heap.segments.indices {
        for index in heap.segments[segment].chunks.indices
        where heap.segments[segment].chunks[index].user == tcache.structure {
          heap.segments[segment].chunks[index].state = .inUse
          let chunk = heap.segments[segment].chunks[index]
          heap.arenas[chunk.arena].summary.tcacheStructures.add(size: chunk.size, count: -1)
          heap.arenas[chunk.arena].summary.inUse.add(size: chunk.size)
        }
      }
    }
    return heap
  }

  @Test(
    "a target that runs but does nothing is read exactly, thread caches and all",
    arguments: GlibcShape.presets)
  func live(shape: GlibcShape) throws {
    for seed in 0..<6 as Range<UInt64> {
      let heap = SyntheticHeap(plan(shape, seed))
      let paced = try pacedWalk(heap, stopsTarget: false)
      let wrong = disagreements(of: paced.snapshot, with: visible(heap))
      #expect(wrong.isEmpty, "\(heap.plan)\n\(wrong.joined(separator: "\n"))")
      #expect(paced.snapshot.resynchronisations == 0)
    }
  }
}
