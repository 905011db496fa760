// The sound heaps that fuzzed inputs change, and the places in them where a walk looks.

internal import GlibcHeap
internal import HeapModel
internal import Synchronization
internal import TestKit

/// One sound heap, built once.
struct FuzzGround: Sendable {
  /// Kinds of places in a heap.
  enum Place: UInt8, CaseIterable {
    case sizeField
    case previousSize
    case userWord
    case cachedLink
    case fastbinLink
    case binnedLink
    case tcacheStructure
    case arenaField
    case arenaHead
    case heapHeader
    case segmentEnd
    case topHeader
    case mmappedHeader
    case parameter
    case threadLocal
    case anywhere
  }

  /// How many different heaps of one glibc there are.
  static let kindCount: UInt8 = 16

  let heap: SyntheticHeap
  let instance: MallocInstance
  /// The addresses of the places of each kind, by its number; none of `anywhere`.
  private let places: [[UInt64]]

  private static let known = Mutex<[UInt16: FuzzGround]>([:])

  /// The heap number `kind` of the glibc number `shape`; any numbers will do.
  static func ground(shape: UInt8, kind: UInt8) -> FuzzGround {
    let shape = shape % UInt8(GlibcShape.classes.count)
    let kind = kind % kindCount
    let key = UInt16(shape) << 8 | UInt16(kind)
    if let ground = known.withLock({ $0[key] }) { return ground }
    let ground = FuzzGround(
      plan(shape: GlibcShape.classes[Int(shape)], kind: kind), isInsideMalloc: kind >= 8)
    known.withLock { $0[key] = ground }
    return ground
  }

  private init(_ plan: SyntheticPlan, isInsideMalloc: Bool) {
    var heap = SyntheticHeap(plan)
    guard var instance = try? MallocInstance.find(in: heap.images).first else {
      preconditionFailure("malloc is found in a synthetic library: \(plan)")
    }
    if isInsideMalloc {
      instance.code = AddressRange(heap.threads[0].programCounter, byteCount: 1)
      heap.threads[0].registers = Self.registers(in: heap)
    }
    self.heap = heap
    self.instance = instance
    places = Place.allCases.map { [heap] in Self.places(of: $0, in: heap) }
  }

  /// What a thread may have in its hands: chunks, and the distances between their beginnings.
  private static func registers(in heap: SyntheticHeap) -> [UInt64] {
    var random = SyntheticRandom(seed: heap.plan.seed)
    let chunks = heap.arenaChunks
    guard chunks.count > 4 else { return [] }
    return (0..<4).flatMap { _ in
      let index = random.index(chunks.count - 3)
      return [
        chunks[index].address, chunks[index].size | 1,
        chunks[index + 2].address &- chunks[index].address,
      ]
    }
  }

  /// The place number `index` of `kind`, and `word` words behind it.
  func address(_ kind: Place, _ index: UInt64, word: UInt64) -> UInt64 {
    let known = places[Int(kind.rawValue)]
    if kind == .anywhere || known.isEmpty {
      let ranges = heap.memory.readableRanges
      let range = ranges[Int(word % UInt64(ranges.count))]
      return range.lowerBound.bits &+ index &* 8 % max(8, range.byteCount)
    }
    return known[Int(index % UInt64(known.count))] &+ word &* 8
  }

  private static func plan(shape: GlibcShape, kind: UInt8) -> SyntheticPlan {
    var plan = SyntheticPlan(shape: shape, seed: UInt64(kind))
    plan.longestSegment = 0x8000
    plan.threadArenas = kind < 8 ? [2] : [1, 2]
    plan.threads += [.init(arena: 1, hasTcache: true)]
    if kind >= 8 { plan.threads.append(.init(arena: 2, hasTcache: true)) }
    plan.mmappedChunks = 2
    plan.hazards = kind & 1 == 0 ? [] : Set(SyntheticPlan.Hazard.allCases)
    switch kind % 8 {
    case 1: plan.main = .contiguous(foreignGaps: [100, 0x2000])
    case 2: plan.main = .moved(brkGaps: nil, segments: 2)
    case 3: plan.main = .moved(brkGaps: [24], segments: 1)
    case 4: plan.keepsNewestHeapsEmpty = true
    case 5: plan.linkage = .staticProgram
    case 6:
      plan.machine = .arm64
      plan.pageSize = 0x10000
    case 7:
      plan.cachesLargeChunks = true
      plan.sbrkMisalignment = 8
    default: break
    }
    return plan
  }

  private static func places(of kind: Place, in heap: SyntheticHeap) -> [UInt64] {
    let chunks = heap.segments.flatMap(\.chunks)
    let fields = heap.shape.arenaFields
    return switch kind {
    case .sizeField: chunks.map { $0.address + 8 }
    case .previousSize: chunks.map(\.address)
    case .userWord: chunks.map(\.user)
    case .cachedLink: heap.tcaches.flatMap { $0.bins.joined() }
    case .fastbinLink: heap.arenas.flatMap { $0.fastbins.joined().map { $0 + 16 } }
    case .binnedLink:
      heap.arenas.flatMap { $0.bins.values.joined().map(\.user) }.sorted()
    case .tcacheStructure: heap.tcaches.flatMap { [$0.structure - 8, $0.structure + 128] }
    case .arenaField:
      heap.arenas.flatMap { arena in
        [0, fields.top, fields.next, fields.systemMem, fields.systemMem - 8].map {
          arena.address + $0
        }
      }
    case .arenaHead:
      heap.arenas.flatMap { arena in
        [fields.fastbins ?? fields.bins, fields.bins].map { arena.address + $0 }
      }
    case .heapHeader: heap.arenas.flatMap { $0.heaps.map(\.lowerBound.bits) }
    case .segmentEnd: heap.segments.flatMap { [$0.end - 48, $0.end] }
    case .topHeader:
      heap.arenas.compactMap { $0.summary.topAddress?.bits }
    case .mmappedHeader: heap.mmapped.map { $0.userAddress.bits - 16 }
    case .parameter: [heap.parameters.bits]
    case .threadLocal: heap.threads.map { $0.threadPointer.bits &- 0x90 }
    case .anywhere: []
    }
  }
}
