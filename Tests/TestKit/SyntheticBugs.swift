// What a program's bugs leave in a synthetic heap: overruns, and blocks that were freed twice.

internal import HeapModel

/// A bug's work, and the chunk that it went wrong with.
package struct SyntheticBug: Sendable, CustomStringConvertible {
  /// What was done.
  package var description: String
  /// The chunk that overran its end, or is in two lists.
  package var chunk: SyntheticChunk
}

extension SyntheticHeap {
  /// Writes a NUL one byte past the end of a chunk in use: over the flags of a size that is a multiple of
  /// 256, or with `shortening`, over part of another size, too.
  package mutating func overrunByNUL(
    shortening: Bool, using random: inout SyntheticRandom
  ) -> SyntheticBug? {
    let pairs = neighboursInUse.filter { _, next in
      next.size > 256 && (next.size & 0xff != 0) == shortening
    }
    guard !pairs.isEmpty else { return nil }
    let (chunk, next) = random.pick(pairs)
    memory.store(0 as UInt8, at: next.address + 8)
    return SyntheticBug(
      description: "\(RemoteAddress(chunk.user)) has written a NUL past its end", chunk: chunk)
  }

  /// Fills a chunk in use with text, which runs over the header of the next one.
  package mutating func overrunWithText(using random: inout SyntheticRandom) -> SyntheticBug? {
    let pairs = neighboursInUse.filter { $0.1.size >= 64 }
    guard !pairs.isEmpty else { return nil }
    let (chunk, next) = random.pick(pairs)
    let end = next.address + 24
    for place in stride(from: chunk.user, to: end, by: 8) {
      memory.store(0x2074_7865_7420_6120, at: place)
    }
    return SyntheticBug(
      description: "text runs over the end of \(RemoteAddress(chunk.user))", chunk: chunk)
  }

  /// Makes a chunk the end of another thread's list of its size, too.
  package mutating func cacheInTwoThreads(using random: inout SyntheticRandom) -> SyntheticBug? {
    var choices: [(last: UInt64, first: UInt64)] = []
    for tcache in tcaches {
      for other in tcaches where other.thread != tcache.thread {
        for (list, otherList) in zip(tcache.bins, other.bins) {
          if let last = list.last, let first = otherList.first { choices.append((last, first)) }
        }
      }
    }
    guard !choices.isEmpty else { return nil }
    let (last, first) = random.pick(choices)
    memory.store(link(first, at: last), at: last)
    return bug("is in two threads' lists", user: first)
  }

  /// Makes a chunk that is in a bin the end of a tcache list, too.
  package mutating func cacheBinned(using random: inout SyntheticRandom) -> SyntheticBug? {
    let binned = arenas.flatMap { $0.bins.values.joined() }.sorted { $0.address < $1.address }
    guard !binned.isEmpty, let list = randomTcacheBin(atLeast: 1, using: &random) else {
      return nil
    }
    let chunk = random.pick(binned)
    memory.store(link(chunk.user, at: list[list.count - 1]), at: list[list.count - 1])
    return bug("is in a bin and in a tcache", user: chunk.user)
  }

  /// Writes text over the link of the first chunk of a tcache list.
  package mutating func writeToCached(using random: inout SyntheticRandom) -> SyntheticBug? {
    guard let list = randomTcacheBin(atLeast: 1, using: &random) else { return nil }
    memory.store(0x2074_7865_7420_6120, at: list[0])
    return bug("was written to after it was freed", user: list[0])
  }

  /// Writes text over the link of the first chunk of a fastbin.
  package mutating func writeToFastbin(using random: inout SyntheticRandom) -> SyntheticBug? {
    let lists = arenas.flatMap(\.fastbins).filter { !$0.isEmpty }
    guard !lists.isEmpty else { return nil }
    let chunk = random.pick(lists)[0]
    memory.store(0x2074_7865_7420_6120, at: chunk + 16)
    return bug("was written to after it was freed", user: chunk + 16)
  }

  private func bug(_ what: String, user: UInt64) -> SyntheticBug? {
    arenaChunks.first { $0.user == user }.map {
      SyntheticBug(description: "\(RemoteAddress(user)) \(what)", chunk: $0)
    }
  }

  /// Chunks in use with the chunk behind them, if that is in use, too.
  private var neighboursInUse: [(SyntheticChunk, SyntheticChunk)] {
    let chunks = arenaChunks
    return zip(chunks, chunks.dropFirst()).filter { chunk, next in
      chunk.state == .inUse && next.state == .inUse && chunk.end == next.address
    }
  }
}
