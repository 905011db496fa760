// The arena's bins, verified against what the walk saw.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many free chunks of arenas whose links do not agree are kept until they are compared: 16 MiB.
  private static var keptFreeChunks: Int { 1 << 19 }

  /// Verifies that the bins list exactly the free chunks that the walk met.
  ///
  /// In sound lists, the forward links of all heads and free chunks lead to each of them exactly once,
  /// and so do the backward links. The walk has summed a hash of both sides, so that a sound arena
  /// needs no list to be followed; only if the sums differ are the lists followed one by one, when the
  /// target runs on.
  mutating func verifyBins(_ summary: ArenaSummary) throws(ReadFault) {
    let overruns = try overruns()
    var addresses = scan.addressSum
    var forward = scan.forwardSum
    var backward = scan.backwardSum
    for number in ArenaLayout.binNumbers {
      guard let ends = arena.ends(ofBin: number) else { continue }
      addresses &+= mixed(arena.pseudoChunk(ofBin: number).bits)
      forward &+= mixed(ends.first)
      backward &+= mixed(ends.last)
    }
    let isSound = addresses == forward && addresses == backward
    if isSound || !isArenaUnchanged || log.hasSwapped(.arena(summary.index)) {
      for overrun in overruns { overrun.unmatched.log(&log) }
    }
    if !isSound, log.hasSwapped(.arena(summary.index)) {
      log.addSwapped(.arena(summary.index), at: arena.address.bits, places: 0)
      return
    }
    guard isSound || isArenaUnchanged else {
      log.add(
        .inTransit, at: arena.address.bits,
        "the free lists of arena \(summary.index) changed while it was read: they were not compared"
      )
      return
    }
    if !isSound {
      let kept = binLists.reduce(0) { $0 + $1.freeChunks.count }
      let isComplete =
        scan.freeChunks.count == summary.free.count
        && kept + summary.free.count <= Self.keptFreeChunks
      binLists.append(
        BinLists(
          arena: arena, index: summary.index, check: checks.count, isLocked: isArenaLocked,
          freeCount: summary.free.count, freeChunks: isComplete ? scan.freeChunks : [],
          overruns: overruns))
      scan.freeChunks = []
    }
    let count = UInt64(summary.free.count)
    checks.append(Check("arena \(summary.index) binned chunks", expected: count, found: count))
  }

  /// Those of the chunks whose successors call them free without knowing their sizes that are in use, if
  /// no bin holds them: the lowest byte of the successor's size, which has the flag for that, is a NUL.
  ///
  /// The others are on their way.
  private mutating func overruns() throws(ReadFault) -> [Overrun] {
    let unmatched = scan.unmatched
    scan.unmatched = []
    var overruns: [Overrun] = []
    for chunk in unmatched {
      let next = chunk.address &+ chunk.size
      if !isArenaLocked, !isLive,
        let field = try reader.word(at: RemoteAddress(next &+ 8)), field & 0xff == 0
      {
        overruns.append(
          Overrun(
            unmatched: chunk, chunk: try named(chunk.address, size: chunk.size, .inUse),
            isNamed: namedOverruns.contains(chunk.address)))
      } else {
        chunk.log(&log)
      }
    }
    return overruns
  }
}

/// A chunk that may have written a NUL over the lowest byte of the size behind it.
struct Overrun: Sendable {
  var unmatched: UnmatchedChunk
  var chunk: NamedChunk
  /// Whether a finding names it already.
  var isNamed: Bool

  /// What happened to the chunk at `next`, which follows `chunk`.
  static func detail(of next: RemoteAddress, after chunk: NamedChunk) -> String {
    "the lowest byte of the size of the chunk at \(next) is a NUL, as one that is written a byte past the "
      + "end of the chunk before it, \(chunk)"
  }
}

/// What is needed to compare an arena's bins with its free chunks.
struct BinLists: Sendable {
  /// The arena as it was when it was walked.
  var arena: Arena
  /// Its index.
  var index: Int
  /// Which of the checks is to be told the result.
  var check: Int
  /// Whether a thread was changing the arena.
  var isLocked: Bool
  /// How many free chunks were met.
  var freeCount: Int
  /// The free chunks, none if they were too many to keep.
  var freeChunks: [FreeChunk]
  /// Those of them that are in use if no bin holds them.
  var overruns: [Overrun]

  /// What comparing one arena's bins comes to.
  struct Comparison {
    /// glibc's count against the lists.
    var check: Check
    /// Chunks that counted as free but are in use.
    var inUse: [UnmatchedChunk] = []
  }

  /// What one comparison found.
  private struct Differences {
    /// For each free chunk, whether a list leads to it.
    var isListed: [Bool]
    /// What lists lead to that is no free chunk, or one that is listed already, and what leads there.
    var strangers: [UInt64: UInt64] = [:]
  }

