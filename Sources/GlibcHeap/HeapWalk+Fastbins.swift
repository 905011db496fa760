// The fastbins of an arena that is not walked in one stop.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many links are followed one after the other, each by a system call, in one stop. Longer lists
  /// are followed later, through what all stops have shown, which is right if they do not change.
  private static var remoteSteps: Int { 128 }

  /// Keeps what is needed to follow the fastbins of the arena that was just walked, when the target
  /// runs on.
  mutating func keepFastbins(of summary: ArenaSummary, in collected: inout CollectedHeap) {
    if isLive || isArenaOfOneMoment {
      longFastbins.heads += fastbinHeads
      longFastbins.candidates = scan.fastbinCandidates
    }
    if !longFastbins.heads.isEmpty || isArenaLocked, !longFastbins.candidates.isEmpty {
      longFastbins.arena = summary.index
      longFastbins.isBeingChanged = isArenaLocked && !isLive
      longFastbins.isOfOneMoment = isArenaOfOneMoment
      longFastbins.isTold = if isLive, case .masked = linking { true } else { false }
      collected.fastbins.append(longFastbins)
    }
    longFastbins = FastbinLists()
    scan.fastbinCandidates = []
    fastbinMoment = nil
  }

  /// Where the lists of the present arena begin.
  private var fastbinHeads: [FastbinHead] {
    arena.fastbinHeads.enumerated().filter { $0.element != 0 }
      .map { FastbinHead(size: 32 + 16 * UInt64($0.offset), chunk: $0.element) }
  }

  /// Finds out, before the stop ends, which of the chunks that it showed are in a fastbin.
  ///
  /// Each list leads through the whole arena, of which this stop's part is only one: the links outside
  /// of it are read from the target.
  mutating func settleFastbins() throws(ReadFault) {
    if isLive { longFastbins.heads += fastbinHeads }
    guard pacing?.stopsTarget == true, !scan.fastbinCandidates.isEmpty else { return }
    // An arena's next heap can lie before the one that this stop began with.
    let candidates = scan.fastbinCandidates.sorted { $0.address < $1.address }
    scan.fastbinCandidates.removeAll(keepingCapacity: true)
    if fastbinMoment.map({ $0 < changeMoment }) ?? true { try followFastbins(candidates) }
    // The counted ones are kept, too: lists of other stops may lead through them.
    var room = max(0, ChainScan.fastbinCandidateLimit - longFastbins.candidates.count)
    for var candidate in candidates {
      candidate.isCounted = fastbinMembers[candidate.address] == candidate.size
      if candidate.isCounted { scan.countAsFastbin(candidate, sizes: &sizes) }
      guard room > 0 else { continue }
      room -= 1
      longFastbins.candidates.append(candidate)
    }
  }

  /// Follows the present arena's fastbins, through what this stop has shown as far as they lead there.
  ///
  /// In the next stops, too, what was found is right as long as the arena has not changed: reading the
  /// links costs more than all else that such a stop does.
  private mutating func followFastbins(_ candidates: [FastbinCandidate]) throws(ReadFault) {
    fastbinMembers.removeAll(keepingCapacity: true)
    fastbinMoment = progress.moment
    var lists = fastbinHeads
    for _ in 0..<Self.remoteSteps where !lists.isEmpty {
      for index in lists.indices { follow(&lists[index], candidates) }
      lists.removeAll { !data.canHoldUserPointer($0.chunk) }
      if lists.isEmpty { break }
      let words = try reader.gather(
        at: lists.map { RemoteAddress($0.chunk &+ 8) }, wordsEach: 2)
      for index in lists.indices {
        let (chunk, size) = (lists[index].chunk, lists[index].size)
        lists[index].chunk = 0
        guard let field = words[index, 0], let stored = words[index, 1], field & ~7 == size,
          fastbinMembers.updateValue(size, forKey: chunk) == nil
        else { continue }
        lists[index].chunk = linking.next(stored: stored, field: chunk &+ 16)
      }
    }
    lists.removeAll { !data.canHoldUserPointer($0.chunk) }
    longFastbins.heads += lists
  }

  /// Follows a list through what this stop has shown, and leaves it at the first chunk outside.
  private mutating func follow(_ list: inout FastbinHead, _ candidates: [FastbinCandidate]) {
    while let index = candidates.index(of: list.chunk, by: { $0.address }) {
      guard candidates[index].size == list.size,
        fastbinMembers.updateValue(list.size, forKey: list.chunk) == nil
      else {
        list.chunk = 0
        return
      }
      list.chunk = candidates[index].next
    }
  }
}

/// Where a list of fastbin chunks begins.
struct FastbinHead: Sendable {
  /// The size of its chunks.
  var size: UInt64
  /// The first chunk.
  var chunk: UInt64
}
