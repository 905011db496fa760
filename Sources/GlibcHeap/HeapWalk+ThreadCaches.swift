// Every thread's tcache, found from the thread pointers without any symbol.

import HeapModel
import RemoteMemory

/// One thread's tcache structure as it was read.
private struct Tcache {
  var tid: Int32
  /// Where its structure lies, as the user pointer of its chunk.
  var address: UInt64
  /// The size of that chunk.
  var chunkSize: UInt64
  var layout: TcacheLayout
  /// For each bin, how many chunks its counter says and the user address of the first, or 0.
  var bins: [(count: Int, head: UInt64)]

  /// Reads it from the structure's bytes.
  init(
    tid: Int32, address: UInt64, chunkSize: UInt64, layout: TcacheLayout, bytes: CopiedBytes,
    fill: UInt64
  ) {
    self.tid = tid
    self.address = address
    self.chunkSize = chunkSize
    self.layout = layout
    bins = (0..<layout.binCount).map { index in
      let counter =
        layout.counterWidth == 1
        ? Int(bytes.byte(at: index) ?? 0) : Int(bytes.quarterWord(at: 2 * index) ?? 0)
      let count =
        layout.countsFreeSlots ? max(0, Int(truncatingIfNeeded: fill & 0xffff) - counter) : counter
      return (count, bytes.word(at: layout.heads + 8 * index) ?? 0)
    }
  }

  /// Whether it looks like a tcache: most heads are null or could point to chunks, and all but a few
  /// counters are zero exactly where the head is null (one may be in transit, some damaged).
  var isConsistent: Bool {
    var disagreements = 0
    var pointers = 0
    var others = 0
    for (count, head) in bins {
      if (count == 0) != (head == 0) { disagreements += 1 }
      if head == 0 { continue }
      if head & 15 == 0, head < 1 << 56 { pointers += 1 } else { others += 1 }
    }
    return disagreements <= 2 && others <= max(2, pointers)
  }
}

/// What the thread caches were marked by.
///
/// As long as all of it is as it was, so are they.
struct CacheEvidence {
  private let threads: [Int32]
  private let pointers: [RemoteAddress]
  private var pointerWords: GatheredWords?
  private var structures: [RemoteAddress] = []
  private var wordsEach = 1
  private var contents: GatheredWords?

  /// Makes it of the places that point to each thread's structure.
  init(threads: [ThreadState], pointers: [RemoteAddress]) {
    self.threads = threads.map(\.tid)
    self.pointers = pointers
  }

  /// Keeps what the pointers and the structures hold now.
  fileprivate mutating func add(
    _ caches: [Tcache], reader: any MemoryReader
  ) throws(ReadFault) {
    guard let first = caches.first else { return }
    structures = caches.map { RemoteAddress($0.address) }
    wordsEach = first.layout.byteCount / 8
    pointerWords = try reader.gather(at: pointers, wordsEach: 1)
    contents = try reader.gather(at: structures, wordsEach: wordsEach)
  }

  /// Whether there are the same threads, with the same structures, that hold the same.
  ///
  /// A list that was changed and changed back, so that it begins and counts as before, is not noticed.
  fileprivate func holds(
    for threads: [ThreadState], reader: any MemoryReader
  ) throws(ReadFault) -> Bool {
    guard let pointerWords, let contents, threads.map(\.tid) == self.threads,
      try reader.gather(at: pointers, wordsEach: 1) == pointerWords
    else { return false }
    return try reader.gather(at: structures, wordsEach: wordsEach) == contents
  }
}

