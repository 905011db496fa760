// States in which a stop may catch malloc half-way through an operation: nothing is damaged, but
// two places disagree for a moment.

import HeapModel

extension SyntheticHeap {
  /// A chunk is cut from top: the arena knows the new top, the headers are not written yet.
  ///
  /// The truth is changed with it.
  package mutating func splitTop(of arena: Int) -> SyntheticDamage? {
    guard let (segment, index) = topPlace(of: arena) else { return nil }
    let old = segments[segment].chunks[index]
    guard old.size >= 0x60 else { return nil }
    let cut = old.address + 0x40
    memory.store(cut, at: arenas[arena].address + shape.arenaFields.top)
    memory.store(words: [0x4141_4141_4141_4141, 0x4242_4242_4242_4242], at: cut)
    segments[segment].chunks[index].size = 0x40
    segments[segment].chunks[index].state = .inUse
    segments[segment].chunks.append(
      SyntheticChunk(address: cut, size: old.size - 0x40, state: .top, arena: arena))
    arenas[arena].summary.inUse.add(size: 0x40)
    arenas[arena].summary.topAddress = RemoteAddress(cut)
    arenas[arena].summary.topBytes = old.size - 0x40
    return SyntheticDamage(description: "top of arena \(arena) is being cut")
  }

  /// A chunk is taken from a small bin: it is marked in use, but still listed.
  package mutating func takeFromSmallBin(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let chunk = randomBinned(where: { (2..<64).contains($0) }, using: &random) else {
      return nil
    }
    memory.store(memory.word(at: chunk.end + 8) | 1, at: chunk.end + 8)
    return SyntheticDamage(
      description: "\(RemoteAddress(chunk.user)) is being taken from its bin",
      uncertainStates: [chunk.user])
  }

  /// A free chunk is between two bins: free by its successor's bit, in no list.
  package mutating func unlink(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let chunk = randomBinned(where: { $0 < 64 }, using: &random) else { return nil }
    takeOut(chunk)
    return SyntheticDamage(
      description: "\(RemoteAddress(chunk.user)) is in no bin", uncertainStates: [chunk.user])
  }

  /// A binned chunk is being split: its new size is stored, the remainder has no header yet.
  package mutating func splitBinned(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let chunk = randomBinned(where: { $0 > 20 }, using: &random) else { return nil }
    takeOut(chunk)
    memory.store(0x40 | 1 as UInt64, at: chunk.address + 8)
    memory.store(words: [0x6162_6364_6566_6768, 0x7172_7374_7576_7778], at: chunk.address + 0x40)
    return SyntheticDamage(
      description: "\(RemoteAddress(chunk.user)) is being split",
      uncertainStates: [chunk.user], lostRanges: [rangeWithSuccessor(of: chunk)])
  }

  /// A binned chunk is being split: its new size is stored, the rest is in the unsorted bin but has no
  /// header yet, and what stands there looks like a chunk that reaches over the next one in use.
  package mutating func splitBinnedOverOthers(
    using random: inout SyntheticRandom
  ) -> SyntheticDamage? {
    let wanted = arenas.indices.flatMap { arena in
      arenas[arena].bins.filter { $0.key > 20 }.flatMap(\.value).map { (arena, $0) }
    }.sorted { $0.1.address < $1.1.address }
    let candidates = wanted.compactMap { arena, chunk -> (Int, SyntheticChunk, SyntheticChunk)? in
      let next = arenaChunks.first { $0.address == chunk.end }
      guard chunk.size >= 0x80, let next, next.state == .inUse,
        arenaChunks.contains(where: { $0.address == next.end && $0.state == .inUse })
      else { return nil }
      return (arena, chunk, next)
    }
    guard !candidates.isEmpty else { return nil }
    let (arena, chunk, next) = random.pick(candidates)
    takeOut(chunk)
    let rest = chunk.address + 0x40
    link(rest, intoUnsortedOf: arena)
    memory.store(0x40 | 1 as UInt64, at: chunk.address + 8)
    memory.store(words: [0, next.end - rest | 1], at: rest)
    return SyntheticDamage(
      description: "\(RemoteAddress(chunk.user)) is being split, its rest seems to reach over "
        + "\(RemoteAddress(next.user))", uncertainStates: [chunk.user])
  }

