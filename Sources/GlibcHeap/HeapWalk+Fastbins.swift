// The fastbins of the arena that is being walked.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many chunks that may be in a fastbin are kept at least for one arena: 1 MiB.
  private static var leastCandidates: Int { 1 << 16 }
  /// How many of them can come at once: so many chunks fit into what is read at once.
  private static var candidatesAtOnce: Int { WalkBuffers.largestRead / 32 }

  /// How many chunks that may be in a fastbin can be kept for the present arena.
  var candidateRoom: Int {
    max(Self.leastCandidates, ChainScan.fastbinCandidateLimit - keptCandidates)
  }

  /// Keeps what is needed to follow the fastbins of the arena that was just walked, when the target
  /// runs on.
  mutating func keepFastbins(
    of summary: ArenaSummary, in collected: inout CollectedHeap
  ) throws(ReadFault) {
    defer {
      // The next arena's need the room; without a pause to keep, it is handed over with what is in it.
      if pacing == nil { scan.fastbinCandidates = [] }
      scan.fastbinCandidates.removeAll(keepingCapacity: true)
      scan.hasDroppedCandidates = false
      liveHeads = []
      fastbinSets = nil
    }
    report(fastbinSets, of: summary)
    let heads = isLive ? liveHeads : fastbinHeads
    // A list whose first link was written over has no candidates.
    let isTold =
      !scan.fastbinCandidates.isEmpty || !isLive && fastbinSets == nil && !heads.isEmpty
    guard isLive || isArenaOfOneMoment, isTold else { return }
    var lists = FastbinLists()
    lists.arena = summary.index
    lists.isBeingChanged = isArenaLocked && !isLive
    // Those of the first stop are there already.
    if lists.isBeingChanged, progress.moment > 0 {
      collected.heldWords.formUnion(try heldWords())
    }
    lists.isOfOneMoment = isArenaOfOneMoment
    // Lists of an arena that nobody has changed lead where they say.
    let hasChanged = isLive && changeMoment > arenaMoment
    lists.isTold = if hasChanged, case .masked = linking { true } else { false }
    lists.heads = heads
    lists.candidates =
      pacing == nil ? scan.fastbinCandidates : scan.fastbinCandidates.map { $0 }
    keptCandidates += lists.candidates.count
    collected.fastbins.append(lists)
  }

  /// Says what of the fastbins could not be followed, or leads where it should not.
  private mutating func report(_ sets: FastbinSets?, of summary: ArenaSummary) {
    if sets?.isCut == true || scan.hasDroppedCandidates {
      log.add(
        .limitReached, at: arena.address.bits,
        "the fastbins of arena \(summary.index) are too long to be followed: some of their chunks "
          + "count as in use")
    }
    guard let sets, isArenaOfOneMoment, !isArenaLocked else { return }
    for (bin, stray) in sets.strays.enumerated() {
      guard let stray else { continue }
      log.add(
        .listDamage, at: stray &+ 16,
        chunk: data.canHoldUserPointer(stray &+ 16)
          ? NamedChunk(
            userAddress: RemoteAddress(stray &+ 16), size: UInt64(32 + 16 * bin), state: .fastbin)
          : nil,
        "the fastbin for chunks of \(32 + 16 * bin) bytes leads to what is no cached chunk of that "
          + "size at \(RemoteAddress(stray &+ 16))")
    }
    if sets.found != sets.count {
      log.add(
        .listDamage, at: arena.address.bits,
        "the fastbins of arena \(summary.index) hold \(sets.count) chunks, of which "
          + "\(sets.count - sets.found) were not met")
    }
  }

  /// Where the lists of the present arena begin.
  private var fastbinHeads: [FastbinHead] {
    arena.fastbinHeads.enumerated().filter { $0.element != 0 }
      .map { FastbinHead(size: 32 + 16 * UInt64($0.offset), chunk: $0.element) }
  }

  /// Notes what the stop, or look, that ends has shown of fastbins; that needs no more of the target.
  mutating func leaveFastbins() {
    if isLive {
      for head in fastbinHeads where liveHeads.last(where: { $0.size == head.size }) != head {
        liveHeads.append(head)
      }
    }
    settleFastbins()
  }

  /// Follows the fastbins of the present arena as far as is not known yet; the chunks that the stop
  /// before has shown, and this one will, are looked up in them when the target runs again.
  mutating func enterFastbins() throws(ReadFault) {
    guard let pacing, !isLive, arena.layout.fastbins != nil else { return }
    var sets = fastbinSets ?? FastbinSets()
    // Once more where following took more than one stop: what came meanwhile is at the beginnings.
    for _ in 0..<Self.followings where sets.heads != arena.fastbinHeads {
      try follow(&sets, mayStop: true)
      if pacing.isHalfOver || sets.notedCount > Self.settledInStop {
        // What comes now needs time, too.
        pacing.letRun()
        sets.update()
        try stopAgain(pacing)
      } else {
        sets.update()
      }
    }
    fastbinSets = sets
  }

  /// After how many links of each list it is looked whether the stop should end.
  private static var roundsAtOnce: Int { 8 }

  /// Follows the fastbins for the first time while the target runs, so that stops have to follow only what
  /// has come since.
  ///
  /// A list that did not lead to its end has changed meanwhile: that one is left to a stop.
  mutating func followFastbinsAhead() throws(ReadFault) {
    guard fastbinSets == nil, !isLive, arena.layout.fastbins != nil else { return }
    var sets = FastbinSets()
    try follow(&sets, mayStop: false)
    sets.update()
    sets.forgetStrays()
    fastbinSets = sets
  }

  /// How often lists are followed in a row that begin elsewhere each time.
  private static var followings: Int { 3 }

  /// Follows the fastbins in the midst of a stop if there is no room for more chunks that look as if they
  /// were in one: blocks that the program has not written to still hold old links.
  mutating func makeFastbinRoom() throws(ReadFault) {
    guard scan.fastbinCandidates.count > candidateRoom - Self.candidatesAtOnce, !isLive,
      arena.layout.fastbins != nil
    else { return }
    if fastbinSets == nil {
      var sets = FastbinSets()
      try follow(&sets, mayStop: false)
      fastbinSets = sets
    }
    settleFastbins()
  }

  /// Counts those of the noted chunks as cached that are in a fastbin as it was followed.
  private mutating func settleFastbins() {
    guard var sets = fastbinSets.take() else { return }
    sets.update()
    for candidate in scan.fastbinCandidates where sets.contains(candidate) {
      sets.found += 1
      scan.countAsFastbin(candidate, sizes: &sizes)
    }
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
    fastbinSets = sets
  }

  /// Follows all lists that begin elsewhere than before, as far as is not known, in as many stops as that
  /// takes, if it may.
  ///
  /// All at once: a round of one chunk, or one page, of each is one or two system calls.
  private mutating func follow(
    _ sets: inout FastbinSets, mayStop: Bool
  ) throws(ReadFault) {
    var cursors: [FastbinCursor] = []
    for (bin, head) in arena.fastbinHeads.enumerated() where head != sets.heads[bin] {
      sets.heads[bin] = head
      if sets.contains(head, in: bin) || !data.canHoldUserPointer(head) {
        sets.begin(bin, with: [], before: head)
      } else {
        cursors.append(FastbinCursor(bin: bin, head: head))
      }
    }
    var rounds = 0
    var chunksLeft = FastbinSets.limit - sets.count
    while !cursors.isEmpty {
      rounds += 1
      if rounds & 63 == 0 { pacing?.attend() }
      if let pacing, mayStop, rounds > Self.roundsAtOnce, pacing.isDue {
        // Deep in a list nothing changes, but by the end of all of it.
        try stopAgain(pacing)
        rounds = 1
        for index in cursors.indices { cursors[index].forget() }
      }
      let wantsPage = cursors.map(\.wantsPage)
      for onPage in [true, false] {
        let chosen = cursors.indices.filter { wantsPage[$0] == onPage }
        guard !chosen.isEmpty else { continue }
        let wordCount = onPage ? Int(FastbinCursor.pageSize / 8) : 2
        let words = try reader.gather(
          at: chosen.map { RemoteAddress(cursors[$0].readAddress) }, wordsEach: wordCount)
        for (place, index) in chosen.enumerated() {
          guard words.isReadable[place] else {
            sets.begin(cursors[index].bin, with: cursors[index].fresh, before: cursors[index].chunk)
            cursors[index].end()
            continue
          }
          let found = words.words[(place * wordCount)..<((place + 1) * wordCount)]
          if onPage {
            cursors[index].hold(found)
            while let header = cursors[index].header {
              advance(&cursors[index], header.field, header.stored, &sets, &chunksLeft)
            }
          } else {
            advance(
              &cursors[index], found[found.startIndex], found[found.startIndex + 1], &sets,
              &chunksLeft)
          }
        }
      }
      cursors.removeAll(where: \.hasEnded)
    }
  }

  /// Goes on from the chunk at which `cursor` is, which has a size `field` and a `stored` link.
  private func advance(
    _ cursor: inout FastbinCursor, _ field: UInt64, _ stored: UInt64, _ sets: inout FastbinSets,
    _ chunksLeft: inout Int
  ) {
    let chunk = cursor.chunk
    guard field & ~7 == 32 + 16 * UInt64(cursor.bin), chunksLeft > 0 else {
      sets.begin(cursor.bin, with: cursor.fresh, before: chunk, isCut: chunksLeft <= 0)
      cursor.end()
      return
    }
    chunksLeft -= 1
    let next = linking.next(stored: stored, field: chunk &+ 16)
    let goesOn = cursor.advance(to: next)
    if !goesOn || sets.contains(next, in: cursor.bin) || !data.canHoldUserPointer(next) {
      sets.begin(cursor.bin, with: cursor.fresh, before: next)
      cursor.end()
    }
  }
}
