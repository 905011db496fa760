// A main arena of which a test decides every chunk, to change it while it is walked.

import GlibcHeap
import HeapModel
import TestKit

/// A process whose main arena holds nothing but chunks in use, one behind the other, and top.
struct HandMadeHeap {
  /// What a program writes: no header of a chunk.
  static let data: UInt64 = 0x4142_4344_4546_4748
  /// How much of the program break is mapped.
  private static let reach: UInt64 = 4 << 20

  /// The process as it is.
  private(set) var heap: SyntheticHeap
  /// Where the first chunk is.
  let start: UInt64
  /// The chunks' sizes.
  var sizes: [UInt64]
  /// What malloc has of the program break, in bytes.
  var systemBytes: UInt64

  /// Makes one of `count` chunks of random sizes, none smaller than `least`.
  init(_ shape: GlibcShape, seed: UInt64, count: Int = 400, least: UInt64 = 32) {
    var plan = SyntheticPlan(shape: shape, seed: seed)
    plan.hazards = []
    plan.threads = [.init(arena: 0, hasTcache: false)]
    heap = SyntheticHeap(plan)
    start = heap.memory.word(at: heap.parameters.bits + shape.parameterFields.sbrkBase)
    var random = SyntheticRandom(seed: seed)
    sizes = (0..<count).map { _ in
      random.multiple(of: 16, from: least, to: random.chance(5) ? 0x8000 : 0x800)
    }
    systemBytes = 0
    let mapped = heap.mappings.filter { $0.name == "[heap]" }.map(\.range.upperBound.bits).max()
    let end = mapped ?? start
    heap.memory.map(end, start + Self.reach - end, "rw-", name: "[heap]")
    systemBytes = (sizes.reduce(0, +) + 0x2_1000) & ~0xfff
    for page in stride(from: start, to: start + Self.reach, by: 4096) {
      heap.memory.store(words: [UInt64](repeating: Self.data, count: 512), at: page)
    }
    emptyLists()
    write()
  }

  /// Where top is.
  var top: UInt64 { start + sizes.reduce(0, +) }

  /// Where the chunk `index` is; top's number is that of chunks.
  func address(_ index: Int) -> UInt64 { start + sizes.prefix(index).reduce(0, +) }

  /// The number of the last chunk whose header and links lie before `end`.
  func lastChunk(before end: UInt64) -> Int? {
    var address = start
    var last: Int?
    for (index, size) in sizes.enumerated() where address + 32 <= end {
      last = index
      address += size
    }
    return last
  }

  /// Writes all headers as they should be, and the arena.
  mutating func write() {
    var address = start
    for size in sizes {
      heap.memory.store(size | 1, at: address + 8)
      address += size
    }
    heap.memory.store((start + systemBytes - address) | 1, at: address + 8)
    let arena = heap.arenas[0].address
    heap.memory.store(address, at: arena + heap.shape.arenaFields.top)
    heap.memory.store(
      words: [systemBytes, 8 << 20], at: arena + heap.shape.arenaFields.systemMem)
  }

  /// Stores a word anywhere.
  mutating func store(_ word: UInt64, at address: UInt64) {
    heap.memory.store(word, at: address)
  }

  /// Changes something in the arena that no walk needs, as every operation of malloc does.
  mutating func touchArena() {
    let place = heap.arenas[0].address + heap.shape.arenaFields.binmap
    heap.memory.store(heap.memory.word(at: place) ^ 2, at: place)
  }

  private mutating func emptyLists() {
    let fields = heap.shape.arenaFields
    let arena = heap.arenas[0].address
    if let fastbins = fields.fastbins {
      heap.memory.store(words: [UInt64](repeating: 0, count: 10), at: arena + fastbins)
    }
    for bin in 0..<127 as Range<UInt64> {
      let place = arena + fields.bins + bin * 16
      heap.memory.store(words: [place - 16, place - 16], at: place)
    }
  }
}
