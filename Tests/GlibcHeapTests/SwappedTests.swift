// Walks of heaps of which pages are swapped out: those stay so, and the report says what is missing.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Walks of heaps that are partly swapped out")
struct SwappedTests {
  /// Walks `heap` through `image`.
  private func walk(_ heap: SyntheticHeap, through image: PagedImage) throws -> HeapSnapshot {
    let instance = try #require(try MallocInstance.find(in: heap.images).first)
    return try HeapWalk.snapshot(
      of: instance, reader: image, mappings: heap.mappings, threads: heap.threads,
      options: WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true))
  }

  /// The pages of `heap`'s segments that hold no structure of malloc's own.
  private func ordinaryPages(of heap: SyntheticHeap) -> [UInt64] {
    let page = heap.plan.pageSize
    var structures: Set<UInt64> = []
    for arena in heap.arenas {
      structures.insert(arena.address / page)
      structures.insert((arena.address + 0xa00) / page)
      for range in arena.heaps { structures.insert(range.lowerBound.bits / page) }
    }
    for cache in heap.tcaches {
      for offset in stride(from: 0, through: 0x310 as UInt64, by: 0x10) {
        structures.insert((cache.structure - 16 + offset) / page)
      }
    }
    for segment in heap.segments where segment.tail == .top {
      guard let top = segment.chunks.last else { continue }
      structures.insert(top.address / page)
      structures.insert((top.address + 31) / page)
    }
    return heap.segments.flatMap { segment in
      let first = segment.range.lowerBound.bits / page
      return (first...(segment.end - 1) / page).filter { !structures.contains($0) }
    }
  }

  /// What in `snapshot` is not as the truth and the swapped `pages` allow, at most a few.
  private func disagreements(
    _ snapshot: HeapSnapshot, _ heap: SyntheticHeap, swapped pages: Set<UInt64>
  ) -> [String] {
    var result: [String] = []
    let page = heap.plan.pageSize
    func touches(_ chunk: SyntheticChunk) -> Bool {
      (chunk.address / page...(chunk.end + 31) / page).contains { pages.contains($0) }
    }
    let found = Dictionary(snapshot.chunks.map { ($0.userAddress.bits, $0) }) { first, _ in first }
    var known = Set(heap.mmapped.map(\.userAddress.bits))
    // Where some headers in a row are needed to believe in chunks again, and where headers of what was
    // there before may lead on instead.
    var uncertain: [Range<UInt64>] = []
    for segment in heap.segments {
      let chunks = segment.chunks
      for (index, chunk) in chunks.enumerated() where !chunk.isRemnant {
        known.insert(chunk.user)
        let isUncertain = chunks[max(0, index - 12)...index].contains(where: touches)
        if isUncertain { uncertain.append(chunk.address..<chunk.end + 16) }
        guard let other = found[chunk.user] else {
          if !isUncertain { result.append("missing \(chunk)") }
          continue
        }
        if other.size != chunk.size { result.append("\(other) instead of \(chunk)") }
        // What tells a state may be swapped out: the header behind, a link of a list.
        if other.state != chunk.state, other.state != .inUse {
          result.append("\(other) instead of \(chunk)")
        }
        if other.state != chunk.state, chunk.state == .binned, !touches(chunk) {
          result.append("\(other) instead of \(chunk)")
        }
      }
    }
    func isUncertain(_ address: UInt64) -> Bool { uncertain.contains { $0.contains(address) } }
    result += found.values.filter {
      !known.contains($0.userAddress.bits) && !isUncertain($0.userAddress.bits - 16)
    }.map { "invented \($0)" }
    for (summary, arena) in zip(snapshot.arenas, heap.arenas) {
      let attributed =
        summary.headerBytes + summary.inUse.bytes + summary.free.bytes + summary.cached.bytes
        + summary.tcacheStructures.bytes + summary.topBytes + summary.foreignBytes
        + summary.unaccountedBytes
      if attributed != arena.summary.systemBytes {
        result.append("\(attributed) bytes of \(arena.summary.systemBytes) in \(summary.index)")
      }
    }
    let others = snapshot.findings.filter { finding in
      finding.kind != .swapped && !(finding.address.map { isUncertain($0.bits) } ?? false)
    }
    result += others.map { "\($0.kind): \($0.detail)" }
    return Array(result.prefix(6))
  }

  private func plan(_ shape: GlibcShape, _ seed: UInt64) -> SyntheticPlan {
    var plan = SyntheticPlan(shape: shape, seed: seed)
    plan.longestSegment = 0x20000
    plan.threadArenas = [2, 1]
    plan.threads += [.init(arena: 1, hasTcache: true), .init(arena: 2, hasTcache: true)]
    plan.mmappedChunks = 3
    plan.hazards = []
    return plan
  }

  @Test(
    "pages swapped out anywhere are not read, lose only chunks nearby, and are no damage",
    arguments: GlibcShape.classes)
  func anywhere(shape: GlibcShape) throws {
    for seed in 0..<10 as Range<UInt64> {
      let heap = SyntheticHeap(plan(shape, seed))
      var random = SyntheticRandom(seed: seed &+ 4)
      let ordinary = ordinaryPages(of: heap)
      let image = PagedImage(heap.image)
      var swapped: Set<UInt64> = []
      // Single pages, then runs of them.
      for _ in 0..<1 + random.index(6) {
        let start = random.index(ordinary.count)
        for index in start..<min(ordinary.count, start + 1 + random.index(seed % 2 == 0 ? 1 : 9)) {
          swapped.insert(ordinary[index])
        }
      }
      for page in swapped {
        image.set(AddressRange(RemoteAddress(page * 4096), byteCount: 4096), .swapped)
      }
      let snapshot = try walk(heap, through: image)
      let wrong = disagreements(snapshot, heap, swapped: swapped)
      #expect(
        wrong.isEmpty,
        "\(heap.plan), pages \(swapped.sorted().map { RemoteAddress($0 * 4096) }): \(wrong)")
      expectSums(snapshot, heap)
      let lost = snapshot.arenas.reduce(0) { $0 + $1.unaccountedBytes }
      #expect(snapshot.findings.reduce(0) { $0 + $1.bytes } == lost)
      #expect((snapshot.coverage < 1) == (lost > 0))
      #expect(snapshot.isIncomplete == !snapshot.findings.isEmpty)
      let findings = snapshot.findings.filter { $0.kind == .swapped }
      #expect(findings.count <= snapshot.arenas.count + 1, "one finding for a part")
    }
  }

  @Test("the insides of chunks may be swapped out or untouched without a loss or a trace")
  func insides() throws {
    for seed in 0..<8 as Range<UInt64> {
      var plan = SyntheticPlan(shape: GlibcShape.classes[0], seed: seed)
      plan.longestSegment = 0x80000
      plan.threadArenas = [1]
      plan.threads += [.init(arena: 1, hasTcache: true)]
      plan.mmappedChunks = 4
      plan.hazards = []
      let heap = SyntheticHeap(plan)
      let image = PagedImage(heap.image)
      var count = 0
      let chunks = heap.chunks.filter { $0.state == .inUse || $0.state == .top }
      for (index, chunk) in chunks.enumerated() {
        // From the page behind its links to the one before the next header.
        let first = (chunk.userAddress.bits + 16 + 4095) / 4096
        let last = (chunk.range.upperBound.bits - 16) / 4096
        guard first < last else { continue }
        count += 1
        image.set(
          AddressRange(RemoteAddress(first * 4096), RemoteAddress(last * 4096)),
          index % 2 == 0 || chunk.state == .top ? .untouched : .swapped)
      }
      #expect(count > 2)
      let snapshot = try walk(heap, through: image)
      let wrong = GlibcHeapTests.disagreements(of: snapshot, with: heap)
      #expect(wrong.isEmpty, "\(heap.plan): \(wrong)")
      // memalign's places are tried inside of mappings, which is another rule's business.
      let inArenas = image.broughtIn.filter { page in
        heap.segments.contains { $0.range.contains(page) }
      }
      #expect(inArenas.isEmpty)
    }
  }

  @Test("mmapped chunks whose headers are swapped out are counted as such", arguments: 1...3)
  func mmappedHeaders(count: Int) throws {
    for shape in GlibcShape.classes {
      let heap = SyntheticHeap(plan(shape, 3))
      let image = PagedImage(heap.image)
      for chunk in heap.mmapped.prefix(count) {
        let header = try #require(chunk.userAddress.retreated(by: 16))
        image.set(AddressRange(header, byteCount: 16), .swapped)
      }
      for mapping in heap.mmappedMappings.prefix(count) {
        image.set(AddressRange(mapping.lowerBound, byteCount: 16), .swapped)
      }
      let snapshot = try walk(heap, through: image)
      #expect(snapshot.mmapped.count == 3 - count)
      #expect(snapshot.findings.map(\.kind) == [.swapped], "\(snapshot.findings)")
      #expect(snapshot.findings[0].detail.hasPrefix("\(count) mmapped chunk"))
      #expect(snapshot.findings[0].bytes > 0 && snapshot.coverage < 1 && snapshot.isIncomplete)
    }
  }

  @Test("a long swapped-out run is passed over with few questions")
  func longRun() throws {
    var plan = SyntheticPlan(shape: GlibcShape.classes[0], seed: 5)
    plan.longestSegment = 0x800000
    plan.hazards = []
    let heap = SyntheticHeap(plan)
    let image = PagedImage(heap.image)
    let pages = ordinaryPages(of: heap)
    let run = pages[pages.count / 4..<pages.count * 3 / 4]
    try #require(run.count > 500)
    for page in run {
      image.set(AddressRange(RemoteAddress(page * 4096), byteCount: 4096), .swapped)
    }
    let before = image.questions
    let snapshot = try walk(heap, through: image)
    #expect(disagreements(snapshot, heap, swapped: Set(run)).isEmpty)
    #expect(image.questions - before < run.count / 2, "\(image.questions - before) questions")
    let finding = try #require(snapshot.findings.first { $0.kind == .swapped })
    #expect(finding.bytes >= UInt64(run.count) * 4096 - 4096)
  }

  @Test(
    "a tcache list that leads through a swapped-out page is no damage",
    arguments: GlibcShape.classes.filter { $0.tcache != .none })
  func cachedLinks(shape: GlibcShape) throws {
    var tried = 0
    for seed in 0..<6 as Range<UInt64> {
      let heap = SyntheticHeap(plan(shape, seed))
      let ordinary = Set(ordinaryPages(of: heap))
      let cached = heap.tcaches.flatMap { $0.bins.flatMap { $0.dropLast() } }
      guard let chunk = cached.first(where: { ordinary.contains($0 / 4096) }) else { continue }
      tried += 1
      let image = PagedImage(heap.image)
      image.set(AddressRange(RemoteAddress(chunk), byteCount: 8), .swapped)
      let snapshot = try walk(heap, through: image)
      #expect(disagreements(snapshot, heap, swapped: [chunk / 4096]).isEmpty)
      #expect(
        snapshot.findings.contains { $0.kind == .swapped && $0.detail.contains("cached chunk") },
        "\(snapshot.findings)")
    }
    #expect(tried > 2)
  }
}
