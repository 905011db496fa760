// Several copies of malloc in one process: each has arenas of its own; their mmapped chunks look alike.

package import HeapModel
package import RemoteMemory

/// What the walk of one copy of malloc needs to know of the others in the process.
struct MallocCopies {
  /// The copy's number.
  var index = 0
  /// The index of its main arena: how many arenas the copies before have.
  var firstArena = 0
  /// The others.
  var others: [MallocInstance] = []
  /// Memory that is known to be the others'.
  var otherMemory: [AddressRange] = []
  /// The copies whose mmapped chunks are looked for in this walk, because nothing but their number tells
  /// them apart; none if that is another walk's part.
  var mmappers: [MallocInstance]

  /// Whether no other copy is walked after this one.
  var isLast: Bool { index == others.count }

  /// The only one.
  init(alone instance: MallocInstance) {
    mmappers = [instance]
  }

  /// One of several.
  init(index: Int, of instances: [MallocInstance], memory: [[AddressRange]]) {
    self.index = index
    others = instances.indices.filter { $0 != index }.map { instances[$0] }
    otherMemory = memory.indices.filter { $0 != index }.flatMap { memory[$0] }
    let alike = instances.indices.filter {
      instances[$0].hasNewMmapHeader == instances[index].hasNewMmapHeader
    }
    mmappers = alike.last == index ? alike.map { instances[$0] } : []
  }
}

/// What glibc counts of mmapped chunks.
struct MmapTotals {
  var count = 0
  var bytes: UInt64 = 0

  init() {}

  init(of parameters: Parameters) {
    count = parameters.mmapCount
    bytes = parameters.mmappedBytes
  }

  static func += (left: inout MmapTotals, right: MmapTotals) {
    left.count &+= right.count
    left.bytes &+= right.bytes
  }
}

/// The heaps of all copies of malloc in a process as they were read, to be made into one snapshot.
package struct CollectedHeaps {
  private var heaps: [CollectedHeap] = []

  /// The memory that the heaps' chunks lie in.
  package var memoryRanges: [AddressRange] { heaps.flatMap(\.memoryRanges) }

  mutating func add(_ heap: CollectedHeap) { heaps.append(heap) }

  /// The finished snapshot, its chunks ascending by address; to be called once.
  package mutating func snapshot() -> HeapSnapshot {
    var sum: HeapSnapshot?
    // One after the other is let go, so that there are never two of each chunk.
    while !heaps.isEmpty {
      var heap = heaps.removeFirst()
      let snapshot = heap.snapshot()
      if sum == nil { sum = snapshot } else { sum?.add(snapshot) }
    }
    return sum ?? HeapSnapshot()
  }
}

extension HeapWalk {
  /// Reads and walks the heaps of `instances`, of the same process, one after the other.
  ///
  /// `hints` has an element for each. What else there is to say is at the function for one of them.
  ///
  /// - Throws: the reader's faults other than `unmapped`: memory that cannot be read is a finding.
  package static func collect(
    of instances: [MallocInstance], reader: any MemoryReader, data: DataRanges,
    threads: [ThreadState], options: WalkOptions, hints: [HeapHints],
    buffers: consuming WalkBuffers, pacing: (any WalkPacing)? = nil
  ) throws(ReadFault) -> CollectedHeaps {
    var collected = CollectedHeaps()
    var buffers = buffers
    var (threads, data) = (threads, data)
    var memory = hints.map(\.ownMemory)
    var firstArena = 0
    for index in instances.indices {
      if index > 0, let pacing, !pacing.stopsTarget || pacing.isHalfOver {
        pacing.letRun()
        threads = try pacing.proceed()
      }
      guard let parameters = try Parameters(of: instances[index], reader: reader) else {
        collected.add(CollectedHeap(unreadableSnapshot(of: instances[index])))
        continue
      }
      var copies = MallocCopies(index: index, of: instances, memory: memory)
      copies.firstArena = firstArena
      var known = hints[index]
      var strangers = 0
      if case .malloc(index) = options.scope {
        strangers = try copies.separate(instances[index], reader: reader)
        known.mmapped = hints.flatMap(\.mmapped)
      }
      var walk = HeapWalk(
        instance: instances[index], reader: reader, data: data, threads: threads, options: options,
        hints: known, parameters: parameters, buffers: buffers, pacing: pacing, copies: copies)
      if strangers > 0 {
        walk.log.add(
          .allocator, at: nil,
          "mmapped chunks are left out: other copies of malloc have \(strangers) of them, and nothing "
            + "tells which")
      }
      let heap = try walk.run()
      firstArena = heap.arenaEnd
      memory[index] = walk.arenaMemory
      (threads, data) = (walk.allThreads, walk.data)
      buffers = walk.takeBuffers()
      collected.add(heap)
    }
    if let pacing, pacing.stopsTarget { pacing.letRun() }
    return collected
  }

