// The walker on heaps with random corruption: it always returns, within bounded work.

import GlibcHeap
import HeapFuzzing
import HeapModel
import RemoteMemory
import Synchronization
import TestKit
import Testing

/// A reader that counts what it is asked for.
private final class CountingReader: MemoryReader {
  let image: MemoryImage
  private let readBytes = Mutex<UInt64>(0)
  private let readCalls = Mutex<Int>(0)

  init(_ image: MemoryImage) { self.image = image }

  var bytes: UInt64 { readBytes.withLock { $0 } }
  var calls: Int { readCalls.withLock { $0 } }

  func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    readCalls.withLock { $0 += 1 }
    let count = try image.read(at: address, into: &bytes)
    readBytes.withLock { $0 += UInt64(count) }
    return count
  }
}

@Suite("Walks of randomly corrupted synthetic heaps")
struct GlibcFuzzTests {
  static let seedCount: UInt64 = 300

  @Test("random corruption never traps and costs bounded work", arguments: GlibcShape.classes)
  func corruption(shape: GlibcShape) throws {
    let heaps = Self.heaps(shape: shape)
    var failures: [String] = []
    for seed in 0..<Self.seedCount {
      var heap = heaps[Int(seed % 4)]
      Self.corrupt(&heap, seed: seed)
      let reader = CountingReader(heap.image)
      let instance = try #require(try MallocInstance.find(in: heap.images).first)
      let snapshot = try HeapWalk.snapshot(
        of: instance, reader: reader, mappings: heap.mappings, threads: heap.threads,
        options: WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true))
      var found = impossibilities(in: snapshot)
      let memory = heap.memory.readableRanges.reduce(0) { $0 + $1.byteCount }
      if reader.bytes > 40 * memory { found.append("\(reader.bytes) of \(memory) bytes were read") }
      if reader.calls > 500_000 { found.append("\(reader.calls) reads") }
      if !found.isEmpty { failures.append("seed \(seed): \(found.joined(separator: "; "))") }
    }
    let some = failures.prefix(5).joined(separator: "\n")
    #expect(failures.isEmpty, "\(failures.count) of \(Self.seedCount) seeds fail\n\(some)")
  }

  private static func heaps(shape: GlibcShape) -> [SyntheticHeap] {
    (0..<4 as Range<UInt64>).map { seed in
      var plan = GlibcDamageTests.plan(shape: shape, seed: seed)
      plan.hazards = [.foreignChains, .remnants, .resizedMappings]
      if seed == 2 { plan.main = .contiguous(foreignGaps: [100, 0x2000]) }
      if seed == 3 { plan.main = .moved(brkGaps: [24], segments: 1) }
      return SyntheticHeap(plan)
    }
  }

  /// Corrupts from a single place to thousands, structures or anything, and loses pages at times.
  private static func corrupt(_ heap: inout SyntheticHeap, seed: UInt64) {
    var random = SyntheticRandom(seed: seed)
    let count = 1 << Int(random.below(11))
    let chunks = heap.arenaChunks
    if random.chance(75) { heap.corruptStructures(min(count, 128), using: &random) }
    if random.chance(50) { heap.corruptAtRandom(count, using: &random) }
    if random.chance(20) { _ = heap.losePage(of: random.pick(chunks).address) }
  }
}