  /// A tcache list was changed, its counter not yet.
  package mutating func miscountTcache(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let tcache = tcaches.indices.randomElement(using: &random) else { return nil }
    let structure = tcaches[tcache].structure
    let bins = tcaches[tcache].bins.indices.filter {
      (1..<Int(plan.fill)).contains(tcaches[tcache].bins[$0].count)
    }
    guard let bin = bins.randomElement(using: &random) else { return nil }
    let count = tcaches[tcache].bins[bin].count + (random.chance(50) ? 1 : -1)
    switch shape.tcache {
    case .none: return nil
    case .bytes: memory.store(UInt8(count), at: structure + UInt64(bin))
    case .halfWords: memory.store(UInt16(count), at: structure + UInt64(bin) * 2)
    case .slots:
      memory.store(UInt16(Int(plan.fill) - count), at: structure + UInt64(bin) * 2)
    }
    return SyntheticDamage(
      description: "tcache bin \(bin) of \(RemoteAddress(structure)) miscounts")
  }

  /// A new heap is in place, the end of the one before is not marked yet: its last chunk, the old
  /// top, reaches to its end.
  package mutating func leaveOldTop(using random: inout SyntheticRandom) -> SyntheticDamage? {
    let full = segments.indices.filter {
      segments[$0].tail == .terminator(isMerged: false)
        && segments[$0].chunks.last?.state == .inUse
        && segments[$0].chunks.dropLast().last?.state != .binned
    }
    guard let segment = full.randomElement(using: &random),
      let last = segments[segment].chunks.last
    else { return nil }
    let end = segments[segment].end
    memory.store((end - last.address) | 1, at: last.address + 8)
    memory.store(words: [0, 0, 0, 0], at: end - 32)
    return SyntheticDamage(
      description: "\(RemoteAddress(last.address)) is still the top of an old heap",
      lostRanges: [AddressRange(RemoteAddress(last.address), RemoteAddress(end))])
  }

  /// A heap grew, its top does not know yet.
  package mutating func growHeap(using random: inout SyntheticRandom) -> SyntheticDamage? {
    let candidates = arenas.filter { arena in
      guard let heap = arena.heaps.last else { return false }
      return memory.word(at: heap.lowerBound.bits + 24) > heap.byteCount
    }
    guard let arena = candidates.randomElement(using: &random), let heap = arena.heaps.last
    else { return nil }
    memory.store(
      memory.word(at: heap.lowerBound.bits + 24), at: heap.lowerBound.bits + 16)
    return SyntheticDamage(description: "heap \(heap.lowerBound) has grown past its top")
  }

  /// A thread arena's newest heap, in which nothing was left, was given back; top still points there.
  ///
  /// The plan must keep the newest heaps empty.
  package mutating func trimHeap(using random: inout SyntheticRandom) -> SyntheticDamage? {
    precondition(plan.keepsNewestHeapsEmpty, "only an empty heap is given back")
    let candidates = arenas.filter { $0.heaps.count > 1 }
    guard let arena = candidates.randomElement(using: &random), let heap = arena.heaps.last
    else { return nil }
    memory.unmap(AddressRange(heap.lowerBound, byteCount: plan.heapMaximum))
    return SyntheticDamage(
      description: "heap \(heap.lowerBound) is gone, top of its arena is in it",
      lostRanges: [heap])
  }

  /// Says that an arena's mutex is held.
  package mutating func lock(arena: Int) {
    memory.store(1 as UInt32, at: arenas[arena].address)
    arenas[arena].summary.isLocked = true
  }

  /// Takes a chunk out of its bin.
  mutating func takeOut(_ chunk: SyntheticChunk) {
    let next = memory.word(at: chunk.address + 16)
    let previous = memory.word(at: chunk.address + 24)
    memory.store(next, at: previous + 16)
    memory.store(previous, at: next + 24)
  }

  private func topPlace(of arena: Int) -> (segment: Int, chunk: Int)? {
    for (index, segment) in segments.enumerated() where segment.arena == arena {
      if segment.chunks.last?.state == .top { return (index, segment.chunks.count - 1) }
    }
    return nil
  }

  private func randomBinned(
    where isWanted: (Int) -> Bool, using random: inout SyntheticRandom
  ) -> SyntheticChunk? {
    let chunks = arenas.flatMap { arena in
      arena.bins.filter { isWanted($0.key) }.flatMap(\.value)
    }
    let wanted = chunks.filter { $0.size >= 0x80 }.sorted { $0.address < $1.address }
    return wanted.isEmpty ? nil : random.pick(wanted)
  }
}
