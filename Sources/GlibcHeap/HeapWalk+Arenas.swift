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

  /// Notes whether a thread was changing the present arena.
  private mutating func noteLock() {
    forgetHeaderlessRest()
    // With one thread, no lock is taken.
    isArenaLocked =
      isLive || arena.isLocked
      || threads.count == 1
        && (instance.code?.contains(threads[0].programCounter) == true
          || progress.moment == 0 && isAnyInside)
    scan.ground.isLocked = isArenaLocked
  }

  /// How many chunks that may hold a tcache without a thread are looked at while the target stands still:
  /// that takes some 3 us each.
  private static var watchedInStop: Int { 256 }

  private mutating func prepareScan(index: Int, isMain: Bool) {
    noteLock()
    scan.ground = ChainScan.Ground(
      arena: Int32(truncatingIfNeeded: index), boundary: 0,
      // Bit 1 says mmapped and bit 3 is never set; in the main arena, bit 2 (not main) neither.
      forbiddenFlags: isMain ? 0b1110 : 0b1010,
      linking: linking, collectsChunks: options.collectsChunks,
      keepsBeginnings: scan.chunks.beginnings != nil, isLocked: isArenaLocked)
    if tagsMemory { scan.ground.unusable = 16 }
    if watchesCaches {
      let sizes = TcacheLayout.chunkSizes
      scan.ground.watchedSize = sizes.lowerBound
      scan.ground.watchedReach = sizes.upperBound &- sizes.lowerBound
      if !isLive {
        scan.ground.cacheFill = parameters.tcacheCount
        scan.ground.watchedLimit = Self.watchedInStop
      }
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
}
