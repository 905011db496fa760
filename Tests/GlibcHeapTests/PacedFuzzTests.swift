// Heaps that are corrupted a little more in every stop: the walk always ends, within bounded work.

import GlibcHeap
import HeapFuzzing
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Walks in many stops of heaps that are corrupted meanwhile")
struct PacedFuzzTests {
  static let seedCount: UInt64 = 40

  @Test(
    "whatever changes between two stops, the walk ends and counts nothing impossible",
    arguments: GlibcShape.classes)
  func corruption(shape: GlibcShape) throws {
    let heaps = (0..<3 as Range<UInt64>).map { seed in
      var plan = GlibcDamageTests.plan(shape: shape, seed: seed)
      plan.hazards = [.foreignChains, .remnants, .resizedMappings]
      if seed == 1 { plan.main = .contiguous(foreignGaps: [100, 0x2000]) }
      if seed == 2 { plan.main = .moved(brkGaps: [24], segments: 1) }
      return SyntheticHeap(plan)
    }
    var failures: [String] = []
    var most = 0
    for seed in 0..<Self.seedCount {
      for stopsTarget in [true, false] {
        let heap = heaps[Int(seed % 3)]
        var changing = heap
        var random = SyntheticRandom(seed: seed)
        // From a word in every stop to dozens.
        let count = 1 << random.index(6)
        let paced = try pacedWalk(heap, stopsTarget: stopsTarget) { _, process in
          if random.chance(70) { changing.corruptStructures(count, using: &random) }
          if random.chance(40) { changing.corruptAtRandom(count, using: &random) }
          // Back to where it was: what moves away may return.
          if random.chance(15) { changing = heap }
          process.become(changing)
        }
        most = max(most, paced.stops)
        let found = histogramContradictions(in: paced.snapshot)
        if !found.isEmpty {
          failures.append("seed \(seed), stops \(stopsTarget): \(found.joined(separator: "; "))")
        }
      }
    }
    let some = failures.prefix(5).joined(separator: "\n")
    #expect(failures.isEmpty, "\(failures.count) of \(2 * Self.seedCount) fail\n\(some)")
    // Each stop shows a chunk; a segment of 64 KiB has at most 2,000.
    #expect(most < 10_000, "\(most) stops")
  }

  /// Memory that is unmapped after so many reads, as that of a process that calls exec or ends.
  private final class VanishingReader: MemoryReader {
    private let image: MemoryImage
    private var readsLeft: Int

    init(_ image: MemoryImage, after reads: Int) {
      self.image = image
      readsLeft = reads
    }

    func read(
      at address: RemoteAddress, into bytes: inout MutableRawSpan
    ) throws(ReadFault) -> Int {
      guard readsLeft > 0 else { throw .unmapped(address) }
      readsLeft -= 1
      return try image.read(at: address, into: &bytes)
    }
  }

  @Test(
    "memory that is gone from any moment on ends the look and the walk",
    arguments: GlibcShape.classes)
  func vanishing(shape: GlibcShape) throws {
    let heap = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: 3))
    let instance = try #require(try MallocInstance.find(in: heap.images).first)
    let options = WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true)
    for reads in Array(0..<30) + stride(from: 30, to: 120, by: 7) {
      _ = try HeapWalk.survey(
        of: instance, reader: VanishingReader(heap.image, after: reads), mappings: heap.mappings,
        options: options)
      for stopsTarget in [true, false] {
        let reader = VanishingReader(heap.image, after: reads)
        let pacing = TestPacing(ChangingProcess(heap), stopsTarget: stopsTarget)
        var collected = try HeapWalk.collect(
          of: instance, reader: reader, data: DataRanges(heap.mappings), threads: heap.threads,
          options: options, hints: HeapHints(), buffers: WalkBuffers(), pacing: pacing)
        #expect(histogramContradictions(in: collected.snapshot()).isEmpty)
      }
    }
  }
}
