// Stops between two stores of malloc: what a thread has in its hands is named, and nothing else is
// hidden or invented by what its chunks were before.

import GlibcHeap
import HeapModel
import TestKit
import Testing

@Suite("A synthetic heap between two stores of malloc")
struct InterruptedMallocTests {
  @Test(
    "the other chunks are as they are, and every byte is accounted for",
    arguments: GlibcShape.classes, SyntheticCut.allCases)
  func cut(shape: GlibcShape, cut: SyntheticCut) throws {
    var stops = 0
    for seed in 0..<40 as Range<UInt64> {
      var heap = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: seed))
      var instance = try #require(try MallocInstance.find(in: heap.images).first)
      instance.code = AddressRange(heap.threads[0].programCounter, byteCount: 1)
      var random = SyntheticRandom(seed: seed &+ 5)
      guard let moment = heap.stop(cut, using: &random) else { continue }
      stops += 1
      let snapshot = try HeapWalk.snapshot(
        of: instance, reader: heap.memory.image, mappings: heap.mappings, threads: heap.threads,
        options: WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true))
      let comment = Comment(rawValue: "\(moment.damage), \(heap.plan)")
      #expect(snapshot.coverage == 1 && !snapshot.isIncomplete, comment)
      let kinds = Set(snapshot.findings.map(\.kind))
      #expect(kinds == [.inTransit], "\(comment): \(snapshot.findings)")
      #expect(snapshot.checks.allSatisfy { $0.holds }, "\(comment): \(snapshot.checks)")
      expectSoundRest(snapshot, of: heap, after: moment.damage)
      expectSums(snapshot, heap)
    }
    // Before 2.26 there are no tcaches.
    #expect(stops >= 4 || cut == .overCached && shape.tcache == .none, "\(stops)")
  }
}
