// Links synthetic bins, fastbins and tcaches, and writes the arena structures that head them.

import HeapModel

extension SyntheticBuilder {
  /// A link as it is stored at `place`: masked by its own place from glibc 2.32 on.
  func link(_ target: UInt64, at place: UInt64) -> UInt64 {
    shape.manglesLinks ? target ^ (place >> 12) : target
  }

  /// Writes an arena's fastbins and bins.
  mutating func writeLists(of index: Int) {
    let fields = shape.arenaFields
    let base = arenas[index].address
    if let place = fields.fastbins {
      for bin in 0..<10 {
        arenas[index].fastbins[bin].shuffle(using: &random)
        let list = arenas[index].fastbins[bin]
        memory.store(list.first ?? 0, at: base + place + UInt64(bin) * 8)
        for (position, chunk) in list.enumerated() {
          let next = position + 1 < list.count ? list[position + 1] : 0
          memory.store(link(next, at: chunk + 16), at: chunk + 16)
        }
      }
    }
    guard hasLinkedBins(index) else { return }
    for bin in 1...127 {
      let pseudo = base + fields.bins + UInt64(bin - 1) * 16 - 16
      var list = (arenas[index].bins[bin] ?? []).shuffled(using: &random)
      if bin >= 64 { list.sort { $0.size > $1.size } }
      if !list.isEmpty { arenas[index].bins[bin] = list }
      let ring = [pseudo] + list.map(\.address) + [pseudo]
      for position in 1..<ring.count {
        memory.store(ring[position], at: ring[position - 1] + 16)
        memory.store(ring[position - 1], at: ring[position] + 24)
      }
      linkSizes(of: list, isSorted: bin >= 64)
      if bin > 1, !list.isEmpty || random.chance(5) {
        let place = base + fields.binmap + UInt64(bin / 64) * 8
        memory.store(memory.word(at: place) | 1 << UInt64(bin % 64), at: place)
      }
    }
  }

  /// Whether an arena's bins were ever linked.
  private func hasLinkedBins(_ index: Int) -> Bool {
    index > 0 || plan.main != .unused || shape.linksBinsEarly || plan.mmappedChunks > 0
  }

  /// Writes the links between the first chunks of each size.
  private mutating func linkSizes(of list: [SyntheticChunk], isSorted: Bool) {
    var firsts: [UInt64] = []
    var lastSize: UInt64 = 0
    for chunk in list where chunk.size >= 1024 {
      memory.store(words: [0, 0], at: chunk.address + 32)
      if isSorted, chunk.size != lastSize { firsts.append(chunk.address) }
      lastSize = chunk.size
    }
    for (position, first) in firsts.enumerated() {
      let next = firsts[(position + 1) % firsts.count]
      memory.store(next, at: first + 32)
      memory.store(first, at: next + 40)
    }
  }

  /// Writes a thread's tcache structure and links its bins.
  mutating func write(_ tcache: SyntheticTcache) {
    let base = tcache.structure
    memory.store(
      words: [UInt64](repeating: 0, count: Int(shape.tcacheChunkSize - 16) / 8), at: base)
    let heads: UInt64
    switch shape.tcache {
    case .none: return
    case .bytes: heads = base + 64
    case .halfWords: heads = base + 128
    case .slots: heads = base + 152
    }
    for (bin, unordered) in tcache.bins.enumerated() {
      var list = unordered.shuffled(using: &random)
      // The bins for larger chunks hold several sizes, smallest first.
      if bin >= 64 { list.sort { memory.word(at: $0 - 8) & ~7 < memory.word(at: $1 - 8) & ~7 } }
      if let index = tcaches.firstIndex(where: { $0.structure == base }) {
        tcaches[index].bins[bin] = list
      }
      let count = UInt64(list.count)
      switch shape.tcache {
      case .none: break
      case .bytes: memory.store(UInt8(count), at: base + UInt64(bin))
      case .halfWords: memory.store(UInt16(count), at: base + UInt64(bin) * 2)
      case .slots: memory.store(UInt16(plan.fill - count), at: base + UInt64(bin) * 2)
      }
      memory.store(list.first ?? 0, at: heads + UInt64(bin) * 8)
      for (position, entry) in list.enumerated() {
        let next = position + 1 < list.count ? list[position + 1] : 0
        memory.store(link(next, at: entry), at: entry)
        switch shape.key {
        case .none: break
        case .structureAddress: memory.store(base, at: entry + 8)
        case .random: memory.store(library.tcacheKey, at: entry + 8)
        }
      }
    }
  }

  /// Writes an arena's fields apart from its lists.
  mutating func writeArena(_ index: Int) {
    let fields = shape.arenaFields
    let arena = arenas[index]
    let base = arena.address
    let hasFastChunks = arena.fastbins.contains { !$0.isEmpty }
    var flags: UInt32 = arena.isNonContiguous ? 2 : 0
    switch shape.arena {
    case .a, .b: flags |= hasFastChunks || !hasLinkedBins(index) ? 0 : 1
    case .c: memory.store(UInt32(hasFastChunks ? 1 : 0), at: base + 8)
    case .d: break
    }
    memory.store(flags, at: base + 4)
    if let top = arena.summary.topAddress {
      memory.store(top.bits, at: base + fields.top)
    } else if hasLinkedBins(index) {
      memory.store(base + fields.bins - 16, at: base + fields.top)
    }
    let remainders = arena.bins.values.flatMap { $0 }.filter { $0.size < 1024 }
    if !remainders.isEmpty, random.chance(60) {
      memory.store(random.pick(remainders).address, at: base + fields.lastRemainder)
    }
    memory.store(arenas[(index + 1) % arenas.count].address, at: base + fields.next)
    if let place = fields.attachedThreads {
      memory.store(UInt64(arena.summary.attachedThreads ?? 0), at: base + place)
    }
    let system = arena.summary.systemBytes
    memory.store(
      words: [system, system + plan.pageSize * random.below(20)], at: base + fields.systemMem)
  }
}
