// Stops between two stores of malloc, while what stands where a header will be, or was, is that of a
// chunk of the past: seen at random stops of programs that do nothing but allocate and free.

internal import HeapModel

/// A moment inside malloc, and what the thread that is there has in its registers.
package struct SyntheticMoment: Sendable {
  /// What was done to the heap.
  package var damage: SyntheticDamage
  /// What the thread has in its hands.
  package var registers: [UInt64]
}

/// Between which two stores a thread is stopped.
package enum SyntheticCut: String, CaseIterable, Sendable {
  /// A chunk that is freed is in the unsorted bin, and its successor knows that it is free, but not yet
  /// how large it is.
  case headBeforeFoot
  /// The rest of a chunk that will be cut is in the unsorted bin, the chunk is in one piece.
  case linkBeforeHeads
  /// A chunk is merged with the free one behind it, which is in no list any more, and has no header.
  case mergeBeforeHead
  /// A chunk has no header, and what stands there reaches over one that is in a tcache.
  case overCached
  /// A chunk has no header, and what stands there reaches over one in use to the end of one in a bin.
  case overBinned
  /// A chunk has no header, and what stands there leads to no other.
  case leadingNowhere
}

extension SyntheticHeap {
  /// Stops the first thread there, with every arena locked; nil if this heap has no place for it.
  package mutating func stop(
    _ cut: SyntheticCut, using random: inout SyntheticRandom
  ) -> SyntheticMoment? {
    let moment =
      switch cut {
      case .headBeforeFoot: headBeforeFoot(using: &random)
      case .linkBeforeHeads: linkBeforeHeads(using: &random)
      case .mergeBeforeHead: mergeBeforeHead(using: &random)
      case .overCached: overCached(using: &random)
      case .overBinned: overBinned(using: &random)
      case .leadingNowhere: leadingNowhere(using: &random)
      }
    guard let moment else { return nil }
    for arena in arenas.indices { lock(arena: arena) }
    threads[0].registers = moment.registers
    return moment
  }

  private mutating func headBeforeFoot(
    using random: inout SyntheticRandom
  ) -> SyntheticMoment? {
    // In the chunk behind it, what was the end of a larger chunk that began with the one before it.
    let candidates = runs(of: 3).filter {
      $0[0].state == .inUse && $0[1].state == .inUse && $0[1].size > 0x400 && $0[2].size >= 0x200
        && $0[2].state == .inUse
    }
    guard !candidates.isEmpty else { return nil }
    let run = random.pick(candidates)
    let (chunk, next) = (run[1], run[2])
    let stale = next.address + 0x100
    memory.store(words: [stale - run[0].address, next.end - stale], at: stale)
    link(chunk.address, intoUnsortedOf: chunk.arena)
    memory.store(chunk.size | 1, at: chunk.address + 8)
    memory.store(0x123450 as UInt64, at: next.address)
    memory.store(memory.word(at: next.address + 8) & ~1, at: next.address + 8)
    return moment(
      "\(RemoteAddress(chunk.user)) has no foot yet", uncertain: [chunk], hands: [chunk.size | 1])
  }

  private mutating func linkBeforeHeads(
    using random: inout SyntheticRandom
  ) -> SyntheticMoment? {
    let binned = arenas.flatMap { $0.bins.filter { $0.key > 20 }.flatMap(\.value) }
      .filter { $0.size >= 0x100 }.sorted { $0.address < $1.address }
    guard !binned.isEmpty else { return nil }
    let chunk = random.pick(binned)
    takeOut(chunk)
    let rest = chunk.address + 0x60
    memory.store(words: [0, random.chance(50) ? 0x51 : 0], at: rest)
    link(rest, intoUnsortedOf: chunk.arena)
    return moment(
      "\(RemoteAddress(chunk.user)) will be cut", uncertain: [chunk],
      hands: [rest, chunk.address, chunk.size - 0x60])
  }