extension HeapWalk {
  /// Finds every thread's tcache and marks the cached chunks and the structures.
  ///
  /// It also decides how list links are stored. `heads` are the chunks that head the arenas' fastbins.
  mutating func markThreadCaches(heads: [UInt64]) throws(ReadFault) {
    if let cacheEvidence, try cacheEvidence.holds(for: threads, reader: reader) { return }
    let caches = try threadCaches()
    linking = try decideLinking(
      tcacheHeads: caches.flatMap { $0.bins.map(\.head) }.filter { $0 != 0 },
      fastbinHeads: heads.filter { $0 != 0 })
    var entries: [(chunk: UInt64, kind: Marks.Kind)] = []
    for cache in caches { entries.append((cache.address &- 16, .structure)) }
    duplicateMarks = []
    try follow(caches, into: &entries)
    marks = Marks(entries, duplicates: &duplicateMarks)
    for duplicate in duplicateMarks {
      log.add(
        .listDamage, at: duplicate &+ 16,
        "\(RemoteAddress(duplicate &+ 16)) is in more than one place of the tcaches")
    }
    if pacing?.stopsTarget == true { try cacheEvidence?.add(caches, reader: reader) }
  }

  private mutating func threadCaches() throws(ReadFault) -> [Tcache] {
    guard instance.parametersLayout.tcacheBins != nil, !threads.isEmpty else { return [] }
    guard let block = instance.threadBlock, let distance = try distance(of: block) else {
      log.add(
        .threadUnknown, at: nil,
        "libc's thread-local variables could not be located; cached chunks are counted as in use")
      return []
    }
    let wordCount = min(8192, max(32, (1 << 20) / threads.count), (block.byteCount + 7) / 8)
    let blocks = try reader.gather(
      at: threads.map { RemoteAddress($0.threadPointer.bits &+ distance) }, wordsEach: wordCount)
    let candidates = try candidates(in: blocks)
    cacheEvidence = nil
    guard let word = bestWord(candidates) else {
      for thread in threads.indices where blocks[thread, 0] == nil {
        reportUnknown(thread, value: nil)
      }
      return []
    }
    var caches: [Int: Tcache] = [:]
    for candidate in candidates where candidate.word == word {
      caches[candidate.thread] = candidate.cache
    }
    for thread in threads.indices where caches[thread] == nil {
      let value = blocks[thread, word]
      if let value, value == 0 || instance.imageRange.contains(RemoteAddress(value)) { continue }
      reportUnknown(thread, value: value)
    }
    cacheEvidence = CacheEvidence(
      threads: threads,
      pointers: threads.map {
        RemoteAddress($0.threadPointer.bits &+ distance &+ 8 &* UInt64(word))
      })
    // Threads cannot share a structure: of two that seem to, one is in the middle of its start.
    var seen: Set<UInt64> = []
    return caches.sorted { $0.key < $1.key }.map(\.value)
      .filter { seen.insert($0.address).inserted }
  }

  /// What to add to a thread pointer to get to libc's block: in a loaded library it is in a word that
  /// the loader relocated, in an executable it is fixed.
  private func distance(of block: MallocInstance.ThreadBlock) throws(ReadFault) -> UInt64? {
    for place in block.places {
      switch place {
      case .fixed(let distance): return distance
      case .relocated(let slot, let offset):
        if let word = try reader.word(at: slot) { return word &- offset }
      }
    }
    return nil
  }

  private struct Candidate {
    var thread: Int
    var word: Int
    var cache: Tcache
  }

  /// The words of the threads' blocks that point to what looks like a tcache structure.
  private func candidates(in blocks: GatheredWords) throws(ReadFault) -> [Candidate] {
    var places: [(thread: Int, word: Int, address: UInt64)] = []
    for thread in threads.indices {
      for word in 0..<blocks.wordsEach {
        guard let value = blocks[thread, word], value >= 16, data.canHoldUserPointer(value) else {
          continue
        }
        places.append((thread, word, value))
      }
    }
    let headers = try reader.gather(
      at: places.map { RemoteAddress($0.address &- 8) }, wordsEach: 1)
    var candidates: [Candidate] = []
    for (index, place) in places.enumerated() {
      guard let field = headers[index, 0],
        let cache = try tcache(at: place.address, field: field, tid: threads[place.thread].tid)
      else { continue }
      candidates.append(Candidate(thread: place.thread, word: place.word, cache: cache))
    }
    return candidates
  }

