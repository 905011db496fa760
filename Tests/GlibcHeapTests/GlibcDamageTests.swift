// The walker on damaged heaps and on heaps caught in the middle of an operation: it names what is
// wrong, invents nothing, and what is sound is still found.

import GlibcHeap
import HeapFuzzing
import HeapModel
import RemoteMemory
import TestKit
import Testing

/// Kinds of damage, with the findings of which at least one must name it.
enum Damage: String, CaseIterable, CustomTestStringConvertible {
  case hugeSize
  case zeroSize
  case wildSize
  case unreadablePage
  case truncatedSegment
  case strayTop
  case inflatedHeap
  case openRing
  case strayTcacheEntry
  case misalignedTcacheHead
  case loopingTcache
  case loopingFastbin
  case loopingBin

  var testDescription: String { rawValue }

  var kinds: Set<Finding.Kind> {
    switch self {
    case .hugeSize, .zeroSize, .wildSize: [.chainBreak]
    case .unreadablePage: [.unreadable]
    case .truncatedSegment: [.unreadable, .arenaDamage, .chainBreak, .inTransit]
    case .strayTop, .inflatedHeap: [.arenaDamage, .chainBreak]
    case .openRing: [.arenaDamage]
    case .strayTcacheEntry, .misalignedTcacheHead, .loopingTcache, .loopingFastbin: [.listDamage]
    // One chunk in a wrong place of a bin looks the same as one that is being moved.
    case .loopingBin: [.listDamage, .inTransit]
    }
  }

  /// Whether bytes are lost by it, so that the coverage is less than 1.
  var losesBytes: Bool {
    switch self {
    case .hugeSize, .zeroSize, .wildSize, .unreadablePage, .inflatedHeap: true
    // The segment's end may have been nothing but top.
    default: false
    }
  }

  /// Does it to `heap`; nil if this heap has nothing that it could be done to.
  func apply(to heap: inout SyntheticHeap, using random: inout SyntheticRandom) -> SyntheticDamage?
  {
    switch self {
    case .hugeSize: return overwrite(&heap, with: 0x7fff_ffff_ffff_fff1, using: &random)
    case .zeroSize: return overwrite(&heap, with: 0, using: &random)
    case .wildSize: return overwrite(&heap, with: 0x4142_4344_4546_4748, using: &random)
    case .unreadablePage:
      // With the header of a heap all of it is lost.
      let heads = heap.arenas.flatMap { [$0.address] + $0.heaps.map(\.lowerBound.bits) }
      let pages = Set(heads.map { $0 / heap.plan.pageSize })
      let chunks = heap.arenaChunks.filter { chunk in
        chunk.state != .top && chunk.size < 0x400
          && !pages.contains(chunk.address / heap.plan.pageSize)
      }
      let chunk = random.pick(chunks)
      return heap.losePage(of: chunk.address)
    case .truncatedSegment:
      let last = heap.segments.filter { $0.tail == .top }
      return heap.truncate(random.pick(last))
    case .strayTop: return heap.loseTop(of: random.index(heap.arenas.count))
    case .inflatedHeap: return heap.inflateHeap(of: 1)
    case .openRing: return heap.misleadRing()
    case .strayTcacheEntry: return heap.misleadTcache(using: &random)
    case .misalignedTcacheHead: return heap.misalignTcacheHead(using: &random)
    case .loopingTcache: return heap.loopTcache(using: &random)
    case .loopingFastbin: return heap.loopFastbin(using: &random)
    case .loopingBin: return heap.loopBin(using: &random)
    }
  }

  private func overwrite(
    _ heap: inout SyntheticHeap, with value: UInt64, using random: inout SyntheticRandom
  ) -> SyntheticDamage {
    let chunks = heap.arenaChunks.filter { $0.state == .inUse && $0.size >= 0x40 }
    return heap.overwriteSize(of: random.pick(chunks), with: value)
  }
}

