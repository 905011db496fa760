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
  /// Whether they were too long to be followed to their ends.
  var isCut = false

  /// Whether `chunk` is in one of them.
  func contains(_ chunk: FastbinCandidate) -> Bool {
    let bin = Int(truncatingIfNeeded: chunk.size >> 4) - 2
    return lists.indices.contains(bin) && lists[bin].contains(chunk.address)
  }
}

/// Where a list of fastbin chunks begins.
struct FastbinHead: Sendable {
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

  /// Keeps what is needed to follow the fastbins of the arena that was just walked, when the target
  /// runs on.
  mutating func keepFastbins(of summary: ArenaSummary, in collected: inout CollectedHeap) {
    defer {
      scan.fastbinCandidates = []
      liveHeads = []
      fastbinSets = nil
    }
    if fastbinSets?.isCut == true {
      log.add(
        .limitReached, at: arena.address.bits,
        "the fastbins of arena \(summary.index) are too long to be followed while it is read in several "
          + "stops: some of their chunks count as in use")
    }
    guard isLive || isArenaOfOneMoment, !scan.fastbinCandidates.isEmpty else { return }
    var lists = FastbinLists()
    lists.arena = summary.index
    lists.isBeingChanged = isArenaLocked && !isLive
    lists.isOfOneMoment = isArenaOfOneMoment
    // Lists of an arena that nobody has changed lead where they say.
    let hasChanged = isLive && changeMoment > arenaMoment
    lists.isTold = if hasChanged, case .masked = linking { true } else { false }
    lists.heads = liveHeads + fastbinHeads
    lists.candidates = scan.fastbinCandidates
    collected.fastbins.append(lists)
  }

  /// Where the lists of the present arena begin.
  private var fastbinHeads: [FastbinHead] {
    arena.fastbinHeads.enumerated().filter { $0.element != 0 }
      .map { FastbinHead(size: 32 + 16 * UInt64($0.offset), chunk: $0.element) }
  }

  /// Notes what the present stop, or look, says of fastbins, before it ends.
  mutating func leaveFastbins() {
    if isLive { liveHeads += fastbinHeads }
    if fastbinSets != nil { settleFastbins() }
  }

  /// Follows the fastbins of the present arena as far as is not known yet, and decides which of the
  /// chunks that the stop before has shown are in them.
  mutating func enterFastbins() throws(ReadFault) {
    guard pacing?.stopsTarget == true, arena.layout.fastbins != nil else { return }
    var sets = fastbinSets ?? FastbinSets()
    try follow(&sets)
    fastbinSets = sets
    settleFastbins()
  }

  /// Counts those of the chunks that a stop has shown as cached that are in a fastbin.
  mutating func settleFastbins() {
    guard let fastbinSets else { return }
    for candidate in scan.fastbinCandidates where fastbinSets.contains(candidate) {
      scan.countAsFastbin(candidate, sizes: &sizes)
    }
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
  }

  /// Follows the fastbins of an arena of one moment in the stop itself, if more chunks look as if they
  /// were in one than can be kept: blocks that the program has not written to still hold old links.
  mutating func followIfTooMany() throws(ReadFault) {
    guard scan.fastbinCandidates.count >= ChainScan.fastbinCandidateLimit else { return }
    var sets = FastbinSets()
    try follow(&sets)
    fastbinSets = sets
    for (bin, list) in sets.lists.enumerated() {
      let size = 32 + 16 * UInt64(bin)
      for chunk in list.all {
        scan.countAsFastbin(FastbinCandidate(address: chunk, size: size, next: 0), sizes: &sizes)
      }
    }
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
  }

  /// Follows all lists that begin elsewhere than before, one link of each in a round, so that a round is
  /// one system call, in as many stops as that takes.
  private mutating func follow(_ sets: inout FastbinSets) throws(ReadFault) {
    var cursors: [(bin: Int, chunk: UInt64, fresh: [UInt64])] = []
    for (bin, head) in arena.fastbinHeads.enumerated() where head != sets.heads[bin] {
      sets.heads[bin] = head
      if sets.lists[bin].contains(head) || !data.canHoldUserPointer(head) {
        sets.lists[bin].begin(with: [], before: head)
      } else {
        cursors.append((bin, head, []))
      }
    }
    var rounds = 0
    var chunksLeft = Self.followedChunks
    while !cursors.isEmpty, chunksLeft > 0 {
      rounds += 1
      chunksLeft -= cursors.count
      // Deep in a list nothing changes, but by the end of all of it.
      if let pacing, pacing.isDue, rounds % 64 == 0 { try stopAgain(pacing) }
      let words = try reader.gather(
        at: cursors.map { RemoteAddress($0.chunk &+ 8) }, wordsEach: 2)
      for index in cursors.indices.reversed() {
        let (bin, chunk) = (cursors[index].bin, cursors[index].chunk)
        guard let field = words[index, 0], let stored = words[index, 1],
          field & ~7 == 32 + 16 * UInt64(bin)
        else {
          sets.lists[bin].begin(with: cursors.remove(at: index).fresh, before: nil)
          continue
        }
        cursors[index].fresh.append(chunk)
        let next = linking.next(stored: stored, field: chunk &+ 16)
        cursors[index].chunk = next
        if sets.lists[bin].contains(next) || !data.canHoldUserPointer(next) {
          sets.lists[bin].begin(with: cursors.remove(at: index).fresh, before: next)
        }
      }
    }
    // A list that leads back into itself ends here, too.
    for cursor in cursors {
      sets.lists[cursor.bin].begin(with: cursor.fresh, before: nil)
      sets.isCut = true
    }
  }
}
