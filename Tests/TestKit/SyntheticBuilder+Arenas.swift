// Where the memory of synthetic arenas comes from: break, mappings, thread heaps.

import HeapModel

extension SyntheticBuilder {
  /// Lays out the main arena's segments.
  mutating func placeMainArena() {
    var arena = SyntheticArena(
      address: library.mainArena,
      summary: ArenaSummary(index: 0, address: RemoteAddress(library.mainArena), kind: .main))
    arena.summary.attachedThreads = attachedThreads(to: 0)
    arenas = [arena]
    switch plan.main {
    case .unused:
      break
    case .contiguous(let gaps):
      placeBreak(gaps: gaps, endsWithTop: true)
    case .moved(let gaps, let count):
      if let gaps { placeBreak(gaps: gaps, endsWithTop: false) }
      placeMovedSegments(count)
      arenas[0].isNonContiguous = true
    }
    arenas[0].summary.segments.sort { $0.lowerBound < $1.lowerBound }
  }

  private mutating func placeBreak(gaps: [UInt64], endsWithTop: Bool) {
    let start = library.breakStart
    sbrkBase = start + plan.sbrkMisalignment + (plan.linkage == .sharedLibrary ? 0 : 0xd40)
    var cursor = sbrkBase
    var structures = split(structuresToPlace[0], over: gaps.count + (endsWithTop ? 1 : 2))
    structuresToPlace[0] = endsWithTop ? [] : structures.removeLast()
    var foreign: [AddressRange] = []
    for index in 0...gaps.count {
      let first = (cursor + 15) & ~15
      let end = pages(first + segmentLength())
      let isLast = index == gaps.count
      layOut(
        arena: 0, from: first, to: end,
        tail: isLast && endsWithTop ? .top : .fenceposts(random.chance(35) ? 3 : 2),
        structures: structures[index])
      arenas[0].summary.headerBytes += first - cursor
      cursor = end
      if !isLast {
        foreign.append(AddressRange(RemoteAddress(end), byteCount: gaps[index]))
        arenas[0].summary.foreignBytes += gaps[index]
        cursor += gaps[index]
      }
    }
    arenas[0].summary.systemBytes += cursor - sbrkBase
    // Somebody else's use of the break may follow ours.
    let rest = random.chance(30) ? plan.pageSize * (1 + random.below(3)) : 0
    memory.map(start, cursor + rest - start, "rw-", name: "[heap]")
    for range in foreign { fillForeign(range) }
    fillForeign(AddressRange(RemoteAddress(cursor), byteCount: rest))
    if random.chance(25) { memory.splitMapping(at: start + pages((cursor - start) / 2)) }
  }

  private mutating func placeMovedSegments(_ count: Int) {
    let structures = split(structuresToPlace[0], over: count)
    structuresToPlace[0] = []
    for index in 0..<count {
      let isSmall = shape.hasSmallSegments && (index > 0 || usesBreak)
      let length = arenaPages(isSmall ? 0x21000 : 0x10_0000)
      let start = placeMapping(length)
      memory.map(start, length, "rw-", name: arenaMapping)
      if sbrkBase == 0 { sbrkBase = start }
      layOut(
        arena: 0, from: start, to: start + length,
        tail: index == count - 1 ? .top : .fenceposts(random.chance(35) ? 3 : 2),
        structures: structures[index])
      arenas[0].summary.systemBytes += length
      if random.chance(30) { placeForeignPages() }
    }
  }

  /// Lays out the heaps of the thread arena at `place` in the ring.
  mutating func placeThreadArena(_ place: Int) {
    let count = plan.threadArenas[place - 1]
    let fullHeaps = plan.keepsNewestHeapsEmpty && count > 1 ? count - 1 : count
    let structures = split(structuresToPlace[place], over: fullHeaps) + [[]]
    var arena = SyntheticArena(
      address: 0,
      summary: ArenaSummary(index: place, address: RemoteAddress(0), kind: .thread))
    arena.summary.attachedThreads = attachedThreads(to: place)
    arena.isNonContiguous = true
    arenas.append(arena)
    for index in 0..<count {
      let start = placeHeap()
      let length = arenaPages(segmentLength())
      let accessible = length + arenaPages(random.chance(40) ? 0x1000 * (1 + random.below(8)) : 0)
      memory.map(start, accessible, "rw-", name: arenaMapping)
      memory.map(start + accessible, plan.heapMaximum - accessible, "---", name: arenaMapping)
      if accessible > length {
        fillForeign(AddressRange(RemoteAddress(start + length), byteCount: accessible - length))
      }
      if index == 0 {
        arenas[place].address = start + shape.heapInfoSize
        arenas[place].summary.address = RemoteAddress(start + shape.heapInfoSize)
      }
      memory.store(
        words: [
          arenas[place].address, arenas[place].heaps.last?.lowerBound.bits ?? 0, length,
          accessible,
        ] + (shape.heapInfoSize == 48 ? [max(plan.pageSize, plan.hugePageSize), 0] : []), at: start)
      let first = start + (index == 0 ? shape.firstChunkOffset : shape.heapInfoSize)
      arenas[place].heaps.append(AddressRange(RemoteAddress(start), byteCount: length))
      arenas[place].summary.headerBytes += first - start
      layOut(
        arena: place, from: first, to: start + length,
        tail: index == count - 1 ? .top : .terminator(isMerged: allows(.remnants, 35)),
        structures: structures[index], isEmpty: index >= fullHeaps)
      arenas[place].summary.systemBytes += length
    }
    arenas[place].summary.segments = arenas[place].heaps
  }

  /// How many threads use the arena at `place`, nil where glibc does not count.
  private func attachedThreads(to place: Int) -> Int? {
    guard shape.countsThreads else { return nil }
    let count = plan.threads.count { $0.arena == place }
    return place == 0 ? max(1, count) : count
  }

  /// Distributes `items` at random over `count` lists.
  private mutating func split(_ items: [Int], over count: Int) -> [[Int]] {
    var lists = [[Int]](repeating: [], count: count)
    for item in items { lists[random.index(count)].append(item) }
    return lists
  }

  /// Fills memory that is no chunk's, never with something that leads into a real chunk.
  mutating func fillForeign(_ range: AddressRange) {
    guard range.byteCount >= 16, random.chance(70) else { return }
    let style = random.below(
      range.byteCount >= 0x1000 && plan.hazards.contains(.foreignChains) ? 4 : 2)
    let start = (range.lowerBound.bits + 7) & ~7
    let count = min(style == 3 ? 256 : 64, (range.upperBound.bits - start) / 8)
    memory.store(
      words: (0..<count).map { _ in
        switch style {
        case 0: random.next()
        case 1: random.chance(50) ? 0 : range.lowerBound.bits &- random.below(0x4000)
        // Chunk headers of chains that lead nowhere: they end among the zeros behind them.
        case 2: random.pick([0, 0x21, 0x31])
        default: random.pick([0x21, 0x31])
        }
      }, at: start)
  }

  /// Maps anonymous memory that is not malloc's.
  mutating func placeForeignPages() {
    let length = plan.pageSize * (1 + random.below(4))
    let start = placeMapping(length)
    memory.map(start, length, "rw-")
    for page in stride(from: start, to: start + length, by: Int(plan.pageSize)) {
      fillForeign(AddressRange(RemoteAddress(page), byteCount: plan.pageSize))
    }
  }
}
