// What a walk has read, before the work that needs no more of the target: that is done while the
// target runs on.

package import HeapModel

/// The result of reading a heap, to be made into a snapshot.
package struct CollectedHeap {
  var partial: HeapSnapshot
  var sizes = SizeTable()
  var log = FindingLog()
  var fastbins: [FastbinLists] = []
  var binLists: [BinLists] = []
  /// The index after the last arena's, looked at or not.
  var arenaEnd = 0
  /// Where chunks can be, and how many threads there were.
  var data = DataRanges([])
  var threadCount = 0
  /// Chunks whose state was found out after they were walked, by the chunk's address, if chunks are
  /// kept.
  var states: [UInt64: ChunkState] = [:]
  var keepsChunks = false
  /// The chunks themselves, and those of them that were found to be in a fastbin when they had been
  /// kept already.
  var chunks = ChunkStore()
  var fastbinChunks: [UInt64] = []
  /// The words that may be pointers into the heap, if they were asked for.
  var references = ReferenceBlocks()
  /// What is in the tcaches.
  var marks: Marks?
  /// What the threads inside malloc have in their registers and at the end of their stacks.
  var heldWords: Set<UInt64> = []
  /// The mappings of mmapped chunks.
  var mmappedRanges: [AddressRange] = []

  init(_ partial: HeapSnapshot) {
    self.partial = partial
  }

  /// The memory that the heap's chunks lie in.
  package var memoryRanges: [AddressRange] {
    partial.arenas.flatMap(\.segments) + mmappedRanges
  }

  /// Counts an arena.
  mutating func add(_ summary: ArenaSummary) {
    partial.arenas.append(summary)
    partial.systemAndMmappedBytes &+= summary.systemBytes
    partial.accountedBytes &+= min(summary.systemBytes, summary.accountedBytes)
  }

  /// The finished snapshot, its chunks ascending by address; to be called once: what it is made of goes,
  /// so that there are never two of each chunk.
  package mutating func snapshot() -> HeapSnapshot {
    for lists in fastbins { follow(lists) }
    for lists in binLists {
      let comparison = lists.compare(threads: threadCount, data: data, log: &log)
      partial.checks[lists.check] = comparison.check
      for chunk in comparison.inUse { countAsInUse(chunk, arena: lists.index) }
    }
    var snapshot = partial
    snapshot.sizes = sizes.classes
    snapshot.chunks = finishedChunks()
    snapshot.references = references.takeAll()
    snapshot.findings += log.findings
    snapshot.suppressedFindings = log.suppressed
    return snapshot
  }

  /// The chunks with their final states, ascending by address.
  private mutating func finishedChunks() -> [Chunk] {
    for chunk in fastbinChunks { states[chunk] = .fastbin }
    var finished = chunks.takeAll()
    // Sorting needs room for half of them.
    let isSorted = finished.indices.dropFirst().allSatisfy {
      finished[$0 - 1].userAddress < finished[$0].userAddress
    }
    if !isSorted { finished.sort { $0.userAddress < $1.userAddress } }
    for (chunk, state) in states {
      if let index = finished.index(of: chunk &+ 16, by: { $0.userAddress.bits }) {
        finished[index].state = state
      }
    }
    return finished
  }

  /// Follows an arena's fastbins through the candidates that the walk noted, and counts their chunks
  /// as cached instead of in use.
  private mutating func follow(_ lists: FastbinLists) {
    // What leads through pages that are swapped out is not damaged.
    let isWhole = lists.isOfOneMoment && !log.hasSwapped(.arena(lists.arena))
    guard let place = partial.arenas.firstIndex(where: { $0.index == lists.arena }) else { return }
    let candidates = lists.candidates.sorted { $0.address < $1.address }
    if lists.isTold {
      countLinked(candidates, heads: lists.heads, arena: place)
      return
    }
    var isTaken = [Bool](repeating: false, count: candidates.count)
    for head in lists.heads {
      var address = head.chunk
      while address != 0 {
        guard let index = candidates.index(of: address, by: { $0.address }) else {
          if isWhole {
            reportEnd(address, head.size, isBeingChanged: lists.isBeingChanged)
          } else if log.hasSwapped(.arena(lists.arena)) {
            log.addSwapped(.arena(lists.arena), at: address, places: 0)
          }
          break
        }
        guard !isTaken[index], candidates[index].size == head.size else {
          if isWhole {
            report(
              address, head.size,
              isTaken[index] ? "loops" : "holds a chunk of \(candidates[index].size) bytes")
          }
          break
        }
        isTaken[index] = true
        if candidates[index].isCounted {
          if keepsChunks { states[candidates[index].address] = .fastbin }
        } else {
          countAsCached(candidates[index].address, head.size, .fastbin, arena: place)
        }
        address = candidates[index].next
      }
    }
    guard lists.isBeingChanged else { return }
    for word in heldWords.sorted() {
      let list = listInHand(from: word, candidates, isTaken)
      for index in list {
        isTaken[index] = true
        countAsCached(
          candidates[index].address, candidates[index].size, .fastbin, arena: place)
      }
      if let first = list.first {
        log.add(
          .inTransit, at: word &+ 16,
          "a thread was taking a fastbin of arena \(lists.arena) apart: \(list.count) chunks of "
            + "\(candidates[first].size) bytes in its hands count as cached")
      }
    }
  }

  /// Counts those of a live arena's candidates as cached to which another one's masked link leads, or
  /// the arena, and whose own leads on to another, or to nothing.
  ///
  /// The lists themselves have changed between any two looks. A block that the program has not written
  /// to may still hold a link, but none leads to it any more.
  private mutating func countLinked(
    _ candidates: [FastbinCandidate], heads: [FastbinHead], arena place: Int
  ) {
    let linked = Set(candidates.map(\.next)).union(heads.map(\.chunk))
    var uncertain = Tally()
    for candidate in candidates where !candidate.isCounted {
      let next = candidates.index(of: candidate.next, by: { $0.address }).map { candidates[$0] }
      guard candidate.next == 0 || next?.size == candidate.size else { continue }
      if linked.contains(candidate.address) {
        countAsCached(candidate.address, candidate.size, .fastbin, arena: place)
      } else {
        uncertain.add(size: candidate.size)
      }
    }
    if uncertain.count > 0 {
      log.add(
        .moved, at: partial.arenas[place].address.bits,
        "\(uncertain.count) chunks of arena \(partial.arenas[place].index), \(uncertain.bytes) bytes, "
          + "count as in use but may be in a fastbin: its lists changed while they were read")
    }
  }

  /// The chunks of a fastbin that a consolidating thread has taken off the arena: those that its links
  /// lead to from `chunk`, which it has in a register, to the end.
  ///
  /// Blocks of the program can hold old links, too, but none of the program's pointers leads to a
  /// chunk's header; so only whole lists of two and more are believed.
  private func listInHand(
    from chunk: UInt64, _ candidates: [FastbinCandidate], _ isTaken: [Bool]
  ) -> [Int] {
    var list: [Int] = []
    var address = chunk
    while address != 0 {
      guard let index = candidates.index(of: address, by: { $0.address }), !isTaken[index],
        candidates[index].size == candidates[list.first ?? index].size,
        list.count < candidates.count
      else { return [] }
      list.append(index)
      address = candidates[index].next
    }
    return list.count >= 2 ? list : []
  }

  /// The place of the arena that has memory at `address`.
  func arena(containing address: UInt64) -> Int? {
    partial.arenas.firstIndex { $0.segments.contains { $0.contains(RemoteAddress(address)) } }
  }

  /// Whether the arena at `place` has any chunk of `size` bytes that counts as in use: what is looked
  /// at later in a target that runs may have been something else when it was counted.
  private func hasInUse(_ size: UInt64, arena place: Int) -> Bool {
    let inUse = partial.arenas[place].inUse
    return sizes.inUse(size) > 0 && inUse.count > 0 && inUse.bytes >= size
  }

  /// Counts a chunk that was counted as in use as a tcache structure; `place` is that of its arena.
  mutating func countAsStructure(
    _ chunk: UInt64, _ size: UInt64, arena place: Int
  ) {
    guard hasInUse(size, arena: place) else { return }
    if keepsChunks { states[chunk] = .internal }
    partial.arenas[place].inUse.add(size: size, count: -1)
    partial.arenas[place].tcacheStructures.add(size: size)
    sizes.update(size) { $0.inUse -= 1 }
  }

  /// Counts a chunk that was counted as free as in use.
  private mutating func countAsInUse(_ chunk: UnmatchedChunk, arena index: Int) {
    guard let place = partial.arenas.firstIndex(where: { $0.index == index }) else { return }
    if keepsChunks { states[chunk.address] = .inUse }
    partial.arenas[place].free.add(size: chunk.size, count: -1)
    partial.arenas[place].inUse.add(size: chunk.size)
    sizes.update(chunk.size) {
      $0.free -= 1
      $0.inUse += 1
    }
  }

  /// Counts a chunk that was counted as in use as cached; `place` is that of its arena.
  mutating func countAsCached(
    _ chunk: UInt64, _ size: UInt64, _ state: ChunkState, arena place: Int
  ) {
    guard hasInUse(size, arena: place) else { return }
    if keepsChunks { states[chunk] = state }
    partial.arenas[place].inUse.add(size: size, count: -1)
    partial.arenas[place].cached.add(size: size)
    sizes.update(size) {
      $0.inUse -= 1
      $0.cached += 1
    }
  }

  /// Says where a fastbin for chunks of `size` bytes ends too soon.
  private mutating func reportEnd(_ address: UInt64, _ size: UInt64, isBeingChanged: Bool) {
    let user = RemoteAddress(address &+ 16)
    if case .cached(_, let tid) = marks?.kind(of: address) {
      log.add(
        isBeingChanged ? .inTransit : .listDamage, at: user.bits,
        chunk: NamedChunk(userAddress: user, size: size, state: .tcache),
        "\(user) is in the fastbin for chunks of \(size) bytes and in the tcache of thread \(tid)"
          + (isBeingChanged ? "" : ": it was freed twice"))
    } else if data.canHoldUserPointer(user.bits) {
      log.add(
        .listDamage, at: user.bits,
        chunk: NamedChunk(userAddress: user, size: size, state: .fastbin),
        "the fastbin for chunks of \(size) bytes leads nowhere from \(user) on: that chunk was "
          + "written to after it was freed, or is none of that size")
    } else {
      report(address, size, "leads to what is no cached chunk of that size")
    }
  }

  private mutating func report(_ address: UInt64, _ size: UInt64, _ what: String) {
    log.add(
      .listDamage, at: address &+ 16,
      "the fastbin for chunks of \(size) bytes \(what) at \(RemoteAddress(address &+ 16))")
  }
}

/// What is needed to follow one arena's fastbins.
struct FastbinLists: Sendable {
  /// The arena's index.
  var arena = 0
  /// Whether a thread was changing the arena.
  var isBeingChanged = false
  /// Whether all of it is of one moment, so that lists that lead nowhere are damaged.
  var isOfOneMoment = false
  /// Whether a chunk's own link tells whether it is in a list.
  var isTold = false
  /// Where the lists begin.
  var heads: [FastbinHead] = []
  /// The chunks that could be in a list by what their first word holds.
  var candidates: [FastbinCandidate] = []
}

extension Array {
  /// Where the element whose `key` is `address` is, in an array ascending by that key.
  func index(of address: UInt64, by key: (Element) -> UInt64) -> Int? {
    let index = partitionPoint(before: { key($0) < address })
    return index < count && key(self[index]) == address ? index : nil
  }
}
