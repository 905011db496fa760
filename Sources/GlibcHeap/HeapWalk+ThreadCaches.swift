// Every thread's tcache, found from the thread pointers without any symbol.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Finds every thread's tcache and marks the cached chunks and the structures.
  ///
  /// It also decides how list links are stored. `heads` are the chunks that head the arenas' fastbins.
  mutating func markThreadCaches(heads: [UInt64]) throws(ReadFault) {
    knownCaches = nil
    try mark(try threadCaches(), heads: heads)
  }

  /// The same in a later stop, from what the stop before has shown.
  ///
  /// Nothing that was told of the first one is told again: a thread is named once, and lists of busy
  /// threads may lead anywhere between two stops.
  mutating func markThreadCachesAgain() throws(ReadFault) {
    guard cachesMoment != progress.moment else { return }
    log.isMuted = true
    defer { log.isMuted = false }
    guard let known = knownCaches else {
      return try markThreadCaches(heads: arena.fastbinHeads)
    }
    let pointers = try reader.gather(
      at: threads.map { RemoteAddress($0.threadPointer.bits &+ known.distance) }, wordsEach: 1)
    // Others are read as what they are: nothing.
    let structures = pointers.words.map { $0 >= 4096 && $0 & 15 == 0 ? $0 &- 16 : 0 }
    if known.key != 0 { return try markStructures(structures, layout: known.layout) }
    let contents = try reader.gather(
      at: structures.map(RemoteAddress.init), wordsEach: known.layout.byteCount / 8 + 2)
    if pointers == known.pointers, contents == known.contents,
      known.threads == threads.map(\.tid)
    {
      cachesMoment = progress.moment
      return
    }
    var caches: [Int: Tcache] = [:]
    for thread in threads.indices {
      guard let value = pointers[thread, 0] else {
        reportUnknown(thread, value: nil)
        continue
      }
      if value == 0 || instance.imageRange.contains(RemoteAddress(value)) { continue }
      let cache =
        contents.isReadable[thread]
        ? Tcache(
          tid: threads[thread].tid,
          chunk: contents.words[(thread * contents.wordsEach)...].prefix(contents.wordsEach),
          at: value, layout: known.layout, fill: parameters.tcacheCount) : nil
      if let cache { caches[thread] = cache } else { reportUnknown(thread, value: value) }
    }
    knownCaches?.threads = threads.map(\.tid)
    knownCaches?.pointers = pointers
    knownCaches?.contents = contents
    try mark(Self.withoutShared(caches), heads: arena.fastbinHeads)
  }

  /// How many cached chunks are looked up in each of many stops: following so many lists takes about half
  /// a millisecond.
  private static var chunksFollowedAgain: Int { 1000 }

  /// Marks the chunks at `structures` that look like a tcache's; what they cache is told by its key.
  private mutating func markStructures(
    _ structures: [UInt64], layout: TcacheLayout
  ) throws(ReadFault) {
    let fields = try reader.gather(
      at: structures.map { RemoteAddress($0 &+ 8) }, wordsEach: 1)
    let entries = structures.enumerated().filter { index, address in
      address != 0 && fields[index, 0].map(layout.isHeader) ?? false
    }
    duplicateMarks = []
    marks = Marks(
      entries.map { (chunk: $0.element, kind: .structure) }, duplicates: &duplicateMarks)
    cachesMoment = progress.moment
  }

  /// Has the caches be looked at anew in this stop: what led nowhere may now lead to a chunk.
  mutating func doubtThreadCaches() {
    knownCaches?.contents = nil
    cachesMoment = -1
  }

  private mutating func mark(_ caches: [Tcache], heads: [UInt64]) throws(ReadFault) {
    if !isLinkingDecided {
      try decideLinking(
        tcacheHeads: caches.flatMap { $0.bins.map(\.head) }.filter { $0 != 0 },
        fastbinHeads: heads.filter { $0 != 0 })
    }
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
    cachesMoment = progress.moment
    if knownCaches != nil, entries.count > Self.chunksFollowedAgain {
      let key = try key(of: caches)
      knownCaches?.key = key
    }
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
    if let cache = caches.values.first {
      readings.cache = MallocReadings.Cache(
        byteCount: cache.layout.byteCount, chunkSize: cache.layout.chunkSize,
        offset: UInt64(word) * 8, threads: caches.count)
    }
    for thread in threads.indices where caches[thread] == nil {
      let value = blocks[thread, word]
      if let value, value == 0 || instance.imageRange.contains(RemoteAddress(value)) { continue }
      reportUnknown(thread, value: value)
    }
    if pacing?.stopsTarget == true, let layout = caches.values.first?.layout {
      knownCaches = KnownCaches(distance: distance &+ 8 &* UInt64(word), layout: layout)
    }
    return Self.withoutShared(caches)
  }

  /// The structures in the threads' order: threads cannot share one, and of two that seem to, one is in
  /// the middle of its start.
  private static func withoutShared(_ caches: [Int: Tcache]) -> [Tcache] {
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
        guard let value = blocks[thread, word].map(instance.machine.untagged), value >= 16,
          data.canHoldUserPointer(value)
        else { continue }
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
  func tcache(
    at address: UInt64, field: UInt64, tid: Int32
  ) throws(ReadFault) -> Tcache? {
    guard let layout = TcacheLayout.all.first(where: { $0.isHeader(field) }),
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
    guard unknownThreads.insert(threads[thread].tid).inserted else { return }
    // In a later stop, a thread that was known before is on its way: it ends, or its heap went.
    log.add(
      progress.moment == 0 ? .threadUnknown : .inTransit, at: value, evenIfMuted: true,
      "thread \(threads[thread].tid): \(what); chunks that it caches are counted as in use")
  }

  // MARK: Links

  /// Decides by the lists' first links, decoded both ways.
  ///
  /// Without any list it does not matter.
  mutating func decideLinking(
    tcacheHeads: [UInt64], fastbinHeads: [UInt64]
  ) throws(ReadFault) {
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
    guard plain != masked else { return }
    linking = plain > masked ? .plain : .masked
    isLinkingDecided = true
  }

  // MARK: Lists

  private struct Step {
    var cache: Int
    var bin: Int
    /// The chunk that comes next.
    var address: UInt64
    var remaining: Int
  }

  /// Follows all lists at once, one link of each in a round, so that a round is one read.
  mutating func follow(
    _ caches: [Tcache], into entries: inout [(chunk: UInt64, kind: Marks.Kind)]
  ) throws(ReadFault) {
    var steps = try beginnings(of: caches)
    var seen: [UInt64: Holder] = [:]
    while !steps.isEmpty {
      let links = try reader.gather(at: steps.map { RemoteAddress($0.address) }, wordsEach: 1)
      var next: [Step] = []
      for (index, step) in steps.enumerated() {
        let following = try take(
          step, stored: links[index, 0], of: caches[step.cache], &seen, into: &entries)
        if let following { next.append(following) }
      }
      steps = next
    }
  }

  /// Where the lists begin.
  private mutating func beginnings(of caches: [Tcache]) throws(ReadFault) -> [Step] {
    var steps: [Step] = []
    for (index, cache) in caches.enumerated() {
      for (bin, content) in cache.bins.enumerated() where content.head != 0 {
        // One more than counted may be on its way in, and none can be counted that is not there.
        let step = Step(
          cache: index, bin: bin, address: content.head, remaining: content.count + 2)
        if try canHoldUserPointer(content.head) {
          steps.append(step)
        } else {
          reportList(cache, step, "begins outside of any heap")
        }
      }
    }
    return steps
  }

  /// Takes the chunk of a list at which `stored` was read, and returns the step to the next one, nil if
  /// the list ends here.
  private mutating func take(
    _ step: Step, stored: UInt64?, of cache: Tcache, _ seen: inout [UInt64: Holder],
    into entries: inout [(chunk: UInt64, kind: Marks.Kind)]
  ) throws(ReadFault) -> Step? {
    let sizes = cache.layout.chunkSizes(inBin: step.bin)
    if stored == nil, isSwappedOut(step.address), step.address >= 16 {
      // It is cached; only what follows it in the list is not known.
      entries.append((step.address &- 16, .cached(sizes, tid: cache.tid)))
      log.addSwapped(.caches, at: step.address)
      return nil
    }
    guard let stored, step.address >= 16 else {
      reportList(cache, step, "leads to unreadable memory")
      return nil
    }
    if let holder = seen[step.address] {
      reportTwice(cache, step, holder)
      return nil
    }
    seen[step.address] = Holder(tid: cache.tid, size: sizes.lowerBound)
    entries.append((step.address &- 16, .cached(sizes, tid: cache.tid)))
    var next = step
    next.address = linking.next(stored: stored, field: step.address)
    next.remaining -= 1
    guard next.address != 0 else { return nil }
    guard try canHoldUserPointer(next.address) else {
      let written = look(of: stored).map { ", its first word is \($0)" } ?? ""
      let place =
        data.range(containing: next.address) == nil ? "outside of any heap" : "which is misaligned"
      reportList(
        cache, step,
        "leads on from \(RemoteAddress(step.address)) to \(RemoteAddress(next.address)), \(place): "
          + "that chunk was written to after it was freed\(written)")
      return nil
    }
    guard next.remaining > 0 else {
      reportList(cache, step, "is longer than its counter says")
      return nil
    }
    return next
  }

  /// The list in which a chunk was met.
  private struct Holder {
    var tid: Int32
    var size: UInt64
  }

  /// Names a chunk that `holder`'s list led to before.
  private mutating func reportTwice(_ cache: Tcache, _ step: Step, _ holder: Holder) {
    let size = cache.layout.chunkSizes(inBin: step.bin).lowerBound
    let isSame = holder.tid == cache.tid && holder.size == size
    log.add(
      .listDamage, at: step.address, chunk: cached(cache, step),
      "\(RemoteAddress(step.address)) is \(isSame ? "twice " : "")in the tcache list of thread "
        + "\(cache.tid) for chunks of \(size) bytes"
        + (isSame
          ? "" : " and in that of thread \(holder.tid) for chunks of \(holder.size) bytes")
        + ": it was freed twice")
  }

  private func cached(_ cache: Tcache, _ step: Step) -> NamedChunk {
    NamedChunk(
      userAddress: RemoteAddress(step.address),
      size: cache.layout.chunkSizes(inBin: step.bin).lowerBound, state: .tcache)
  }

  private mutating func reportList(_ cache: Tcache, _ step: Step, _ what: String) {
    let isChunk = data.canHoldUserPointer(step.address)
    log.add(
      .listDamage, at: step.address, chunk: isChunk ? cached(cache, step) : nil,
      "the tcache list of thread \(cache.tid) for chunks of "
        + "\(cache.layout.chunkSizes(inBin: step.bin).lowerBound) bytes \(what)")
  }
}
