// Walks that keep only some of the chunks.

import HeapModel
import TestKit
import Testing

@testable import GlibcHeap

@Suite("Sampled chunks")
struct ChunkSampleTests {
  /// The chunk of that number, of which each is 64 bytes after the one before.
  private func chunk(_ number: Int, size: UInt64 = 64) -> Chunk {
    Chunk(
      userAddress: RemoteAddress(0x10_0010 + UInt64(number) * 64), size: size,
      usableSize: size - 8, state: .inUse, arena: 0)
  }

  /// The numbers of those that are kept of `count` chunks.
  private func kept(of count: Int, limit: Int) -> [Int] {
    var store = ChunkStore(ChunkSample(limit: limit))
    for number in 0..<count { store.append(chunk(number)) }
    return store.takeAll().map { Int(($0.userAddress.bits - 0x10_0010) / 64) }
  }

  @Test("as few as the limit, or fewer, are all kept", arguments: [2, 3, 7, 16, 500])
  func few(limit: Int) {
    for count in [0, 1, limit - 1, limit] {
      #expect(kept(of: count, limit: limit) == Array(0..<count))
    }
  }

  @Test(
    "of more, at most the limit and at least half of it are kept, evenly spread from the first on",
    arguments: [2, 3, 7, 16, 500])
  func many(limit: Int) {
    for count in [limit + 1, limit * 2, limit * 2 + 1, limit * 3, limit * 17 + 5, 20_000] {
      let numbers = kept(of: count, limit: limit)
      #expect(numbers.count <= limit)
      #expect(numbers.count >= limit / 2, "\(count)")
      let gaps = Set(zip(numbers, numbers.dropFirst()).map { $1 - $0 })
      #expect(gaps.count <= 1, "\(count): \(gaps)")
      #expect(numbers.first == 0)
      // Up to the end.
      #expect(count - 1 - (numbers.last ?? 0) < (gaps.first ?? count), "\(count)")
    }
  }

  @Test("a limit below 2 counts as 2", arguments: [Int.min, -1, 0, 1])
  func least(limit: Int) {
    #expect(ChunkSample(limit: limit).limit == 2)
    #expect(kept(of: 1_000, limit: limit).count <= 2)
  }

  @Test("only the sizes wanted are kept, and only they count")
  func sizes() {
    var store = ChunkStore(ChunkSample(sizes: 48...64, limit: 10))
    for number in 0..<1_000 { store.append(chunk(number, size: 32 + 16 * UInt64(number % 50))) }
    var seen = 0
    store.forEach { _ in seen += 1 }
    let chunks = store.takeAll()
    #expect(chunks.count == seen)
    #expect((5...10).contains(chunks.count))
    #expect(chunks.allSatisfy { (48...64).contains($0.size) })

    var rare = ChunkStore(ChunkSample(sizes: 5_000...UInt64.max, limit: 10))
    for number in 0..<1_000 {
      rare.append(chunk(number, size: number == 777 ? 8_192 : 64))
    }
    #expect(rare.takeAll() == [chunk(777, size: 8_192)])
  }

  @Test("parts that come in another order, and lie between each other, are put in order")
  func pieces() {
    var store = ChunkStore()
    // An arena whose second part begins where others are, one that lies within it, one before all.
    let parts = [5_000..<9_000, 20_000..<24_000, 10_000..<12_000, 21_000..<21_001, 0..<3_000]
    var numbers: [Int] = []
    for part in parts {
      for number in part where part.count != 4_000 || number != 21_000 {
        store.append(chunk(number))
        numbers.append(number)
      }
    }
    #expect(store.takeAll() == numbers.sorted().map { chunk($0) })
    #expect(store.takeAll() == [])
  }

  @Test("no order at all is put in order, in more than one block")
  func disorder() {
    var store = ChunkStore()
    let count = 1_600_000
    // Every 1,000th goes back; 7 and the count have no divisor in common.
    for number in 0..<count {
      store.append(chunk(number / 1_000 * 7 % (count / 1_000) * 1_000 + number % 1_000))
    }
    let chunks = store.takeAll()
    #expect(chunks.count == count)
    let isAscending = chunks.indices.dropFirst().allSatisfy {
      chunks[$0].userAddress.bits == chunks[$0 - 1].userAddress.bits + 64
    }
    #expect(isAscending)
  }

  @Test("without a sample all are kept, in order")
  func all() {
    var store = ChunkStore()
    for number in 0..<3_000 { store.append(chunk(number)) }
    #expect(store.takeAll() == (0..<3_000).map { chunk($0) })
  }

  @Test(
    "sampled chunks are what a full walk says of them, and nothing else of the result changes",
    arguments: GlibcShape.classes)
  func sameStates(shape: GlibcShape) throws {
    for seed in 0..<8 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      let full = try walk(heap)
      let places = Dictionary(uniqueKeysWithValues: full.chunks.map { ($0.userAddress, $0) })
      for (sizes, limit) in [
        (0...UInt64.max, 1 << 20), (0...UInt64.max, 40), (0...UInt64.max, 2), (48...256, 30),
        (1 << 40...UInt64.max, 8),
      ] {
        var options = WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true)
        options.sample = ChunkSample(sizes: sizes, limit: limit)
        let sampled = try walk(heap, options: options)
        let wanted = full.chunks.filter { sizes.contains($0.size) }
        #expect(sampled.chunks.count <= limit)
        #expect(sampled.chunks.count >= min(wanted.count, limit / 2), "\(heap.plan)")
        if wanted.count <= limit { #expect(sampled.chunks == wanted, "\(heap.plan)") }
        #expect(
          sampled.chunks.allSatisfy { sizes.contains($0.size) && places[$0.userAddress] == $0 },
          "\(heap.plan)")
        #expect(sampled.sizes == full.sizes)
        #expect(sampled.arenas == full.arenas)
        #expect(sampled.mmapped == full.mmapped)
        #expect(sampled.findings == full.findings)
        #expect(sampled.accountedBytes == full.accountedBytes)
      }
    }
  }
}
