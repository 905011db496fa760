// Damage done to a synthetic heap: what corruption and bad moments leave behind.

package import HeapModel

/// What was done to a synthetic heap, and what of the truth no longer binds a walk.
package struct SyntheticDamage: Sendable, CustomStringConvertible {
  /// What was done.
  package var description: String
  /// User pointers of chunks whose state is now a matter of opinion.
  package var uncertainStates: Set<UInt64> = []
  /// Memory in which chunks can no longer be told.
  package var lostRanges: [AddressRange] = []

  /// Whether the truth about `chunk` still holds.
  package func spares(_ chunk: Chunk) -> Bool {
    !lostRanges.contains { $0.overlaps(chunk.range) }
  }
}

// MARK: - Bytes

extension SyntheticHeap {
  /// Overwrites `count` places, a byte or a word each, anywhere in readable memory.
  package mutating func corruptAtRandom(_ count: Int, using random: inout SyntheticRandom) {
    let ranges = memory.readableRanges
    let values: [UInt64] = [
      0, 1, 2, 8, 0x10, 0x21, 0x1001, 0xffff_ffff_ffff_fff1, .max, 0x8000_0000_0000_0001,
    ]
    for _ in 0..<count {
      let range = random.pick(ranges)
      let place = range.lowerBound.bits + random.below(range.byteCount / 8) * 8
      switch random.below(4) {
      case 0: memory.store(UInt8(truncatingIfNeeded: random.next()), at: place + random.below(8))
      case 1: memory.store(random.next(), at: place)
      case 2: memory.store(random.pick(values), at: place)
      default: memory.store(random.pick(ranges).lowerBound.bits + random.below(0x2000), at: place)
      }
    }
  }

  /// Overwrites places that a walk certainly reads: headers, list heads and links, arena and
  /// heap fields, parameters, thread-local words.
  package mutating func corruptStructures(_ count: Int, using random: inout SyntheticRandom) {
    let chunks = segments.flatMap(\.chunks)
    for _ in 0..<count {
      let arena = random.pick(arenas)
      let place: UInt64
      switch random.below(8) {
      case 0, 1: place = chunks.isEmpty ? mainArena.bits : random.pick(chunks).address + 8
      case 2:
        place = chunks.isEmpty ? mainArena.bits : random.pick(chunks).user + random.below(2) * 8
      case 3: place = arena.address + random.below(shape.arenaFields.size / 8) * 8
      case 4: place = (arena.heaps.first?.lowerBound.bits ?? arena.address) + random.below(4) * 8
      case 5:
        place = parameters.bits + random.below(shape.parameterFields.size / 8) * 8
      case 6:
        place =
          tcaches.isEmpty
          ? mainArena.bits : random.pick(tcaches).structure + random.below(90) * 8
      default:
        place = mmapped.isEmpty ? mainArena.bits : random.pick(mmapped).userAddress.bits - 8
      }
      let value = memory.word(at: place)
      switch random.below(6) {
      case 0: memory.store(value ^ 1 << random.below(64), at: place)
      case 1: memory.store(random.next(), at: place)
      case 2: memory.store(random.pick([0, 1, 16, 32, .max, .max - 15, 1 << 63]), at: place)
      case 3: memory.store(value &+ random.pick([16, 32, 0x1000]), at: place)
      case 4: memory.store(arena.address &+ random.below(0x1000) &* 8, at: place)
      default:
        memory.store(
          chunks.isEmpty ? 0 : random.pick(chunks).address + random.below(4) * 8, at: place)
      }
    }
  }

  /// Overwrites a chunk's size field, flags and all.
  package mutating func overwriteSize(
    of chunk: SyntheticChunk, with value: UInt64
  ) -> SyntheticDamage {
    memory.store(value, at: chunk.address + 8)
    return loss(
      of: rangeWithSuccessor(of: chunk),
      "size of \(RemoteAddress(chunk.address)) is 0x\(String(value, radix: 16))")
  }

  /// Makes the page that holds `address` fail to read although it is mapped.
  package mutating func losePage(of address: UInt64) -> SyntheticDamage {
    let page = RemoteAddress(address).alignedDown(to: plan.pageSize)
    let range = AddressRange(page, byteCount: plan.pageSize)
    memory.makeUnreadable(range)
    return loss(of: range, "page \(page) is unreadable")
  }

  /// Unmaps the last pages of a segment, top included.
  package mutating func truncate(_ segment: SyntheticSegment) -> SyntheticDamage {
    let middle = RemoteAddress(segment.end - segment.range.byteCount / 3)
      .alignedDown(to: plan.pageSize)
    let range = AddressRange(middle, segment.range.upperBound)
    memory.unmap(range)
    return loss(of: range, "\(range) is unmapped")
  }

  /// What is lost with the headers and links in `range`: also the state of the chunk before it,
  /// which is told by its successor's header, and of chunks behind a lost link.
  private func loss(of range: AddressRange, _ description: String) -> SyntheticDamage {
    let chunks = segments.flatMap(\.chunks)
    // A chunk that begins in it cannot be told either where it goes on behind.
    let beginning = chunks.last { range.contains(RemoteAddress($0.address + 8)) }
    let end = max(range.upperBound, RemoteAddress(beginning?.end ?? 0))
    var damage = SyntheticDamage(
      description: description, lostRanges: [AddressRange(range.lowerBound, end)])
    damage.uncertainStates.formUnion(
      chunks.filter { range.contains(RemoteAddress($0.end + 8)) }.map(\.user))
    let lists = arenas.flatMap { $0.fastbins.map { $0.map { $0 + 16 } } } + tcaches.flatMap(\.bins)
    for list in lists where list.contains(where: { range.contains(RemoteAddress($0)) }) {
      damage.uncertainStates.formUnion(list)
    }
    for tcache in tcaches
    where range.overlaps(
      AddressRange(RemoteAddress(tcache.structure), byteCount: shape.tcacheChunkSize))
    {
      damage.uncertainStates.formUnion(tcache.bins.joined())
      damage.uncertainStates.insert(tcache.structure)
    }
    return damage
  }

