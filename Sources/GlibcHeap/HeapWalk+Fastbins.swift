// The fastbins of the arena that is being walked.

import HeapModel
import RemoteMemory

/// The chunks in one arena's fastbins, as all stops together have shown them.
///
/// The lists are stacks: what is taken or put is at their beginning, and what lies deeper stays, until
/// glibc takes whole lists apart. So they are followed once, in as many stops as that takes, and from
/// then on only from where they begin to the first chunk that is known.
struct FastbinSets {
  /// One list's chunks.
  struct List {
    /// From the last to the first, so that the list's beginning is this array's end.
    private var chunks: [UInt64] = []
    private var places: [UInt64: Int] = [:]

    func contains(_ chunk: UInt64) -> Bool { places[chunk] != nil }

    /// Takes over that the list begins with `fresh` chunks, after which it goes on with `known`, or ends.
    mutating func begin(with fresh: [UInt64], before known: UInt64?) {
      let kept = known.flatMap { places[$0] }.map { $0 + 1 } ?? 0
      while chunks.count > kept, let last = chunks.popLast() { places[last] = nil }
      for chunk in fresh.reversed() {
        places[chunk] = chunks.count
        chunks.append(chunk)
      }
    }

    /// All its chunks.
    var all: [UInt64] { chunks }
  }

  /// The lists, by their number.
  var lists = [List](repeating: List(), count: ArenaLayout.fastbinCount)
  /// Where they began when they were last followed.
  var heads = [UInt64](repeating: 0, count: ArenaLayout.fastbinCount)
  /// How many more chunks may be followed.
  var chunksLeft: Int
  /// Whether they were too long to be followed to their ends.
  var isCut = false
  /// For each list that led elsewhere than to a chunk of its size or to its end, where that was.
  var strays = [UInt64?](repeating: nil, count: ArenaLayout.fastbinCount)
  /// How many chunks were found to be in a list.
  var found = 0

  /// Makes empty sets that may follow so many chunks.
  init(limit: Int) {
    chunksLeft = limit
  }

  /// How many chunks there are in the lists.
  var count: Int { lists.reduce(0) { $0 + $1.all.count } }

  /// Notes that what list number `bin` leads to is no chunk that it could go on with.
  mutating func noteEnd(of bin: Int, at chunk: UInt64) {
    if chunk != 0, !lists[bin].contains(chunk) { strays[bin] = chunk }
  }

  /// Whether `chunk` is in one of them.
  func contains(_ chunk: FastbinCandidate) -> Bool {
    let bin = Int(truncatingIfNeeded: chunk.size >> 4) - 2
    return lists.indices.contains(bin) && lists[bin].contains(chunk.address)
  }
}

/// Where a list of fastbin chunks begins.
struct FastbinHead: Hashable, Sendable {
  /// The size of its chunks.
  var size: UInt64
  /// The first chunk.
  var chunk: UInt64
}

extension HeapWalk {
  /// How many chunks of an arena's lists are followed and kept: 12 MiB.
  ///
  /// A round of one chunk of each list takes 2 to 3 us.
  private static var followedChunks: Int { 200_000 }
  /// How many chunks that may be in a fastbin are kept at least for one arena: 2 MiB.
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
      scan.fastbinCandidates = []
      scan.hasDroppedCandidates = false
      liveHeads = []
      fastbinSets = nil
    }
    report(fastbinSets, of: summary)
    guard isLive || isArenaOfOneMoment, !scan.fastbinCandidates.isEmpty else { return }
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
    lists.heads = isLive ? liveHeads : fastbinHeads
    lists.candidates = scan.fastbinCandidates
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
    guard pacing?.stopsTarget == true, arena.layout.fastbins != nil else { return }
    var sets = fastbinSets ?? FastbinSets(limit: Self.followedChunks)
    // Once more where following took more than one stop: what came meanwhile is at the beginnings.
    for _ in 0..<Self.followings where sets.heads != arena.fastbinHeads {
      try follow(&sets, mayStop: true)
    }
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
      var sets = FastbinSets(limit: Self.followedChunks)
      try follow(&sets, mayStop: false)
      fastbinSets = sets
    }
    settleFastbins()
  }

  /// Counts those of the noted chunks as cached that are in a fastbin as it was followed.
  private mutating func settleFastbins() {
    guard var sets = fastbinSets.take() else { return }
    for candidate in scan.fastbinCandidates where sets.contains(candidate) {
      sets.found += 1
      scan.countAsFastbin(candidate, sizes: &sizes)
    }
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
    fastbinSets = sets
  }

  /// Follows all lists that begin elsewhere than before, one link of each in a round, so that a round is
  /// one system call; in as many stops as that takes, if it may.
  private mutating func follow(
    _ sets: inout FastbinSets, mayStop: Bool
  ) throws(ReadFault) {
    var cursors: [(bin: Int, chunk: UInt64, fresh: [UInt64])] = []
    for (bin, head) in arena.fastbinHeads.enumerated() where head != sets.heads[bin] {
      sets.heads[bin] = head
      sets.strays[bin] = nil
      if sets.lists[bin].contains(head) || !data.canHoldUserPointer(head) {
        sets.noteEnd(of: bin, at: head)
        sets.lists[bin].begin(with: [], before: head)
      } else {
        cursors.append((bin, head, []))
      }
    }
    var rounds = 0
    // A chunk is in one list once; one that is met again ends a list that leads back.
    var met: Set<UInt64> = []
    while !cursors.isEmpty, sets.chunksLeft > 0 {
      rounds += 1
      sets.chunksLeft -= cursors.count
      // Deep in a list nothing changes, but by the end of all of it.
      if let pacing, mayStop, pacing.isDue, rounds % 64 == 0 { try stopAgain(pacing) }
      let words = try reader.gather(
        at: cursors.map { RemoteAddress($0.chunk &+ 8) }, wordsEach: 2)
      for index in cursors.indices.reversed() {
        let (bin, chunk) = (cursors[index].bin, cursors[index].chunk)
        guard let field = words[index, 0], let stored = words[index, 1],
          field & ~7 == 32 + 16 * UInt64(bin), met.insert(chunk).inserted
        else {
          sets.strays[bin] = chunk
          sets.lists[bin].begin(with: cursors.remove(at: index).fresh, before: nil)
          continue
        }
        cursors[index].fresh.append(chunk)
        let next = linking.next(stored: stored, field: chunk &+ 16)
        cursors[index].chunk = next
        if sets.lists[bin].contains(next) || !data.canHoldUserPointer(next) {
          sets.noteEnd(of: bin, at: next)
          sets.lists[bin].begin(with: cursors.remove(at: index).fresh, before: next)
        }
      }
    }
    for cursor in cursors {
      sets.lists[cursor.bin].begin(with: cursor.fresh, before: nil)
      sets.isCut = true
    }
  }
}
