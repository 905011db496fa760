// Heaps that change between the stops of a walk: what is counted is what each stop showed, and what
// could not be told is named.

import GlibcHeap
import HeapFuzzing
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Walks in many stops of heaps that change in between")
struct ChangingHeapTests {
  /// What a walk found of a hand-made heap that changed in stop `stop`, and the number of the chunk
  /// from which it had to go on there.
  private func walkChanging(
    _ made: HandMadeHeap, inStop stop: Int = 3, stopsTarget: Bool = true,
    change: @escaping (inout HandMadeHeap, Int) -> Void
  ) throws -> (snapshot: HeapSnapshot, pending: Int, after: HandMadeHeap) {
    var pending: Int?
    var after = made
    let paced = try pacedWalk(made.heap, stopsTarget: stopsTarget) { number, process in
      guard number == stop, let last = made.lastChunk(before: process.windowEnd) else { return }
      pending = last
      change(&after, last)
      process.become(after.heap)
    }
    return (paced.snapshot, try #require(pending), after)
  }

  private func expect(
    _ snapshot: HeapSnapshot, chunks: Int, bytes: UInt64, top: UInt64, findings: [Finding.Kind],
    _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let arena = snapshot.arenas[0]
    #expect(arena.inUse.count + arena.free.count == chunks, comment, sourceLocation: sourceLocation)
    #expect(arena.inUse.bytes + arena.free.bytes == bytes, comment, sourceLocation: sourceLocation)
    #expect(arena.topBytes == top, comment, sourceLocation: sourceLocation)
    #expect(
      snapshot.findings.map(\.kind) == findings, "\(snapshot.findings)",
      sourceLocation: sourceLocation)
    // All that was counted fitted at some moment, but not in the memory that is left in the end.
    let sum = arena.inUse.bytes + arena.free.bytes + arena.topBytes + arena.unaccountedBytes
    let impossible = impossibilities(in: snapshot)
    #expect(
      impossible.isEmpty || sum > arena.systemBytes && impossible.count == 1, "\(impossible)",
      sourceLocation: sourceLocation)
    #expect(!snapshot.isIncomplete, sourceLocation: sourceLocation)
  }

  @Test("a heap that grew meanwhile is counted to its new end", arguments: GlibcShape.classes)
  func grown(shape: GlibcShape) throws {
    for stopsTarget in [true, false] {
      let made = HandMadeHeap(shape, seed: 1)
      let (snapshot, _, after) = try walkChanging(made, stopsTarget: stopsTarget) { made, _ in
        made.sizes += [0x500, 0x20, 0x30000]
        made.systemBytes += 0x4_2000
        made.write()
      }
      expect(
        snapshot, chunks: after.sizes.count, bytes: after.sizes.reduce(0, +),
        top: after.start + after.systemBytes - after.top, findings: [])
      #expect(snapshot.resynchronisations == 0 && snapshot.coverage == 1)
      #expect(snapshot.checks.filter { !$0.holds }.isEmpty)
      #expect(snapshot.arenas[0].systemBytes == after.systemBytes)
    }
  }

  @Test(
    "a heap that shrank to before the walk's place ends there: what was seen stays counted",
    arguments: GlibcShape.classes)
  func shrunk(shape: GlibcShape) throws {
    for stopsTarget in [true, false] {
      for isTrimmed in [false, true] {
        let made = HandMadeHeap(shape, seed: 2)
        let (snapshot, pending, after) = try walkChanging(made, stopsTarget: stopsTarget) {
          made, pending in
          made.sizes.removeLast(made.sizes.count - pending + 5)
          if isTrimmed { made.systemBytes = (made.top - made.start + 0x1fff) & ~0xfff }
          made.write()
        }
        let reached = made.address(pending)
        let end = after.start + after.systemBytes
        expect(
          snapshot, chunks: pending, bytes: made.sizes.prefix(pending).reduce(0, +),
          top: end > reached ? end - reached : 0, findings: [],
          "trimmed \(isTrimmed), stops \(stopsTarget)")
        #expect(snapshot.resynchronisations == 0 && snapshot.coverage == 1)
        #expect(snapshot.checks.filter { !$0.holds }.isEmpty, "\(snapshot.checks)")
        #expect(snapshot.arenas[0].topAddress?.bits == after.top)
      }
    }
  }

  @Test(
    "a chunk that became part of the one before still leads on by what is left of its header",
    arguments: GlibcShape.classes)
  func mergedStale(shape: GlibcShape) throws {
    for stopsTarget in [true, false] {
      let made = HandMadeHeap(shape, seed: 3)
      let (snapshot, _, _) = try walkChanging(made, stopsTarget: stopsTarget) { made, pending in
        let stale = made.address(pending)
        let size = made.sizes[pending]
        let before = made.sizes[pending - 1]
        made.store((before + size) | 1, at: stale - before + 8)
        made.store(size | 1, at: stale + 8)
        made.touchArena()
      }
      // The one before was counted when it was not yet that large.
      expect(
        snapshot, chunks: made.sizes.count, bytes: made.sizes.reduce(0, +),
        top: made.start + made.systemBytes - made.top, findings: [])
      #expect(snapshot.resynchronisations == 0 && snapshot.coverage == 1)
    }
  }

  @Test(
    "a chunk that became part of a free one before is named as on its way",
    arguments: GlibcShape.classes)
  func mergedFree(shape: GlibcShape) throws {
    let made = HandMadeHeap(shape, seed: 3)
    let (snapshot, pending, _) = try walkChanging(made) { made, pending in
      let stale = made.address(pending)
      let size = made.sizes[pending]
      let before = made.sizes[pending - 1]
      made.store((before + size) | 1, at: stale - before + 8)
      made.store(before + size, at: stale + size)
      made.store(made.sizes[pending + 1], at: stale + size + 8)
      let fields = made.heap.shape.arenaFields
      let unsorted = made.heap.arenas[0].address + fields.bins
      for place in [unsorted, unsorted + 8] { made.store(stale - before, at: place) }
      for place in [stale - before + 16, stale - before + 24] {
        made.store(unsorted - 16, at: place)
      }
    }
    expect(
      snapshot, chunks: made.sizes.count, bytes: made.sizes.reduce(0, +),
      top: made.start + made.systemBytes - made.top, findings: [.inTransit, .inTransit])
    #expect(snapshot.arenas[0].free == Tally(count: 1, bytes: made.sizes[pending]))
    #expect(snapshot.coverage == 1)
  }

  @Test(
    "a place that is no chunk any more costs just its bytes, and is counted as resynchronised",
    arguments: GlibcShape.classes)
  func overwritten(shape: GlibcShape) throws {
    // No size, none that fits, and one that leads into the middle of data.
    for word in [HandMadeHeap.data, 0, 0x7fff_ffff_ffff_fff1, 0x71] as [UInt64] {
      for stopsTarget in [true, false] {
        let made = HandMadeHeap(shape, seed: 4, least: 0x100)
        let (snapshot, pending, _) = try walkChanging(made, stopsTarget: stopsTarget) {
          made, pending in
          made.store(word, at: made.address(pending) + 8)
          made.touchArena()
        }
        let lost = made.sizes[pending]
        let comment = Comment(rawValue: "word \(word), stops \(stopsTarget)")
        expect(
          snapshot, chunks: made.sizes.count - 1, bytes: made.sizes.reduce(0, +) - lost,
          top: made.start + made.systemBytes - made.top, findings: [.moved], comment)
        #expect(snapshot.resynchronisations == 1, comment)
        #expect(snapshot.findings.first?.bytes == lost, comment)
        #expect(snapshot.arenas[0].unaccountedBytes == lost, comment)
        #expect(snapshot.systemAndMmappedBytes - snapshot.accountedBytes == lost, comment)
        #expect(snapshot.checks.first?.holds == true, "\(snapshot.checks)")
      }
    }
  }

  @Test(
    "a broken chain in an arena that has not changed since is damage, not movement",
    arguments: GlibcShape.classes)
  func damaged(shape: GlibcShape) throws {
    let made = HandMadeHeap(shape, seed: 5)
    let (snapshot, pending, _) = try walkChanging(made) { made, pending in
      made.store(HandMadeHeap.data, at: made.address(pending) + 8)
    }
    #expect(snapshot.findings.map(\.kind) == [.chainBreak], "\(snapshot.findings)")
    #expect(snapshot.findings.first?.bytes == made.sizes[pending])
    #expect(snapshot.isIncomplete && snapshot.resynchronisations == 0)
  }

  @Test(
    "a header that is torn while it is read live is read again, three times", arguments: 1...6)
  func torn(times: Int) throws {
    let made = HandMadeHeap(.named("2.36"), seed: 6)
    let instance = try #require(try MallocInstance.find(in: made.heap.images).first)
    let process = ChangingProcess(made.heap)
    let place = made.address(150)
    var torn = made
    torn.store(HandMadeHeap.data, at: place + 8)
    var left = times
    process.beforeRead = { [unowned process] range in
      guard range.contains(RemoteAddress(place + 8)) else { return }
      process.become(left > 0 ? torn.heap : made.heap)
      left -= 1
    }
    var collected = try HeapWalk.collect(
      of: instance, reader: process, data: DataRanges(process.mappings), threads: [],
      options: WalkOptions(collectsChunks: true), hints: HeapHints(),
      buffers: WalkBuffers(largestRead: 128 << 10),
      pacing: TestPacing(process, stopsTarget: false))
    let snapshot = collected.snapshot()
    let isLost = times > 3
    #expect(snapshot.inUse.count == made.sizes.count - (isLost ? 1 : 0), "\(snapshot.findings)")
    #expect(snapshot.findings.map(\.kind) == (isLost ? [.moved] : []))
    #expect(snapshot.arenas[0].unaccountedBytes == (isLost ? made.sizes[150] : 0))
    #expect(!snapshot.isIncomplete)
  }

  // MARK: Arenas

  /// `heap` as it was before its second arena had a second heap, and where top was then; nil if top
  /// cannot have been where a chunk in use is now.
  private func beforeSecondHeap(_ heap: SyntheticHeap) -> (heap: SyntheticHeap, top: UInt64)? {
    var before = heap
    guard let segment = heap.segments.first(where: { $0.arena == 1 }),
      let index = segment.chunks.lastIndex(where: { $0.state == .inUse && $0.size >= 64 }),
      segment.chunks[..<index].last?.state != .binned
    else { return nil }
    let top = segment.chunks[index].address
    before.memory.store((segment.end - top) | 1, at: top + 8)
    let arena = heap.arenas[1]
    before.memory.store(top, at: arena.address + heap.shape.arenaFields.top)
    before.memory.store(
      arena.heaps[0].byteCount, at: arena.address + heap.shape.arenaFields.systemMem)
    return (before, top)
  }

  private func twoHeaps(_ shape: GlibcShape, _ seed: UInt64) -> SyntheticHeap {
    var plan = SyntheticPlan(shape: shape, seed: seed)
    plan.threadArenas = [2]
    plan.threads.append(.init(arena: 1, hasTcache: true))
    plan.hazards = []
    plan.longestSegment = 0x10_0000
    return SyntheticHeap(plan)
  }

  @Test(
    "a heap that an arena gets while its first is walked is walked too",
    arguments: GlibcShape.classes)
  func newHeap(shape: GlibcShape) throws {
    var tried = 0
    for seed in 0..<6 as Range<UInt64> {
      let after = twoHeaps(shape, seed)
      guard let (before, top) = beforeSecondHeap(after) else { continue }
      let first = after.arenas[1].heaps[0]
      var isInFirst = false
      let paced = try pacedWalk(before) { _, process in
        guard first.contains(RemoteAddress(process.windowEnd)), process.windowEnd <= top else {
          return
        }
        isInFirst = true
        process.become(after)
      }
      guard isInFirst else { continue }
      tried += 1
      let wrong = disagreements(of: paced.snapshot, with: after)
      #expect(wrong.isEmpty, "\(after.plan)\n\(wrong.joined(separator: "\n"))")
      #expect(paced.snapshot.resynchronisations == 0)
    }
    #expect(tried >= 3)
  }

  @Test(
    "a heap that is given back while it is walked ends there, and is no damage",
    arguments: GlibcShape.classes)
  func heapGivenBack(shape: GlibcShape) throws {
    var tried = 0
    for seed in 0..<6 as Range<UInt64> {
      let before = twoHeaps(shape, seed)
      guard var (after, _) = beforeSecondHeap(before) else { continue }
      let second = before.arenas[1].heaps[1]
      let top = before.arenas[1].summary.topAddress?.bits ?? 0
      after.memory.unmap(AddressRange(second.lowerBound, byteCount: 0x400_0000))
      var reached: UInt64?
      let paced = try pacedWalk(before) { _, process in
        guard reached == nil, second.contains(RemoteAddress(process.windowEnd)),
          process.windowEnd <= top
        else { return }
        reached = process.windowEnd
        process.become(after)
      }
      guard let reached else { continue }
      tried += 1
      let snapshot = paced.snapshot
      let segment = try #require(before.segments.last { $0.arena == 1 })
      let pending = segment.chunks.last { $0.address + 32 <= reached && $0.state != .top }
      let seen = before.chunks.filter { chunk in
        guard chunk.state != .top, second.contains(chunk.userAddress) else { return false }
        return chunk.userAddress.bits < pending?.user ?? 0
      }
      let found = snapshot.chunks.filter {
        second.contains($0.userAddress) && $0.state != .top
      }
      #expect(found.map(\.userAddress) == seen.map(\.userAddress), "\(before.plan)")
      #expect(!snapshot.isIncomplete, "\(before.plan): \(snapshot.findings)")
      #expect(histogramContradictions(in: snapshot).isEmpty)
    }
    #expect(tried >= 3)
  }

  @Test(
    "an arena that is made while others are walked is walked too", arguments: GlibcShape.classes)
  func newArena(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = SyntheticPlan(shape: shape, seed: seed)
      plan.threadArenas = [1, 1]
      plan.threads += [.init(arena: 1, hasTcache: true), .init(arena: 2, hasTcache: true)]
      plan.hazards = []
      let after = SyntheticHeap(plan)
      let next = shape.arenaFields.next
      // The last of the ring, so that numbers stay; glibc enters it as the second.
      var before = after
      before.memory.store(after.mainArena.bits, at: after.arenas[1].address + next)
      let last = try pacedWalk(before) { _, process in process.become(after) }
      let wrong = disagreements(of: last.snapshot, with: after)
      #expect(wrong.isEmpty, "\(plan)\n\(wrong.joined(separator: "\n"))")

      before = after
      before.memory.store(after.arenas[2].address, at: after.mainArena.bits + next)
      let second = try pacedWalk(before) { _, process in process.become(after) }
      #expect(
        second.snapshot.arenas.map(\.address.bits) == [0, 2, 1].map { after.arenas[$0].address })
      #expect(second.snapshot.inUse == last.snapshot.inUse)
      #expect(second.snapshot.cached == last.snapshot.cached)
      #expect(second.snapshot.findings.isEmpty && second.snapshot.coverage == 1)
    }
  }

  @Test(
    "bins that changed after the walk had passed are not compared, and not called damaged",
    arguments: GlibcShape.classes)
  func changedBins(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      let before = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: seed))
      var after = before
      var random = SyntheticRandom(seed: seed)
      guard let done = after.unlink(using: &random) else { continue }
      let place = try #require(done.uncertainStates.first)
      var isPast = false
      let paced = try pacedWalk(before) { stop, process in
        let segment = before.segments.first { $0.range.contains(RemoteAddress(place)) }
        guard let range = segment?.range, range.contains(RemoteAddress(process.windowEnd)),
          process.windowEnd > place + 0x40
        else { return }
        isPast = true
        process.become(after)
      }
      guard isPast else { continue }
      #expect(paced.snapshot.chunks.map(\.size) == before.chunks.map(\.size))
      #expect(paced.snapshot.free.count == before.chunks.count { $0.state == .binned })
      // What was read agrees, unless the chunk was the first or the last of its bin.
      let kinds = Set(paced.snapshot.findings.map(\.kind))
      #expect(kinds.isSubset(of: [.inTransit]), "\(paced.snapshot.findings)")
    }
  }

  @Test(
    "what was in a fastbin in its stop counts so, also if the lists stood still and are gone later",
    arguments: GlibcShape.classes.filter(\.hasFastbins))
  func changedFastbins(shape: GlibcShape) throws {
    for seed in 0..<2 as Range<UInt64> {
      for stop in 2...6 {
        var plan = SyntheticPlan(shape: shape, seed: seed)
        plan.longestSegment = 0x10_0000
        plan.hazards = []
        let before = SyntheticHeap(plan)
        var after = before
        let arena = before.arenas[0].address
        let fastbins = try #require(shape.arenaFields.fastbins)
        after.memory.store(words: [UInt64](repeating: 0, count: 10), at: arena + fastbins)
        var reached: UInt64?
        let paced = try pacedWalk(before) { number, process in
          guard number == stop, before.segments[0].range.contains(RemoteAddress(process.windowEnd))
          else { return }
          reached = process.windowEnd
          process.become(after)
        }
        guard let reached else { continue }
        let pending = before.arenaChunks.last { $0.address + 32 <= reached }?.address ?? 0
        let expected = before.chunks.map { chunk in
          var chunk = chunk
          let isLater = chunk.userAddress.bits - 16 >= pending
          if chunk.state == .fastbin, isLater { chunk.state = .inUse }
          return chunk
        }
        let wrong = chunkDisagreements(found: paced.snapshot.chunks, expected: expected)
        #expect(wrong.isEmpty, "\(plan), stop \(stop): \(wrong.prefix(4))")
        #expect(histogramContradictions(in: paced.snapshot).isEmpty)
        #expect(!paced.snapshot.isIncomplete)
      }
    }
  }

  // MARK: Mmapped chunks

  /// `heap` without its mmapped chunk `index`.
  private func without(_ index: Int, _ heap: SyntheticHeap) -> SyntheticHeap {
    var other = heap
    let fields = heap.shape.parameterFields
    let range = heap.mmappedMappings[index]
    other.memory.unmap(range)
    other.mmapped.remove(at: index)
    other.mmappedMappings.remove(at: index)
    let bytes = heap.parameters.bits + fields.mmappedMem
    other.memory.store(heap.memory.word(at: bytes) - range.byteCount, at: bytes)
    other.memory.store(UInt32(heap.mmapped.count - 1), at: heap.parameters.bits + fields.mmapCount)
    return other
  }

  @Test(
    "mmapped chunks made or freed since the first look are found or gone",
    arguments: GlibcShape.classes)
  func mmapped(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = GlibcDamageTests.plan(shape: shape, seed: seed)
      plan.mmappedChunks = 4
      let all = SyntheticHeap(plan)
      let fewer = without(Int(seed % 4), all)
      for stopsTarget in [true, false] {
        // Before the first stop, in either direction, and between two stops.
        let made = try pacedWalk(all, stopsTarget: stopsTarget, lookingAt: fewer)
        let freed = try pacedWalk(fewer, stopsTarget: stopsTarget, lookingAt: all)
        let lately = try pacedWalk(fewer, stopsTarget: stopsTarget) { stop, process in
          if stop == 2 { process.become(all) }
        }
        for (paced, heap) in [(made, all), (freed, fewer), (lately, all)] {
          let found = paced.snapshot.chunks.filter { $0.arena == nil }
          #expect(found == heap.mmapped, "\(plan)")
          let kinds = Set(paced.snapshot.findings.map(\.kind))
          #expect(kinds.isEmpty, "\(plan): \(paced.snapshot.findings)")
          #expect(paced.snapshot.coverage == 1)
        }
      }
    }
  }

  @Test("mmapped chunks that come and go all the time end the search, and that is said")
  func restlessMappings() throws {
    var plan = GlibcDamageTests.plan(shape: .named("2.36"), seed: 7)
    plan.mmappedChunks = 4
    let all = SyntheticHeap(plan)
    let fewer = without(2, all)
    for stopsTarget in [true, false] {
      // glibc's count never fits what is there.
      var restless = fewer
      restless.memory.store(
        4 as UInt32, at: all.parameters.bits + all.shape.parameterFields.mmapCount)
      let paced = try pacedWalk(all, stopsTarget: stopsTarget) { _, process in
        process.become(restless)
      }
      #expect(paced.snapshot.findings.map(\.kind) == [.moved], "\(paced.snapshot.findings)")
      #expect(paced.snapshot.mmapped.count == 3 && !paced.snapshot.isIncomplete)
    }
  }
}