  private mutating func mergeBeforeHead(
    using random: inout SyntheticRandom
  ) -> SyntheticMoment? {
    let candidates = runs(of: 3).filter {
      $0[0].state == .inUse && $0[1].state == .binned && $0[2].state == .inUse
        && isInUse(before: $0[2].end)
    }
    guard !candidates.isEmpty else { return nil }
    let run = random.pick(candidates)
    takeOut(run[1])
    memory.store((run[2].end - run[0].address) | 1, at: run[0].address + 8)
    return moment(
      "\(RemoteAddress(run[0].user)) has no header yet and is merged", lost: run[0...1],
      hands: [run[0].address, run[1].end - run[0].address])
  }

  private mutating func overCached(using random: inout SyntheticRandom) -> SyntheticMoment? {
    let candidates = runs(of: 3).filter {
      $0[0].state == .inUse && $0[1].state == .inUse && $0[2].state == .tcache
        && isInUse(before: $0[2].end)
    }
    guard !candidates.isEmpty else { return nil }
    let run = random.pick(candidates)
    memory.store((run[2].end - run[0].address) | 1, at: run[0].address + 8)
    return moment(
      "\(RemoteAddress(run[0].user)) has the header of a larger one", lost: run[0...0],
      hands: [run[0].size])
  }

  private mutating func overBinned(using random: inout SyntheticRandom) -> SyntheticMoment? {
    let candidates = runs(of: 3).filter {
      $0[0].state == .inUse && $0[1].state == .inUse && $0[2].state == .binned
    }
    guard !candidates.isEmpty else { return nil }
    let run = random.pick(candidates)
    memory.store((run[2].end - run[0].address) | 1, at: run[0].address + 8)
    return moment(
      "\(RemoteAddress(run[0].user)) has the header of one that was merged", lost: run[0...0],
      hands: [run[0].size])
  }

  private mutating func leadingNowhere(
    using random: inout SyntheticRandom
  ) -> SyntheticMoment? {
    let candidates = runs(of: 2).filter {
      $0[0].state == .inUse && $0[1].state == .inUse && $0[0].size >= 0x200
    }
    guard !candidates.isEmpty else { return nil }
    let chunk = random.pick(candidates)[0]
    memory.store(0x81 as UInt64, at: chunk.address + 8)
    memory.store(words: [0x7f00_1122_3344, 0x7f00_5566_7780], at: chunk.address + 0x80)
    return moment(
      "\(RemoteAddress(chunk.user)) has the header of a smaller one", lost: [chunk][...],
      hands: [chunk.address, chunk.size | 1])
  }

  private func moment(
    _ description: String, uncertain: [SyntheticChunk] = [], lost: ArraySlice<SyntheticChunk> = [],
    hands: [UInt64]
  ) -> SyntheticMoment {
    SyntheticMoment(
      damage: SyntheticDamage(
        description: description, uncertainStates: Set(uncertain.map(\.user)),
        lostRanges: lost.map {
          AddressRange(RemoteAddress($0.address), RemoteAddress($0.end))
        }), registers: hands)
  }

  /// All sequences of `count` chunks one behind the other, but for those at the ends of segments and those
  /// behind a free chunk: with that, malloc would have merged the first.
  private func runs(of count: Int) -> [[SyntheticChunk]] {
    segments.flatMap { segment in
      segment.chunks.indices.dropFirst().dropLast(count)
        .map { Array(segment.chunks[$0..<$0 + count]) }
        .filter { isInUse(before: $0[0].address) }
    }
  }

  private func isInUse(before end: UInt64) -> Bool { memory.word(at: end + 8) & 1 != 0 }

  /// Makes a chunk the first of the unsorted bin.
  mutating func link(_ chunk: UInt64, intoUnsortedOf arena: Int) {
    let head = arenas[arena].address + shape.arenaFields.bins - 16
    let first = memory.word(at: head + 16)
    memory.store(words: [first, head], at: chunk + 16)
    memory.store(chunk, at: first + 24)
    memory.store(chunk, at: head + 16)
  }
}