@Suite("Walks of damaged synthetic heaps")
struct GlibcDamageTests {
  @Test(
    "damage is named and the rest is still right", arguments: GlibcShape.classes, Damage.allCases)
  func damage(shape: GlibcShape, damage: Damage) throws {
    for seed in 0..<6 as Range<UInt64> {
      var heap = SyntheticHeap(Self.plan(shape: shape, seed: seed))
      let clean = heap
      var random = SyntheticRandom(seed: seed &+ 77)
      guard let done = damage.apply(to: &heap, using: &random) else {
        // A heap may have no list that is long enough.
        continue
      }
      let snapshot = try walk(heap)
      let comment = Comment(rawValue: "\(done), \(heap.plan)")
      #expect(snapshot.findings.contains { damage.kinds.contains($0.kind) }, comment)
      if damage.losesBytes { #expect(snapshot.coverage < 1, comment) }
      expectSoundRest(snapshot, of: clean, after: done)
      expectSums(snapshot, heap)
    }
  }

  @Test("a moment in the middle of an operation loses nothing", arguments: GlibcShape.classes)
  func transit(shape: GlibcShape) throws {
    for seed in 0..<8 as Range<UInt64> {
      for operation in 0..<8 {
        var plan = Self.plan(shape: shape, seed: seed)
        plan.keepsNewestHeapsEmpty = operation == 7
        var heap = SyntheticHeap(plan)
        var random = SyntheticRandom(seed: seed &+ 99)
        guard let done = Self.interrupt(&heap, operation, using: &random) else { continue }
        let snapshot = try walk(heap)
        let comment = Comment(rawValue: "\(done), \(heap.plan)")
        // Only a split that has no header yet costs bytes; only a heap that is gone costs more.
        let loses = !done.lostRanges.isEmpty
        if !loses { #expect(snapshot.coverage == 1, comment) }
        let kinds = Set(snapshot.findings.map(\.kind))
        if !loses { #expect(kinds.isSubset(of: [.inTransit]), "\(comment): \(snapshot.findings)") }
        expectSoundRest(snapshot, of: heap, after: done)
        expectSums(snapshot, heap)
      }
    }
  }

  @Test(
    "the rest of a chunk that a thread is cutting in two counts as one chunk in use",
    arguments: GlibcShape.classes)
  func splitWhileLocked(shape: GlibcShape) throws {
    var splits = 0
    for seed in 0..<16 as Range<UInt64> {
      var heap = SyntheticHeap(Self.plan(shape: shape, seed: seed))
      var random = SyntheticRandom(seed: seed &+ 99)
      let clean = try walk(heap)
      guard let done = heap.splitBinned(using: &random) else { continue }
      splits += 1
      let unlocked = try walk(heap)
      #expect(unlocked.coverage < 1 && unlocked.isIncomplete, "\(done), \(heap.plan)")
      for arena in heap.arenas.indices { heap.lock(arena: arena) }
      let snapshot = try walk(heap)
      let comment = Comment(rawValue: "\(done), \(heap.plan)")
      #expect(snapshot.coverage == 1 && !snapshot.isIncomplete, comment)
      #expect(snapshot.checks.allSatisfy { $0.holds }, "\(comment): \(snapshot.checks)")
      #expect(
        snapshot.findings.contains {
          $0.kind == .inTransit && $0.detail.contains("cutting a chunk")
        }, "\(comment): \(snapshot.findings)")
      // A free chunk has become two in use.
      #expect(snapshot.inUse.count == clean.inUse.count + 2, comment)
      #expect(snapshot.free.count == clean.free.count - 1, comment)
      #expect(
        snapshot.inUse.bytes + snapshot.free.bytes == clean.inUse.bytes + clean.free.bytes, comment)
    }
    #expect(splits >= 8)
  }

  @Test(
    "where the rest has no header yet but seems to have one, nothing is hidden by what stands there",
    arguments: GlibcShape.classes)
  func splitOverOthers(shape: GlibcShape) throws {
    var splits = 0
    for seed in 0..<16 as Range<UInt64> {
      var heap = SyntheticHeap(Self.plan(shape: shape, seed: seed))
      var random = SyntheticRandom(seed: seed &+ 99)
      let clean = try walk(heap)
      guard let done = heap.splitBinnedOverOthers(using: &random) else { continue }
      splits += 1
      for arena in heap.arenas.indices { heap.lock(arena: arena) }
      let snapshot = try walk(heap)
      let comment = Comment(rawValue: "\(done), \(heap.plan)")
      #expect(snapshot.coverage == 1 && !snapshot.isIncomplete, comment)
      #expect(
        snapshot.findings.contains {
          $0.kind == .inTransit && $0.detail.contains("cutting a chunk")
        }, "\(comment): \(snapshot.findings)")
      // Every chunk that was in use still is, with its size; the free one has become two.
      let found = Set(snapshot.chunks.filter { $0.state == .inUse })
      let lost = clean.chunks.filter { $0.state == .inUse && !found.contains($0) }
      #expect(lost.isEmpty, "\(comment): \(lost)")
      #expect(snapshot.inUse.count == clean.inUse.count + 2, comment)
    }
    #expect(splits >= 4)
  }

