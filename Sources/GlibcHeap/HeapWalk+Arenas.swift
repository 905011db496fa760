// From the ring of arenas to the memory that each holds.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// More arenas than any process has: the limit on a ring that never closes.
  static var arenaLimit: Int { 16_384 }

  /// Reads every arena, the main arena first.
  mutating func readRing() throws(ReadFault) -> [Arena] {
    var arenas: [Arena] = []
    var seen: Set<UInt64> = []
    var address = instance.mainArena
    repeat {
      guard seen.insert(address.bits).inserted, arenas.count < Self.arenaLimit else {
        log.add(
          .arenaDamage, at: address.bits, "the ring of arenas does not lead back to the first")
        return arenas
      }
      let size = instance.arenaLayout.byteCount
      guard let bytes = try reader.bytes(at: address, count: size) else {
        log.add(
          .arenaDamage, at: address.bits,
          "arena \(copies.firstArena + arenas.count) at \(address) cannot be read; it and those after it are missing"
        )
        return arenas
      }
      let arena = Arena(address: address, layout: instance.arenaLayout, bytes: bytes)
      arenas.append(arena)
      address = arena.next
    } while address != instance.mainArena
    return arenas
  }

  /// Finds out where the arenas' memory is, as far as their own structures say.
  ///
  /// A main arena without the program break has segments that only a search finds.
  mutating func locateMemory(of arenas: [Arena]) throws(ReadFault) {
    for arena in arenas.dropFirst() { heaps[arena.address] = try findHeaps(of: arena) }
    for arena in arenas { try followGrowth(of: arena) }
    if let main = arenas.first, main.isContiguous, let start = mainStart {
      arenaMemory.append(
        AddressRange(RemoteAddress(start).alignedDown(to: 16), byteCount: main.systemBytes))
    }
    arenaMemory += hints.mainSegments
  }

  /// The arenas that were created since `known` were read, if there was another stop meanwhile.
  mutating func newArenas(since known: [Arena]) throws(ReadFault) -> [Arena] {
    guard ringMoment != progress.moment else { return [] }
    let addresses = Set(known.map(\.address))
    ringMoment = progress.moment
    let arenas = try readRing().filter { !addresses.contains($0.address) }
      .prefix(Self.arenaLimit - min(Self.arenaLimit, known.count))
    for arena in arenas {
      heaps[arena.address] = try findHeaps(of: arena)
      try followGrowth(of: arena)
    }
    return Array(arenas)
  }

  /// Walks all memory of the arena that was read as `first` and verifies its lists.
  mutating func walk(_ first: Arena, index: Int) throws(ReadFault) -> ArenaSummary {
    let isMain = first.address == instance.mainArena
    arena = first
    if ringMoment != progress.moment || isLive {
      try refreshArena()
      if !isLive { try markThreadCachesAgain() }
    }
    arenaMoment = progress.moment
    changeMoment = progress.moment
    let systemBytesBefore = arena.systemBytes
    // What no process can have is damage, and bounds nothing.
    let isPossible = first.systemBytes < 1 << 56
    walkedLimit =
      isPossible ? Self.endlessBytes + first.systemBytes + first.systemBytes / 2 : .max
    topLag = 0
    var summary = ArenaSummary(index: index, address: arena.address, kind: isMain ? .main : .thread)
    if arena.systemBytes > arena.maxSystemBytes {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "arena \(index) holds \(arena.systemBytes) bytes, more than its own maximum of "
          + "\(arena.maxSystemBytes)")
    }
    prepareScan(index: index, isMain: isMain)
    if isMain {
      try walkMain(&summary)
    } else {
      try walkHeaps(&summary)
    }
    // Looking up many chunks takes long: not while the target stands still, if it need not.
    let toSettle = fastbinSets.map { $0.notedCount + scan.fastbinCandidates.count } ?? 0
    let isLong =
      !isArenaOfOneMoment && toSettle > Self.settledInStop && pacing?.isHalfOver == true
    if isLong { pacing?.letRun() }
    leaveFastbins()
    summary.systemBytes = arena.systemBytes
    summary.attachedThreads = arena.attachedThreads
    summary.isLocked = arena.isLocked
    summary.inUse = scan.inUse
    summary.free = scan.free
    summary.cached = scan.cached
    summary.tcacheStructures = scan.structures
    try verifyBins(summary)
    compareSystemBytes(&summary, before: systemBytesBefore)
    if isLong, let pacing { try stopAgain(pacing) }
    return summary
  }

  /// How many chunks may be looked up in fastbins while the target stands still.
  static var settledInStop: Int { 1 << 13 }

  /// Compares what was found of an arena with glibc's count, which was `before` when the walk began.
  private mutating func compareSystemBytes(_ summary: inout ArenaSummary, before: UInt64) {
    let found = summary.accountedBytes &+ summary.unaccountedBytes
    let total = summary.systemBytes
    // Memory comes and goes first, then this figure follows, and top last.
    let isMoving = topLag != 0 && isArenaLocked && isArenaOfOneMoment && total &- found == topLag
    if isMoving { summary.systemBytes = found }
    let hasMoved = !isArenaOfOneMoment && before != summary.systemBytes
    if found < summary.systemBytes {
      let missing = summary.systemBytes - found
      if log.hasSwapped(.arena(summary.index)) {
        log.addSwapped(.arena(summary.index), at: arena.address.bits, bytes: missing)
      } else {
        log.add(
          isEndless ? .limitReached : hasMoved ? .moved : .arenaDamage, at: arena.address.bits,
          bytes: missing,
          "\(missing) bytes of arena \(summary.index) were not found"
            + (hasMoved ? ": it changed its size meanwhile" : ""))
      }
    }
    checks.append(
      Check(
        "arena \(summary.index) system_mem", expected: total,
        found: summary.accountedBytes,
        holds: (isArenaOfOneMoment ? summary.accountedBytes : found) == summary.systemBytes
          || hasMoved))
  }

  /// Whether the target runs while it is read.
  var isLive: Bool { pacing?.stopsTarget == false }

  /// Whether all of the present arena was read in one stop, so that its parts must agree.
  var isArenaOfOneMoment: Bool { !isLive && arenaMoment == progress.moment }

  /// Whether the present arena was never seen to change while it was read, so that what does not change
  /// without it must agree: its free chunks with its bins.
  var isArenaUnchanged: Bool { !isLive && changeMoment == arenaMoment }

  /// Reads the present arena, and where its memory is, as they are now.
  mutating func refreshArena() throws(ReadFault) {
    let before = arena
    let size = instance.arenaLayout.byteCount
    guard let bytes = try reader.bytes(at: arena.address, count: size) else { return }
    arena = Arena(address: arena.address, layout: instance.arenaLayout, bytes: bytes)
    noteLock()
    if !arena.isSame(as: before) { changeMoment = progress.moment }
    guard arena.top != before.top || arena.systemBytes != before.systemBytes else { return }
    if arena.address != instance.mainArena {
      heaps[arena.address] = try findHeaps(of: arena)
    }
    try followGrowth(of: arena)
  }

  // MARK: Growth

  /// How much more is walked than one and a half times of what an arena had when the walk began: one that
  /// grows faster than it is read must not be read for ever.
  private static var endlessBytes: UInt64 { 256 << 20 }

  /// Whether the present arena has grown so fast that its walk should end.
  var isEndless: Bool {
    pacing != nil && scan.inUse.bytes &+ scan.free.bytes &+ scan.cached.bytes > walkedLimit
  }

  /// How much an arena is believed to have grown without a look at the mappings: as much as a heap holds.
  private static var believedGrowth: UInt64 { HeapInfoLayout.defaultHeapMaximum }
  /// How often at least a target that runs is looked at before its mappings are read again: otherwise it
  /// could grow faster than it is read.
  private static var looksBetweenMappings: Int { 64 }

  /// Has `data` reach as far as `arena`, which may have grown since the mappings were read.
  ///
  /// Reading them anew in a stop takes 0.6 us for each, of which some processes have tens of thousands.
  mutating func followGrowth(of arena: Arena) throws(ReadFault) {
    guard let pacing else { return }
    var isDoubtful = false
    for range in memory(of: arena) {
      let end = range.upperBound.alignedUp(to: options.pageSize).bits
      guard data.range(containing: end &- 1) == nil else { continue }
      let from = max(range.lowerBound.bits, data.end(before: end) ?? 0)
      if end &- from <= Self.believedGrowth, try ends(range, in: arena) {
        data.add(AddressRange(RemoteAddress(from), RemoteAddress(end)))
        doubtThreadCaches()
      } else {
        isDoubtful = true
      }
    }
    if !arena.isContiguous, arena.address == instance.mainArena, !arena.hasNoMemory {
      isDoubtful = isDoubtful || data.range(containing: arena.top.bits) == nil
    }
    let since = progress.moment - (growthMoment ?? -Self.looksBetweenMappings)
    guard isDoubtful, since >= (isLive ? Self.looksBetweenMappings : 1) else { return }
    growthMoment = progress.moment
    data = DataRanges(try pacing.mappings())
    doubtThreadCaches()
  }

  /// The memory of which an arena itself says that it is its own.
  private func memory(of arena: Arena) -> [AddressRange] {
    if arena.address != instance.mainArena { return (heaps[arena.address] ?? []).map(\.range) }
    guard arena.isContiguous, !arena.hasNoMemory, let start = mainStart else { return [] }
    let (end, overflow) = parameters.sbrkBase.addingReportingOverflow(arena.systemBytes)
    guard !overflow, start < end, end < 1 << 56 else { return [] }
    return [AddressRange(RemoteAddress(start), RemoteAddress(end))]
  }

  /// Whether `range` is mapped up to its end, and ends where the arena's top chunk does, if that is in it.
  private func ends(_ range: AddressRange, in arena: Arena) throws(ReadFault) -> Bool {
    let end = range.upperBound
    guard range.contains(arena.top) else {
      // Others are full up to their last words.
      return try reader.word(at: RemoteAddress((end.bits &- 8) & ~7)) != nil
    }
    // What is behind top's header may never have been touched, and is to stay so.
    guard let field = try reader.word(at: RemoteAddress(arena.top.bits &+ 8)) else { return false }
    return arena.top.bits &+ field & ~7 == end.bits
  }

  /// Whether a pointer to a chunk's user bytes could be `address`.
  ///
  /// The mappings were read just before the first stop: if that says no, they are read once more.
  mutating func canHoldUserPointer(_ address: UInt64) throws(ReadFault) -> Bool {
    if data.canHoldUserPointer(address) { return true }
    guard let pacing, !isLive, address & 15 == 0, progress.moment == 0, !hasDoubtedData else {
      return false
    }
    hasDoubtedData = true
    data = DataRanges(try pacing.mappings())
    return data.canHoldUserPointer(address)
  }

  /// Notes whether a thread was changing the present arena.
  private mutating func noteLock() {
    hasMetCut = false
    // With one thread, no lock is taken.
    isArenaLocked =
      isLive || arena.isLocked
      || threads.count == 1
        && (instance.code?.contains(threads[0].programCounter) == true
          || progress.moment == 0 && isAnyInside)
    scan.ground.isLocked = isArenaLocked
  }

  private mutating func prepareScan(index: Int, isMain: Bool) {
    noteLock()
    scan.ground = ChainScan.Ground(
      arena: Int32(truncatingIfNeeded: index), boundary: 0,
      // Bit 1 says mmapped and bit 3 is never set; in the main arena, bit 2 (not main) neither.
      forbiddenFlags: isMain ? 0b1110 : 0b1010,
      linking: linking, collectsChunks: options.collectsChunks, isLocked: isArenaLocked)
    if tagsMemory { scan.ground.unusable = 16 }
    if watchesCaches {
      let sizes = TcacheLayout.chunkSizes
      scan.ground.watchedSize = sizes.lowerBound
      scan.ground.watchedReach = sizes.upperBound &- sizes.lowerBound
    }
    prepareCaches()
    prepareFastbins()
    scan.inUse = Tally()
    scan.free = Tally()
    scan.cached = Tally()
    scan.structures = Tally()
    scan.addressSum = 0
    scan.forwardSum = 0
    scan.backwardSum = 0
    scan.freeChunks.removeAll(keepingCapacity: true)
    scan.unmatched = []
    namedOverruns = []
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
    scan.candidateLimit = candidateRoom
  }

  /// Tells the scan by what it can tell cached chunks if their lists are not known in the present stop.
  mutating func prepareCaches() {
    scan.ground.tcacheKey =
      isLive ? hints.tcacheKey : progress.moment > 0 ? knownCaches?.key ?? 0 : 0
  }

  /// Tells the scan which chunks can be in a fastbin of the present arena.
  mutating func prepareFastbins() {
    // One that a thread is taking apart looks empty.
    let fastbins = arena.fastbinHeads.indices.filter {
      isArenaLocked || arena.fastbinHeads[$0] != 0
    }
    scan.ground.fastbinLimit = fastbins.last.map { UInt64(32 + 16 * $0) } ?? 0
    scan.ground.fastbinMask = fastbins.reduce(0) { $0 | 1 << UInt64($1) }
    scan.ground.fastbinRange =
      data.ranges.isEmpty
      ? AddressRange(RemoteAddress(0), RemoteAddress(0))
      : AddressRange(data.ranges[0].lowerBound, data.ranges[data.ranges.count - 1].upperBound)
  }

  // MARK: Thread arenas

  /// One heap of a thread arena: what its header says.
  struct Heap {
    var start: UInt64
    var size: UInt64
    var previous: UInt64
    /// What is reserved for it, in bytes.
    var maximum: UInt64
    var range: AddressRange { AddressRange(RemoteAddress(start), byteCount: size) }

    /// Makes a heap, nil if it cannot have that size.
    init?(start: UInt64, size: UInt64, previous: UInt64, maximum: UInt64) {
      guard size >= 64, size <= maximum, size % 16 == 0 else { return nil }
      self.start = start
      self.size = size
      self.previous = previous
      self.maximum = maximum
    }
  }

  private mutating func walkHeaps(_ summary: inout ArenaSummary) throws(ReadFault) {
    let headerSize = heapInfoSize(of: arena)
    var walked: Set<UInt64> = []
    // Looked up again each time: the arena may have got another heap meanwhile.
    while !isEndless,
      let heap = heaps[arena.address]?.first(where: { !walked.contains($0.start) })
    {
      walked.insert(heap.start)
      let isFirst = heap.range.contains(arena.address)
      let first = HeapInfoLayout(byteCount: headerSize)
        .firstChunk(isFirstHeap: isFirst, arena: arena.layout)
      summary.headerBytes &+= min(first, heap.size)
      let chunks = AddressRange(RemoteAddress(heap.start &+ first), heap.range.upperBound)
      guard !chunks.isEmpty else {
        summary.segments.append(heap.range)
        continue
      }
      var segment = Segment(
        start: chunks.lowerBound.bits, limit: chunks.upperBound.bits,
        top: chunks.contains(arena.top) ? arena.top.bits : nil, place: .heap(heap))
      _ = try walk(&segment, &summary)
      summary.segments.append(
        AddressRange(RemoteAddress(heap.start), RemoteAddress(max(heap.start, segment.limit))))
    }
  }

  /// The heaps of a thread arena, oldest first.
  private mutating func findHeaps(of arena: Arena) throws(ReadFault) -> [Heap] {
    let headerSize = UInt64(heapInfoSize(of: arena))
    let firstHeap = arena.address.bits &- headerSize
    for maximum in heapMaxima where firstHeap & (maximum - 1) == 0 {
      var chain: [Heap] = []
      var seen: Set<UInt64> = []
      var address = arena.top.bits & ~(maximum - 1)
      while address & (maximum - 1) == 0, seen.insert(address).inserted,
        let heap = try heap(at: address, of: arena, maximum: maximum)
      {
        chain.append(heap)
        address = heap.previous
        if address == 0 { break }
      }
      guard chain.last?.start == firstHeap else { continue }
      remember(chain, maximum: maximum)
      return chain.reversed()
    }
    return try searchHeaps(of: arena, first: firstHeap)
  }

  /// What thread arenas may reserve for a heap, in bytes, ascending: with huge pages of a given size,
  /// 2.35 to 2.41 reserve four of them, and 2.42 what others do.
  ///
  /// The smaller first: what is aligned for the larger is aligned for both, and what lies behind a
  /// smaller heap may be the main arena's.
  private var heapMaxima: [UInt64] {
    let usual = HeapInfoLayout.defaultHeapMaximum
    let (huge, overflow) = parameters.hugePageSize.multipliedReportingOverflow(by: 4)
    let isUsable =
      !overflow && huge >= 1 << 20 && huge & (huge &- 1) == 0 && !instance.hasNewMmapHeader
    return isUsable ? [min(huge, usual), max(huge, usual)] : [usual]
  }

  /// The heaps whose headers name the arena, where the chain from top does not lead to the first: top
  /// is in a heap that was just unmapped, or damaged.
  private mutating func searchHeaps(
    of arena: Arena, first: UInt64
  ) throws(ReadFault) -> [Heap] {
    let maximum = heapMaxima[0]
    if strayHeaps == nil { strayHeaps = try searchHeaps(maximum: maximum) }
    let found = strayHeaps?[arena.address.bits] ?? []
    remember(found, maximum: maximum)
    log.add(
      arena.isLocked ? .inTransit : .arenaDamage, at: arena.address.bits,
      "the top chunk of the arena at \(arena.address) leads to no heap of its own; "
        + "\(found.count) of its heaps were found by their headers")
    return found
  }

  /// Every heap that has the address of a heap and a header that can be one, by the arena it names.
  private mutating func searchHeaps(maximum: UInt64) throws(ReadFault) -> [UInt64: [Heap]] {
    var places: [RemoteAddress] = []
    for range in data.ranges {
      let (raised, overflow) = range.lowerBound.bits.addingReportingOverflow(maximum - 1)
      if overflow { continue }
      var address = raised & ~(maximum - 1)
      while address < range.upperBound.bits, places.count < Self.arenaLimit {
        // Memory that others have reserved and never touched has many such places.
        let states = reader.pageStates(
          from: RemoteAddress(address), count: 1, pageSize: options.pageSize)
        if states?.first ?? .resident == .resident { places.append(RemoteAddress(address)) }
        address &+= maximum
      }
    }
    let headers = try reader.gather(at: places, wordsEach: 3)
    var found: [UInt64: [Heap]] = [:]
    for (index, place) in places.enumerated() {
      guard let arena = headers[index, HeapInfoLayout.arena / 8],
        let size = headers[index, HeapInfoLayout.size / 8],
        let previous = headers[index, HeapInfoLayout.previous / 8],
        let heap = Heap(
          start: place.bits, size: size, previous: previous, maximum: maximum)
      else { continue }
      found[arena, default: []].append(heap)
    }
    return found
  }

  private mutating func remember(_ heaps: [Heap], maximum: UInt64) {
    for heap in heaps {
      let reservation = AddressRange(RemoteAddress(heap.start), byteCount: maximum)
      guard !reservations.contains(reservation) else { continue }
      reservations.append(reservation)
      arenaMemory.append(reservation)
    }
  }

  func heap(
    at address: UInt64, of arena: Arena, maximum: UInt64
  ) throws(ReadFault) -> Heap? {
    guard let words = try reader.words(at: RemoteAddress(address), count: 3),
      words[HeapInfoLayout.arena / 8] == arena.address.bits
    else { return nil }
    return Heap(
      start: address, size: words[HeapInfoLayout.size / 8],
      previous: words[HeapInfoLayout.previous / 8], maximum: maximum)
  }

  /// The size of `heap_info`, of which a thread arena's own address tells: it follows the first heap's
  /// header, and heaps begin at page boundaries.
  func heapInfoSize(of arena: Arena) -> Int {
    let distance = Int(arena.address.bits & 0xfff)
    return distance == 32 || distance == 48 ? distance : instance.heapInfoLayout.byteCount
  }

  /// What memory told of the layout, `arenas` included.
  func readings(_ arenas: [Arena]) -> MallocReadings {
    var readings = readings
    readings.masksLinks = isLinkingDecided ? linking == .masked : nil
    let distances = Set(arenas.dropFirst().map { Int($0.address.bits & 0xfff) })
    if distances.count == 1 { readings.heapInfoByteCount = distances.first }
    return readings
  }
}
