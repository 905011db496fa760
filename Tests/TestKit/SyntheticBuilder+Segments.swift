// Cuts synthetic segments into chunks and writes their headers and contents.

import HeapModel

// MARK: - Deciding

extension SyntheticBuilder {
  /// Cuts `start..<end` into random chunks of `arena`, among them the tcaches' `structures`.
  mutating func layOut(
    arena: Int, from start: UInt64, to end: UInt64, tail: SyntheticSegment.Tail,
    structures: [Int], isEmpty: Bool = false
  ) {
    let available = end - start
    var tailBytes: UInt64
    switch tail {
    case .top:
      tailBytes = random.multiple(of: 16, from: 32, to: min(0x6000, available / 2) & ~15)
      if isEmpty { tailBytes = available }
    case .fenceposts(let count): tailBytes = UInt64(count) * 16
    case .terminator(let isMerged): tailBytes = isMerged ? 48 : 32
    }
    var segment = SyntheticSegment(
      arena: arena, range: AddressRange(RemoteAddress(start), RemoteAddress(end)), tail: tail)
    let limit = end - tailBytes
    var cursor = start
    var waiting = structures
    while cursor < limit {
      let remaining = limit - cursor
      var chunk = SyntheticChunk(address: cursor, size: 0, state: .inUse, arena: arena)
      // Room for the structures still to come is never given to anything else.
      let room = remaining - UInt64(waiting.count) * 0x800
      if !waiting.isEmpty, room < 0x800 || random.chance(15) {
        let tcache = waiting.removeFirst()
        chunk.size = shape.tcacheChunkSize + (random.chance(20) ? 16 : 0)
        chunk.state = .internal
        tcaches[tcache].structure = chunk.user
      } else {
        let longest = min(room, available > 0x8_0000 ? 0x2_0000 : 0x8000)
        chunk.size = min(randomSize(longest: longest), room)
        if remaining - chunk.size < 32 { chunk.size = remaining }
        chunk.state = randomState(
          of: chunk, previous: segment.chunks.last,
          isLastBeforeTop: chunk.end == limit && tail == .top)
      }
      segment.chunks.append(chunk)
      note(chunk)
      cursor = chunk.end
    }
    precondition(waiting.isEmpty, "every tcache structure has a place")
    finish(&segment, limit: limit)
    segments.append(segment)
  }

  private mutating func finish(_ segment: inout SyntheticSegment, limit: UInt64) {
    let arena = segment.arena
    switch segment.tail {
    case .top:
      let top = SyntheticChunk(
        address: limit, size: segment.end - limit, state: .top, arena: arena)
      segment.chunks.append(top)
      arenas[arena].summary.topAddress = RemoteAddress(top.address)
      arenas[arena].summary.topBytes = top.size
    case .fenceposts:
      arenas[arena].summary.headerBytes += segment.end - limit
    case .terminator(let isMerged):
      arenas[arena].summary.headerBytes += segment.end - limit
      if isMerged {
        segment.chunks.append(
          SyntheticChunk(address: limit, size: 32, state: .inUse, arena: arena, isRemnant: true))
      }
    }
    if arena == 0 { arenas[0].summary.segments.append(segment.range) }
  }

  private mutating func randomSize(longest: UInt64) -> UInt64 {
    let size: UInt64
    switch random.below(100) {
    case 0..<3: size = max(32, shape.tcacheChunkSize)
    case ..<72: size = random.multiple(of: 16, from: 32, to: 0x200)
    case ..<92: size = random.multiple(of: 16, from: 0x210, to: 0x1000)
    default: size = random.multiple(of: 16, from: 0x1010, to: max(0x1010, longest & ~15))
    }
    return min(size, max(32, longest & ~15))
  }

  private mutating func randomState(
    of chunk: SyntheticChunk, previous: SyntheticChunk?, isLastBeforeTop: Bool
  ) -> ChunkState {
    switch random.below(100) {
    case ..<22 where previous?.state != .binned && !isLastBeforeTop: return .binned
    case ..<45 where roomyTcache(for: chunk.size) != nil: return .tcache
    case ..<55 where shape.hasFastbins && chunk.size <= 0x80: return .fastbin
    default: return .inUse
    }
  }

  /// A random tcache that can take one more chunk of `size`.
  private mutating func roomyTcache(for size: UInt64) -> Int? {
    guard let bin = tcacheBin(of: size) else { return nil }
    let roomy = tcaches.indices.filter { tcaches[$0].bins[bin].count < Int(plan.fill) }
    return roomy.isEmpty ? nil : random.pick(roomy)
  }

  private func tcacheBin(of size: UInt64) -> Int? {
    if size <= 0x410 { return Int((size - 32) / 16) }
    guard plan.cachesLargeChunks, shape.tcache == .slots else { return nil }
    return 64 + (UInt64.bitWidth - size.leadingZeroBitCount) - 11
  }