  /// The tcache structure at `address`, in a chunk whose size field is `field`; nil if it is none.
  private func tcache(
    at address: UInt64, field: UInt64, tid: Int32
  ) throws(ReadFault) -> Tcache? {
    guard field & 2 == 0,
      let layout = TcacheLayout.all.first(where: { layout in
        field & ~7 == layout.chunkSize || field & ~7 == layout.chunkSize + 16
      }),
      let bytes = try reader.bytes(at: RemoteAddress(address), count: layout.byteCount)
    else { return nil }
    let cache = Tcache(
      tid: tid, address: address, chunkSize: field & ~7, layout: layout,
      bytes: CopiedBytes(bytes), fill: parameters.tcacheCount)
    return cache.isConsistent ? cache : nil
  }

  /// The word at which most threads have a tcache; of several, the one with the most cached chunks.
  private func bestWord(_ candidates: [Candidate]) -> Int? {
    var score: [Int: (threads: Int, chunks: Int)] = [:]
    for candidate in candidates {
      score[candidate.word, default: (0, 0)].threads += 1
      score[candidate.word, default: (0, 0)].chunks += candidate.cache.bins.reduce(0) {
        $0 + min($1.count, 1 << 16)
      }
    }
    return score.max { left, right in
      (left.value.threads, left.value.chunks, right.key)
        < (right.value.threads, right.value.chunks, left.key)
    }?.key
  }

  private mutating func reportUnknown(_ thread: Int, value: UInt64?) {
    let what =
      value.map {
        "its tcache pointer leads to \(RemoteAddress($0)), which "
          + (isSwappedOut($0) ? "is swapped out" : "holds no tcache")
      }
      ?? "its thread-local variables cannot be read"
    log.add(
      .threadUnknown, at: value,
      "thread \(threads[thread].tid): \(what); chunks that it caches are counted as in use")
  }

  // MARK: Links

  /// Decides by the lists' first links, decoded both ways.
  ///
  /// Without any list it does not matter.
  private func decideLinking(
    tcacheHeads: [UInt64], fastbinHeads: [UInt64]
  ) throws(ReadFault) -> ListLinking {
    let fields = (tcacheHeads + fastbinHeads.map { $0 &+ 16 }).prefix(4096)
    let links = try reader.gather(at: fields.map(RemoteAddress.init), wordsEach: 1)
    func isPointer(_ value: UInt64) -> Bool { value == 0 || data.canHoldUserPointer(value) }
    var plain = 0
    var masked = 0
    for (index, field) in fields.enumerated() {
      guard let stored = links[index, 0] else { continue }
      let isPlain = isPointer(stored)
      let isMasked = isPointer(ListLinking.masked.next(stored: stored, field: field))
      if isPlain, !isMasked { plain += 1 }
      if isMasked, !isPlain { masked += 1 }
    }
    return plain == masked ? linking : plain > masked ? .plain : .masked
  }

  // MARK: Without the threads' registers