  /// A chunk and the one behind it: what an old header within a chunk that lost its own may hide.
  func rangeWithSuccessor(of chunk: SyntheticChunk) -> AddressRange {
    let end = segments.flatMap(\.chunks).first { $0.address == chunk.end }?.end ?? chunk.end
    return AddressRange(RemoteAddress(chunk.address), RemoteAddress(end))
  }
}

// MARK: - Arenas

extension SyntheticHeap {
  /// Makes an arena's top point nowhere.
  package mutating func loseTop(of arena: Int) -> SyntheticDamage {
    memory.store(0x1230 as UInt64, at: arenas[arena].address + shape.arenaFields.top)
    return SyntheticDamage(
      description: "top of arena \(arena) is outside",
      lostRanges: segments.filter { $0.arena == arena }.map(\.range))
  }

  /// Makes a thread arena's newest heap claim far more than its reservation.
  package mutating func inflateHeap(of arena: Int) -> SyntheticDamage? {
    guard let heap = arenas[arena].heaps.last else { return nil }
    memory.store(1 << 40 as UInt64, at: heap.lowerBound.bits + 16)
    return SyntheticDamage(
      description: "heap \(heap.lowerBound) claims 1 TiB",
      lostRanges: [heap])
  }

  /// Makes the ring of arenas run in circles without the main arena.
  package mutating func misleadRing() -> SyntheticDamage? {
    guard arenas.count > 1, let last = arenas.last else { return nil }
    memory.store(arenas[1].address, at: last.address + shape.arenaFields.next)
    return SyntheticDamage(description: "the ring never comes back to the main arena")
  }
}

// MARK: - Lists

extension SyntheticHeap {
  /// Makes the first entry of a cached list point to nothing.
  package mutating func misleadTcache(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let list = randomTcacheBin(atLeast: 2, using: &random) else { return nil }
    let target: UInt64 = 0x1234_5678_9ab0
    memory.store(link(target, at: list[0]), at: list[0])
    return SyntheticDamage(
      description: "tcache entry \(RemoteAddress(list[0])) leads outside",
      uncertainStates: Set(list))
  }

  /// Makes a tcache list's head point between chunks.
  package mutating func misalignTcacheHead(
    using random: inout SyntheticRandom
  ) -> SyntheticDamage? {
    guard let list = randomTcacheBin(atLeast: 1, using: &random),
      let place = tcacheHead(holding: list[0])
    else { return nil }
    memory.store(list[0] + 8, at: place)
    return SyntheticDamage(
      description: "tcache head at \(RemoteAddress(place)) is misaligned",
      uncertainStates: Set(list))
  }

  /// Closes a tcache list into a loop.
  package mutating func loopTcache(using random: inout SyntheticRandom) -> SyntheticDamage? {
    guard let list = randomTcacheBin(atLeast: 2, using: &random) else { return nil }
    let last = list[list.count - 1]
    memory.store(link(list[0], at: last), at: last)
    return SyntheticDamage(
      description: "tcache list of \(RemoteAddress(list[0])) is a loop", uncertainStates: Set(list))
  }

  /// Closes a fastbin into a loop.
  package mutating func loopFastbin(using random: inout SyntheticRandom) -> SyntheticDamage? {
    let lists = arenas.flatMap(\.fastbins).filter { $0.count >= 2 }
    guard !lists.isEmpty else { return nil }
    let list = random.pick(lists)
    let last = list[list.count - 1]
    memory.store(link(list[0], at: last + 16), at: last + 16)
    return SyntheticDamage(
      description: "fastbin of \(RemoteAddress(list[0])) is a loop",
      uncertainStates: Set(list.map { $0 + 16 }))
  }

  /// Makes a bin's last chunk point back to its first instead of the arena.
  package mutating func loopBin(using random: inout SyntheticRandom) -> SyntheticDamage? {
    let lists = arenas.flatMap(\.bins.values).filter { $0.count >= 2 }
    guard !lists.isEmpty else { return nil }
    let list = random.pick(lists.sorted { $0[0].address < $1[0].address })
    memory.store(list[0].address, at: list[list.count - 1].address + 16)
    return SyntheticDamage(
      description: "bin of \(RemoteAddress(list[0].address)) is a loop",
      uncertainStates: Set(list.map(\.user)))
  }

  func link(_ target: UInt64, at place: UInt64) -> UInt64 {
    shape.manglesLinks ? target ^ (place >> 12) : target
  }

  /// The user pointers of a tcache bin with at least `count` chunks.
  func randomTcacheBin(atLeast count: Int, using random: inout SyntheticRandom) -> [UInt64]? {
    let lists = tcaches.flatMap(\.bins).filter { $0.count >= count }
    return lists.isEmpty ? nil : random.pick(lists)
  }

  /// Where the head of the tcache bin is that begins with `user`.
  private func tcacheHead(holding user: UInt64) -> UInt64? {
    for tcache in tcaches {
      if let bin = tcache.bins.firstIndex(where: { $0.first == user }) {
        return tcacheHeads(of: tcache) + UInt64(bin) * 8
      }
    }
    return nil
  }

  private func tcacheHeads(of tcache: SyntheticTcache) -> UInt64 {
    switch shape.tcache {
    case .none, .bytes: tcache.structure + 64
    case .halfWords: tcache.structure + 128
    case .slots: tcache.structure + 152
    }
  }
}