  /// Enters a chunk into the list that its state says, and into its arena's sums.
  private mutating func note(_ chunk: SyntheticChunk) {
    let arena = chunk.arena
    switch chunk.state {
    case .inUse: arenas[arena].summary.inUse.add(size: chunk.size)
    case .internal: arenas[arena].summary.tcacheStructures.add(size: chunk.size)
    case .top: break
    case .binned:
      arenas[arena].summary.free.add(size: chunk.size)
      let bin = random.chance(20) ? 1 : Self.bin(of: chunk.size)
      arenas[arena].bins[bin, default: []].append(chunk)
    case .fastbin:
      arenas[arena].summary.cached.add(size: chunk.size)
      arenas[arena].fastbins[Int(chunk.size / 16 - 2)].append(chunk.address)
    case .tcache:
      arenas[arena].summary.cached.add(size: chunk.size)
      guard let tcache = roomyTcache(for: chunk.size), let bin = tcacheBin(of: chunk.size) else {
        preconditionFailure("a tcache has room")
      }
      tcaches[tcache].bins[bin].append(chunk.user)
    }
  }

  /// The number of the small or large bin for chunks of `size`.
  static func bin(of size: UInt64) -> Int {
    if size < 1024 { return Int(size / 16) }
    let steps: [(shift: UInt64, last: UInt64, base: UInt64)] = [
      (6, 48, 48), (9, 20, 91), (12, 10, 110), (15, 4, 119), (18, 2, 124),
    ]
    for step in steps where size >> step.shift <= step.last {
      return Int(step.base + size >> step.shift)
    }
    return 126
  }
}

// MARK: - Writing

extension SyntheticBuilder {
  /// Writes the contents of a segment's chunks, then all headers.
  mutating func write(_ segment: SyntheticSegment) {
    for chunk in segment.chunks where chunk.state != .internal { fillContents(of: chunk) }
    var isPreviousBinned = false
    for chunk in segment.chunks {
      let keepsArenaBit = segment.arena > 0 && chunk.state != .binned && chunk.state != .top
      memory.store(
        chunk.size | (isPreviousBinned ? 0 : 1) | (keepsArenaBit && !chunk.isRemnant ? 4 : 0),
        at: chunk.address + 8)
      isPreviousBinned = chunk.state == .binned
      if isPreviousBinned { memory.store(chunk.size, at: chunk.end) }
    }
    let end = segment.end
    let previousBit: UInt64 = isPreviousBinned ? 0 : 1
    switch segment.tail {
    case .top: break
    case .fenceposts(let count):
      for index in 0..<count {
        memory.store(
          0x10 | (index == 0 ? previousBit : 1), at: end - UInt64(count - index) * 16 + 8)
      }
    case .terminator(isMerged: false):
      memory.store(0x10 | previousBit, at: end - 24)
      memory.store(words: [0x10, 1], at: end - 16)
    case .terminator(isMerged: true):
      memory.store(words: [0x20, 1], at: end - 16)
    }
  }

  /// Fills what the program may have written: from the user pointer to the end of the next
  /// chunk's first word.
  private mutating func fillContents(of chunk: SyntheticChunk) {
    guard !chunk.isRemnant, random.chance(chunk.state == .top ? 40 : 80) else { return }
    if chunk.state == .inUse { misleadPages(from: chunk.user, to: chunk.end) }
    let words = (chunk.size - (chunk.state == .top ? 16 : 8)) / 8
    let style = random.below(5)
    memory.store(words: contents(style, count: min(words, 24)), at: chunk.user)
    if words > 24 {
      let rest = min(6, words - 24)
      memory.store(words: contents(style, count: rest), at: chunk.user + (words - rest) * 8)
    }
  }

  /// Begins some of the pages within the program's data with what looks like the header of a chunk
  /// that has its own mapping, or of a segment's first chunk.
  mutating func misleadPages(from start: UInt64, to end: UInt64) {
    let mmapped = plan.pageSize - (shape.isAtLeast243 ? 16 : 0) | 2
    for page in stride(from: pages(start), to: end & ~15, by: Int(plan.pageSize))
    where page + 16 <= end && allows(.misleadingPages, 30) {
      memory.store(
        words: random.pick([[0, mmapped], [plan.pageSize, mmapped], [0, 0x21], [0, 0x1011]]),
        at: page)
    }
  }

  /// Words that a program could hold, made to mislead.
  private mutating func contents(_ style: UInt64, count: UInt64) -> [UInt64] {
    let headers: [UInt64] = [0x21, 0x31, 0x91, 0x20, 0x11, 0x10, 1, 0x25, 0x45, 0x1002, 0x251]
    return (0..<count).map { _ in
      switch style {
      case 0: 0
      case 1: random.next()
      case 2: random.pick(headers)
      case 3: random.pick(pointers)
      default: random.chance(50) ? random.pick(pointers) : random.pick(headers)
      }
    }
  }
}