  /// Finds the tcaches of a target that was not stopped by what they hold, and counts their chunks as
  /// cached.
  ///
  /// The walk has noted the chunks that have the size of a tcache structure. One of them is taken for
  /// one if it holds lists of chunks of the right sizes; an empty one cannot be told from a block of
  /// the program and stays in use. Where cached chunks have a key, the walk has told them by that.
  mutating func findThreadCaches(for collected: inout CollectedHeap) throws(ReadFault) {
    let caches = try watchedCaches()
    var entries = caches.map { (chunk: $0.address &- 16, kind: Marks.Kind.structure) }
    if hints.tcacheKey == 0 {
      linking = try decideLinking(
        tcacheHeads: caches.flatMap { $0.bins.map(\.head) }.filter { $0 != 0 }, fastbinHeads: [])
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
      case .cached(let allowed) where allowed.contains(size):
        collected.countAsCached(entry.chunk, size, .tcache, arena: place)
      case .cached: continue
      }
    }
    // The end of such a list looks like that of a fastbin.
    for index in collected.fastbins.indices {
      collected.fastbins[index].candidates.removeAll { seen.contains($0.address) }
    }
  }

  /// With what sizes the walk has counted those of `chunks` that it found in use, nil if it kept none.
  private func sizesInUse(of chunks: Set<UInt64>) -> [UInt64: UInt64]? {
    guard options.collectsChunks else { return nil }
    var sizes: [UInt64: UInt64] = [:]
    for chunk in scan.chunks where chunk.state == .inUse {
      let address = chunk.userAddress.bits &- 16
      if chunks.contains(address) { sizes[address] = chunk.size }
    }
    return sizes
  }

  /// The word that glibc writes into every chunk that it puts into a tcache (2.34 on: a random one of
  /// the process), as the tcaches among the noted chunks tell it; 0 if they do not.
  func tcacheKey() throws(ReadFault) -> UInt64 {
    let caches = try watchedCaches()
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

  private struct Step {
    var cache: Int
    var bin: Int
    var address: UInt64
    var remaining: Int
  }

  /// Follows all lists at once, one link of each in a round, so that a round is one read.
  private mutating func follow(
    _ caches: [Tcache], into entries: inout [(chunk: UInt64, kind: Marks.Kind)]
  ) throws(ReadFault) {
    var steps: [Step] = []
    for (index, cache) in caches.enumerated() {
      for (bin, content) in cache.bins.enumerated() where content.head != 0 {
        // One more than counted may be on its way in, and none can be counted that is not there.
        let step = Step(
          cache: index, bin: bin, address: content.head, remaining: content.count + 2)
        if data.canHoldUserPointer(content.head) {
          steps.append(step)
        } else {
          reportList(cache, step, "begins outside of any heap")
        }
      }
    }
    var seen: Set<UInt64> = []
    while !steps.isEmpty {
      let links = try reader.gather(at: steps.map { RemoteAddress($0.address) }, wordsEach: 1)
      var next: [Step] = []
      for (index, step) in steps.enumerated() {
        let sizes = caches[step.cache].layout.chunkSizes(inBin: step.bin)
        if links[index, 0] == nil, isSwappedOut(step.address), step.address >= 16 {
          // It is cached; only what follows it in the list is not known.
          entries.append((step.address &- 16, .cached(sizes)))
          log.addSwapped(.caches, at: step.address)
          continue
        }
        guard let stored = links[index, 0], step.address >= 16 else {
          reportList(caches[step.cache], step, "leads to unreadable memory")
          continue
        }
        guard seen.insert(step.address).inserted else {
          reportList(caches[step.cache], step, "leads to a chunk that is in a tcache already")
          continue
        }
        entries.append((step.address &- 16, .cached(sizes)))
        let following = linking.next(stored: stored, field: step.address)
        guard following != 0 else { continue }
        guard data.canHoldUserPointer(following) else {
          reportList(
            caches[step.cache], step, "leads on to \(RemoteAddress(following)), outside of any heap"
          )
          continue
        }
        guard step.remaining > 1 else {
          reportList(caches[step.cache], step, "is longer than its counter says")
          continue
        }
        next.append(
          Step(
            cache: step.cache, bin: step.bin, address: following, remaining: step.remaining - 1))
      }
      steps = next
    }
  }

  private mutating func reportList(_ cache: Tcache, _ step: Step, _ what: String) {
    log.add(
      .listDamage, at: step.address,
      "the tcache list of thread \(cache.tid) for chunks of "
        + "\(cache.layout.chunkSizes(inBin: step.bin).lowerBound) bytes \(what)")
  }
}
