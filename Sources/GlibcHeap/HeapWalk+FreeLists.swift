// The arena's bins, verified against what the walk saw.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Verifies that the bins list exactly the free chunks that the walk met.
  ///
  /// In sound lists, the forward links of all heads and free chunks lead to each of them exactly once,
  /// and so do the backward links. The walk has summed a hash of both sides, so that a sound arena
  /// needs no list to be followed; only if the sums differ are the lists followed one by one.
  mutating func verifyBins(
    of arena: Arena, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    var addresses = scan.addressSum
    var forward = scan.forwardSum
    var backward = scan.backwardSum
    for number in ArenaLayout.binNumbers {
      guard let ends = arena.ends(ofBin: number) else { continue }
      addresses &+= mixed(arena.pseudoChunk(ofBin: number).bits)
      forward &+= mixed(ends.first)
      backward &+= mixed(ends.last)
    }
    var listed = summary.free.count
    var isSound = true
    if addresses != forward || addresses != backward {
      (listed, isSound) = try compareBins(of: arena, summary)
    }
    checks.append(
      Check(
        "arena \(summary.index) binned chunks", expected: UInt64(summary.free.count),
        found: UInt64(listed), holds: isSound))
  }

  /// Follows every bin, names what disagrees, and returns how many of the free chunks are listed and
  /// whether the difference is what a moment's movement explains.
  private mutating func compareBins(
    of arena: Arena, _ summary: ArenaSummary
  ) throws(ReadFault) -> (listed: Int, isSound: Bool) {
    guard scan.freeChunks.count == summary.free.count else {
      log.add(
        isArenaLocked ? .inTransit : .limitReached, at: arena.address.bits,
        "arena \(summary.index) has \(summary.free.count) free chunks, too many to tell which of them "
          + "its bins lack: the links do not agree")
      return (scan.freeChunks.count, isArenaLocked)
    }
    scan.freeChunks.sort { $0.address < $1.address }
    var isListed = [Bool](repeating: false, count: scan.freeChunks.count)
    var strangers: [UInt64: UInt64] = [:]
    // Each chunk is met at most once from either side.
    var budget = 2 * summary.free.count + 256
    for number in ArenaLayout.binNumbers {
      guard let ends = arena.ends(ofBin: number) else { continue }
      let head = arena.pseudoChunk(ofBin: number).bits
      for (start, isForward) in [(ends.first, true), (ends.last, false)] {
        var address = start
        var holder = head
        while address != head {
          budget -= 1
          guard budget > 0 else { break }
          if let index = freeChunkIndex(of: address) {
            if isListed[index], isForward {
              strangers[address] = holder
              break
            }
            if isListed[index] { break }
            isListed[index] = true
            holder = address
            let chunk = scan.freeChunks[index]
            address = isForward ? chunk.forward : chunk.backward
          } else {
            if strangers[address] == nil { strangers[address] = holder }
            strayLinksLeft -= 1
            guard data.canHoldUserPointer(address), strayLinksLeft > 0,
              let links = try reader.words(at: RemoteAddress(address &+ 16), count: 2)
            else { break }
            holder = address
            address = isForward ? links[0] : links[1]
          }
        }
        if address == head, isForward { break }
      }
    }
    let isSound = reportBins(summary, isListed: isListed, strangers: strangers)
    return (isListed.count { $0 }, isSound)
  }

  /// Names what disagrees; `strangers` lead from what is no free chunk to what has its link.
  private mutating func reportBins(
    _ summary: ArenaSummary, isListed: [Bool], strangers: [UInt64: UInt64]
  ) -> Bool {
    let missing = zip(scan.freeChunks, isListed).filter { !$0.1 }.map(\.0)
    // A stop finds at most a few chunks per thread on their way between two lists.
    let isTransit = missing.count + strangers.count <= 4 * max(1, threads.count) + 4
    let kind = isTransit ? Finding.Kind.inTransit : .listDamage
    for chunk in missing {
      log.add(
        kind, at: chunk.address &+ 16,
        "a free chunk of \(chunk.size) bytes in arena \(summary.index) is in no bin")
    }
    var isSound = isTransit
    for (address, holder) in strangers.sorted(by: { $0.key < $1.key }) {
      let canBe = data.canHoldUserPointer(address)
      isSound = isSound && canBe
      log.add(
        canBe ? kind : .listDamage, at: holder &+ 16,
        "the link at \(RemoteAddress(holder &+ 16)) in a bin of arena \(summary.index) leads to "
          + "\(RemoteAddress(address)), which is no free chunk or is listed twice")
    }
    if missing.isEmpty, strangers.isEmpty {
      log.add(
        kind, at: summary.address.bits,
        "the links of arena \(summary.index)'s bins do not agree in both directions")
    }
    return isSound
  }

  private func freeChunkIndex(of address: UInt64) -> Int? {
    scan.freeChunks.index(of: address, by: { $0.address })
  }
}
