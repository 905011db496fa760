// Tcaches that no thread leads to: told by what they hold. Of a target that was not stopped, these are
// all; else those of threads that a child of fork does not have.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Finds tcaches that are not marked by what they hold, and counts their chunks as cached.
  ///
  /// The walk has noted the chunks that have the size of a tcache structure. One of them is taken for
  /// one if it holds lists of chunks of the right sizes; an empty one cannot be told from a block of
  /// the program and stays in use. Where cached chunks have a key, the walk has told them by that.
  mutating func findThreadCaches(for collected: inout CollectedHeap) throws(ReadFault) {
    let caches = try watchedCaches()
    if let layout = caches.first?.layout {
      readings.cache = MallocReadings.Cache(
        byteCount: layout.byteCount, chunkSize: layout.chunkSize, offset: nil,
        threads: caches.count)
    }
    if !isLive, scan.watched.count >= scan.ground.watchedLimit {
      log.add(
        .inTransit, at: nil,
        "more than \(scan.watched.count) blocks look like caches of threads that are gone; those beyond "
          + "were not looked at, and what they cache counts as in use")
    }
    var entries = caches.map { (chunk: $0.address &- 16, kind: Marks.Kind.structure) }
    if hints.tcacheKey == 0 || !isLive {
      if isLive || !isLinkingDecided {
        try decideLinking(
          tcacheHeads: caches.flatMap { $0.bins.map(\.head) }.filter { $0 != 0 }, fastbinHeads: [])
      }
      log.isMuted = true
      try follow(caches, into: &entries)
      log.isMuted = false
    }
    let fields = try reader.gather(
      at: entries.map { RemoteAddress($0.chunk &+ 8) }, wordsEach: 1)
    let walked = sizesInUse(of: Set(entries.map(\.chunk)))
    var seen: Set<UInt64> = []
    for (index, entry) in entries.enumerated() {
      guard let field = fields[index, 0], let place = collected.arena(containing: entry.chunk)
      else { continue }
      let size = field & ~7
      if let walked, walked[entry.chunk] != size { continue }
      guard seen.insert(entry.chunk).inserted else { continue }
      switch entry.kind {
      case .structure: collected.countAsStructure(entry.chunk, size, arena: place)
      case .cached(let allowed, _) where allowed.contains(size):
        collected.countAsCached(entry.chunk, size, .tcache, arena: place)
      case .cached, .unsorted: continue
      }
    }
    // The end of such a list looks like that of a fastbin.
    for index in collected.fastbins.indices {
      collected.fastbins[index].candidates.removeAll { seen.contains($0.address) }
    }
  }

  /// With what sizes the walk has counted those of `chunks` that it found in use, nil if it kept none,
  /// or not all.
  private func sizesInUse(of chunks: Set<UInt64>) -> [UInt64: UInt64]? {
    guard options.collectsChunks, options.sample == nil else { return nil }
    var sizes: [UInt64: UInt64] = [:]
    scan.chunks.forEach { chunk in
      let address = chunk.userAddress.bits &- 16
      if chunk.state == .inUse, chunks.contains(address) { sizes[address] = chunk.size }
    }
    return sizes
  }

  /// The word that glibc writes into every chunk that it puts into a tcache (2.34 on: a random one of
  /// the process), as the tcaches among the noted chunks tell it; 0 if they do not.
  func tcacheKey() throws(ReadFault) -> UInt64 { try key(of: try watchedCaches()) }

  /// The same, as `caches` tell it.
  func key(of caches: [Tcache]) throws(ReadFault) -> UInt64 {
    let heads = caches.flatMap { cache in
      cache.bins.map(\.head).filter { $0 != 0 }.map { (cache: cache.address, head: $0) }
    }
    let keys = try reader.gather(at: heads.map { RemoteAddress($0.head &+ 8) }, wordsEach: 1)
    var counts: [UInt64: Int] = [:]
    for (index, head) in heads.enumerated() {
      // Before 2.34 it is the address of the tcache that the chunk is in.
      guard let key = keys[index, 0], key != 0, key != head.cache else { continue }
      counts[key, default: 0] += 1
    }
    guard let best = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) }),
      best.value * 2 > heads.count, data.range(containing: best.key) == nil
    else { return 0 }
    return best.key
  }

  /// The tcaches among the noted chunks.
  private func watchedCaches() throws(ReadFault) -> [Tcache] {
    guard instance.parametersLayout.tcacheBins != nil else { return [] }
    let headers = try reader.gather(
      at: scan.watched.map { RemoteAddress($0 &+ 8) }, wordsEach: 1)
    var caches: [Tcache] = []
    for (index, chunk) in scan.watched.enumerated() {
      guard let field = headers[index, 0],
        let cache = try tcache(at: chunk &+ 16, field: field, tid: 0),
        cache.bins.contains(where: { $0.head != 0 }), try holdsChunks(cache)
      else { continue }
      caches.append(cache)
    }
    return caches
  }

  /// Whether the first chunks of its lists have the sizes that they should have; one may be on its way.
  private func holdsChunks(_ cache: Tcache) throws(ReadFault) -> Bool {
    let bins = cache.bins.enumerated().filter { $0.element.head >= 16 }
    let fields = try reader.gather(
      at: bins.map { RemoteAddress($0.element.head &- 8) }, wordsEach: 1)
    var others = 0
    for (index, bin) in bins.enumerated() {
      let size = fields[index, 0].map { $0 & ~7 } ?? 0
      if !cache.layout.chunkSizes(inBin: bin.offset).contains(size) { others += 1 }
    }
    return others < bins.count && others <= 1
  }
}