  @Test("memory that is all the same byte ends the walk", arguments: GlibcShape.classes)
  func uniformMemory(shape: GlibcShape) throws {
    for value in [0, 0xff, 0x21, 0x02, 0x11] as [UInt8] {
      var heap = SyntheticHeap(Self.plan(shape: shape, seed: 1))
      heap.memory.fillEverything(with: value)
      expectSums(try walk(heap), heap)
    }
  }

  /// Two thread arenas of which one has two heaps, three threads, a main arena, mmapped chunks.
  static func plan(shape: GlibcShape, seed: UInt64) -> SyntheticPlan {
    var plan = SyntheticPlan(shape: shape, seed: seed)
    plan.longestSegment = 0x10000
    plan.threadArenas = [3, 1]
    plan.threads += [.init(arena: 1, hasTcache: true), .init(arena: 2, hasTcache: true)]
    plan.mmappedChunks = 3
    plan.hazards = []
    return plan
  }

  private static func interrupt(
    _ heap: inout SyntheticHeap, _ operation: Int, using random: inout SyntheticRandom
  ) -> SyntheticDamage? {
    switch operation {
    case 0: heap.splitTop(of: random.index(heap.arenas.count))
    case 1: heap.takeFromSmallBin(using: &random)
    case 2: heap.unlink(using: &random)
    case 3: heap.splitBinned(using: &random)
    case 4: heap.miscountTcache(using: &random)
    case 5: heap.leaveOldTop(using: &random)
    case 6: heap.growHeap(using: &random)
    default: heap.trimHeap(using: &random)
    }
  }
}

/// Every chunk that the damage spares is found as it is, and none is found where none can be.
func expectSoundRest(
  _ snapshot: HeapSnapshot, of heap: SyntheticHeap, after damage: SyntheticDamage
) {
  var found = Dictionary(snapshot.chunks.map { ($0.userAddress, $0) }) { first, _ in first }
  #expect(found.count == snapshot.chunks.count, "a chunk is listed twice: \(damage)")
  var wrong: [String] = []
  for chunk in heap.chunks where !damage.spares(chunk) {
    found.removeValue(forKey: chunk.userAddress)
  }
  for chunk in heap.chunks where damage.spares(chunk) {
    guard let other = found.removeValue(forKey: chunk.userAddress) else {
      wrong.append("missing \(chunk)")
      continue
    }
    var comparable = chunk
    if damage.uncertainStates.contains(chunk.userAddress.bits) { comparable.state = other.state }
    if chunk.state == .top {
      // Top's size may be on its way to another.
      comparable = Chunk(
        userAddress: chunk.userAddress, size: other.size, usableSize: other.usableSize,
        state: .top, arena: chunk.arena)
    }
    if comparable != other { wrong.append("\(other) instead of \(chunk)") }
  }
  wrong += found.values.filter(damage.spares).map { "invented \($0)" }
  let some = wrong.prefix(4).joined(separator: "\n")
  #expect(wrong.isEmpty, "\(damage), \(heap.plan): \(wrong.count) wrong\n\(some)")
}

/// Fails if `snapshot` holds what no memory can.
func expectSums(
  _ snapshot: HeapSnapshot, _ heap: SyntheticHeap, sourceLocation: SourceLocation = #_sourceLocation
) {
  let found = impossibilities(in: snapshot)
  #expect(
    found.isEmpty, "\(heap.plan)\n\(found.joined(separator: "\n"))",
    sourceLocation: sourceLocation)
}
