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
    let isComplete = scan.freeChunks.count == summary.free.count
    scan.freeChunks.sort { $0.address < $1.address }
    var isListed = [Bool](repeating: false, count: scan.freeChunks.count)
    var strangers: [UInt64: UInt64] = [:]
    // What a sound arena can hold, and a few more per thread that is in the middle of something.
    var budget = summary.free.count + 128 + 16 * threads.count
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
            guard data.canHoldUserPointer(address),
              let links = try reader.words(at: RemoteAddress(address &+ 16), count: 2)
            else { break }
            holder = address
            address = isForward ? links[0] : links[1]
          }
        }
        if address == head, isForward { break }
      }
    }
    let isSound = reportBins(
      summary, isListed: isListed, strangers: strangers, isComplete: isComplete)
    let listed = isListed.count { $0 } + (summary.free.count - scan.freeChunks.count)
    return (listed, isSound)
  }

  /// Names what disagrees; `strangers` lead from what is no free chunk to what has its link.
  private mutating func reportBins(
    _ summary: ArenaSummary, isListed: [Bool], strangers: [UInt64: UInt64], isComplete: Bool
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
    var isSound = isTransit && isComplete
    for (address, holder) in strangers.sorted(by: { $0.key < $1.key }) {
      let canBe = data.canHoldUserPointer(address)
      isSound = isSound && canBe
      log.add(
        canBe ? kind : .listDamage, at: holder &+ 16,
        "the link at \(RemoteAddress(holder &+ 16)) in a bin of arena \(summary.index) leads to "
          + "\(RemoteAddress(address)), which is no free chunk or is listed twice")
    }
    if !isComplete {
      log.add(
        .limitReached, at: summary.address.bits,
        "arena \(summary.index) has \(summary.free.count) free chunks; only "
          + "\(scan.freeChunks.count) of them were compared with its bins, which do not agree")
    } else if missing.isEmpty, strangers.isEmpty {
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