  /// Looks where the mmapped chunks of `instances`, and the segments of their main arenas, are, so that
  /// a later walk of a stopped target need not search for them.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  package static func survey(
    of instances: [MallocInstance], reader: any MemoryReader, mappings: [MemoryMapping],
    options: WalkOptions
  ) throws(ReadFault) -> [HeapHints] {
    let data = DataRanges(mappings)
    var memory = [[AddressRange]](repeating: [], count: instances.count)
    var hints = [HeapHints](repeating: HeapHints(), count: instances.count)
    // What is certain of each comes first, so that no search takes it for another's.
    for isCertain in instances.count > 1 ? [true, false] : [false] {
      for index in instances.indices {
        guard let parameters = try Parameters(of: instances[index], reader: reader) else {
          continue
        }
        var walk = HeapWalk(
          instance: instances[index], reader: reader, data: data, threads: [], options: options,
          hints: HeapHints(), parameters: parameters, buffers: WalkBuffers(), pacing: nil,
          copies: MallocCopies(index: index, of: instances, memory: memory))
        hints[index] = try walk.survey(searches: !isCertain)
        memory[index] = hints[index].ownMemory
      }
    }
    return hints
  }

  /// The look at one of the copies: with `searches` false, only at what its own structures say.
  mutating func survey(searches: Bool) throws(ReadFault) -> HeapHints {
    let arenas = try readRing()
    var hints = HeapHints()
    hints.arenas = arenas.map(\.address)
    hints.heapBytes = arenas.reduce(parameters.mmappedBytes) { $0 &+ $1.systemBytes }
    try locateMemory(of: arenas)
    hints.memory = heaps.values.flatMap { $0.map(\.range) }
    if let main = arenas.first { arena = main }
    if let start = mainStart, !arenas.isEmpty {
      hints.memory.append(
        AddressRange(
          RemoteAddress(start), RemoteAddress(max(start, breakLimit(from: start)))))
    }
    if searches {
      if let main = arenas.first, !main.hasNoMemory, !main.isContiguous {
        hints.mainSegments = try searchMainSegments(missing: main.systemBytes)
      }
      try lookForLargeChunks(of: arenas, into: &hints)
      arenaMemory += hints.mainSegments
      if !copies.mmappers.isEmpty {
        try countMmapped()
        hints.mmapped = try searchMmapped(known: [])
      }
    } else {
      try noteFirstSegment()
    }
    hints.ownMemory = Array(arenaMemory.dropFirst(copies.otherMemory.count))
    return hints
  }

  /// Notes the segment with which a main arena without the program break begins as its own.
  private mutating func noteFirstSegment() throws(ReadFault) {
    guard !arena.hasNoMemory, !arena.isContiguous, let start = mainStart,
      data.breakEnd(containing: start) == nil, let end = try endOfMainSegment(from: start)
    else { return }
    arenaMemory.append(AddressRange(RemoteAddress(start), RemoteAddress(end)))
  }

  /// Reads what glibc counts of the mmapped chunks that this walk looks for.
  mutating func countMmapped() throws(ReadFault) {
    var totals = MmapTotals()
    for copy in copies.mmappers {
      guard let read = try Parameters(of: copy, reader: reader) else { continue }
      totals += MmapTotals(of: read)
      if copy.mainArena == instance.mainArena { parameters = read }
    }
    mmapTotals = totals
  }

  // MARK: Whose segment

  /// How many links of a list are followed to its arena.
  private static var followedLinks: Int { 4096 }

  /// Where the other copies' main arenas have their top chunks.
  func otherTops() throws(ReadFault) -> Set<UInt64> {
    var tops: Set<UInt64> = []
    for copy in copies.others {
      let field = RemoteAddress(copy.mainArena.bits &+ UInt64(copy.arenaLayout.top))
      if let top = try reader.word(at: field) { tops.insert(top) }
    }
    return tops
  }

  /// Whether the segment of a main arena from `start` to `end` is another copy's, as the lists of its
  /// free chunks tell, which lead to the bins of their arena; false if it has none.
  mutating func isOtherSegment(from start: UInt64, to end: UInt64) throws(ReadFault) -> Bool {
    guard !copies.others.isEmpty else { return false }
    var address = start
    var before: UInt64?
    while address < end, end &- address >= 16 {
      if !window.holds(address, 16) {
        _ = try window.move(to: address, holding: 16, limit: end, reader: reader)
      }
      guard let field = window.word(at: address &+ 8) else { return false }
      if field & 1 == 0, let free = before, let isOther = try isOthers(freeChunk: free) {
        return isOther
      }
      let size = field & ~7
      guard size >= 32, size <= end &- address else { return false }
      before = address
      address &+= size
    }
    return false
  }

  /// Whether the list that a free chunk is in belongs to another copy's main arena, nil if it cannot be
  /// followed to any.
  private mutating func isOthers(freeChunk: UInt64) throws(ReadFault) -> Bool? {
    var address = freeChunk
    for _ in 0..<Self.followedLinks where trialHeadersLeft > 0 {
      trialHeadersLeft -= 1
      guard let next = try reader.word(at: RemoteAddress(address &+ 16)) else { return nil }
      if instance.holdsBin(next) { return false }
      if copies.others.contains(where: { $0.holdsBin(next) }) { return true }
      guard next & 15 == 0, data.range(containing: next) != nil else { return nil }
      address = next
    }
    return nil
  }
}