  /// Follows every bin, names in `log` what disagrees, and returns what that comes to.
  ///
  /// `threads` is how many threads there were, `data` where chunks can be.
  func compare(threads: Int, data: DataRanges, log: inout FindingLog) -> Comparison {
    let name = "arena \(index) binned chunks"
    guard freeChunks.count == freeCount else {
      log.add(
        isLocked ? .inTransit : .limitReached, at: arena.address.bits,
        "arena \(index) has \(freeCount) free chunks, too many to tell which of them its bins lack: "
          + "the links do not agree")
      for overrun in overruns { overrun.unmatched.log(&log) }
      return Comparison(
        check: Check(name, expected: UInt64(freeCount), found: 0, holds: isLocked))
    }
    let sorted = freeChunks.sorted { $0.address < $1.address }
    var differences = followBins(sorted)
    let inUse = takeOverruns(sorted, &differences, log: &log)
    let isSound = report(sorted, differences, threads: threads, data: data, log: &log)
    return Comparison(
      check: Check(
        name, expected: UInt64(freeCount - inUse.count),
        found: UInt64(differences.isListed.count { $0 } - inUse.count), holds: isSound),
      inUse: inUse)
  }

  /// Names those of the chunks that may have overrun the size behind them that no bin holds, and takes
  /// them for chunks in use, which no bin has to hold.
  private func takeOverruns(
    _ freeChunks: [FreeChunk], _ differences: inout Differences, log: inout FindingLog
  ) -> [UnmatchedChunk] {
    var inUse: [UnmatchedChunk] = []
    for overrun in overruns {
      let address = overrun.unmatched.address
      guard let place = freeChunks.index(of: address, by: { $0.address }),
        !differences.isListed[place]
      else {
        overrun.unmatched.log(&log)
        continue
      }
      differences.isListed[place] = true
      inUse.append(overrun.unmatched)
      if overrun.isNamed { continue }
      let next = RemoteAddress(address &+ overrun.unmatched.size &+ 16)
      log.add(
        .chainBreak, at: next.bits, chunk: overrun.chunk,
        Overrun.detail(of: next, after: overrun.chunk))
    }
    return inUse
  }

  private func followBins(_ freeChunks: [FreeChunk]) -> Differences {
    var differences = Differences(isListed: [Bool](repeating: false, count: freeChunks.count))
    // Each chunk is met at most once from either side.
    var budget = 2 * freeChunks.count + 256
    for number in ArenaLayout.binNumbers {
      guard let ends = arena.ends(ofBin: number) else { continue }
      let head = arena.pseudoChunk(ofBin: number).bits
      for (start, isForward) in [(ends.first, true), (ends.last, false)] {
        var address = start
        var holder = head
        while address != head, budget > 0 {
          budget -= 1
          guard let place = freeChunks.index(of: address, by: { $0.address }) else {
            if differences.strangers[address] == nil { differences.strangers[address] = holder }
            break
          }
          if differences.isListed[place] {
            if isForward { differences.strangers[address] = holder }
            break
          }
          differences.isListed[place] = true
          holder = address
          address = isForward ? freeChunks[place].forward : freeChunks[place].backward
        }
        if address == head, isForward { break }
      }
    }
    return differences
  }

  private static func named(_ chunk: FreeChunk) -> NamedChunk {
    NamedChunk(userAddress: RemoteAddress(chunk.address &+ 16), size: chunk.size, state: .binned)
  }

  /// Names what disagrees and returns whether the difference is what a moment's movement explains.
  private func report(
    _ freeChunks: [FreeChunk], _ differences: Differences, threads: Int, data: DataRanges,
    log: inout FindingLog
  ) -> Bool {
    let missing = zip(freeChunks, differences.isListed).filter { !$0.1 }.map(\.0)
    let strangers = differences.strangers
    // A stop finds at most a few chunks per thread on their way between two lists.
    let isTransit = missing.count + strangers.count <= 4 * max(1, threads) + 4
    if missing.isEmpty, strangers.isEmpty, !overruns.isEmpty { return true }
    let kind = isTransit ? Finding.Kind.inTransit : .listDamage
    for chunk in missing {
      log.add(
        kind, at: chunk.address &+ 16,
        "a free chunk of \(chunk.size) bytes in arena \(index) is in no bin")
    }
    var isSound = isTransit
    // A chunk that is being freed can be in its bin before its own two links are written over what the
    // program, or a tcache, had there. Whoever does that holds the mutex, and so there is one.
    let odd = Set(strangers.filter { !data.canHoldUserPointer($0.key) }.map(\.value))
    let areBeingWritten = isLocked && odd.count == 1
    for (address, holder) in strangers.sorted(by: { $0.key < $1.key }) {
      let canBe = areBeingWritten || data.canHoldUserPointer(address)
      isSound = isSound && canBe
      let place = freeChunks.index(of: holder, by: { $0.address })
      let chunk = canBe ? nil : place.map { freeChunks[$0] }.map(Self.named)
      log.add(
        canBe ? kind : .listDamage, at: holder &+ 16, chunk: chunk,
        "the link at \(RemoteAddress(holder &+ 16)) in a bin of arena \(index) leads to "
          + "\(RemoteAddress(address)), which is no free chunk or is listed twice"
          + (chunk.map { ": \($0) was written to after it was freed" } ?? ""))
    }
    if missing.isEmpty, strangers.isEmpty {
      log.add(
        kind, at: arena.address.bits,
        "the links of arena \(index)'s bins do not agree in both directions")
    }
    return isSound
  }
}