extension MallocCopies {
  /// Has the mmapped chunks of `instance` alone be looked for, if no other copy has any that look like
  /// them; returns how many the others have.
  fileprivate mutating func separate(
    _ instance: MallocInstance, reader: any MemoryReader
  ) throws(ReadFault) -> Int {
    var count = 0
    for other in others where other.hasNewMmapHeader == instance.hasNewMmapHeader {
      if let read = try Parameters(of: other, reader: reader) { count += read.mmapCount }
    }
    mmappers = count == 0 ? [instance] : []
    return count
  }
}

extension MallocInstance {
  /// From glibc 2.43 on the size field of an mmapped chunk leaves out the mapping's last 16 bytes, and bit
  /// 0 of the word before it says that the mapping uses huge pages.
  var hasNewMmapHeader: Bool { arenaLayout == .d }

  /// Whether `address` is that of a bin of the main arena, as lists of free chunks end with.
  fileprivate func holdsBin(_ address: UInt64) -> Bool {
    AddressRange(mainArena, byteCount: UInt64(arenaLayout.byteCount))
      .contains(RemoteAddress(address))
  }
}

extension HeapHints {
  /// What is known of several copies of malloc together.
  package static func joined(_ all: [HeapHints]) -> HeapHints {
    guard var sum = all.first else { return HeapHints() }
    for hints in all.dropFirst() {
      sum.mmapped += hints.mmapped
      sum.mainSegments += hints.mainSegments
      sum.farHeaders = (sum.farHeaders + hints.farHeaders).sorted()
      sum.chunksSeen &+= hints.chunksSeen
      sum.bytesSeen &+= hints.bytesSeen
      sum.bytesCopied &+= hints.bytesCopied
      sum.memory += hints.memory
      sum.arenas += hints.arenas
      sum.heapBytes &+= hints.heapBytes
    }
    return sum
  }
}
