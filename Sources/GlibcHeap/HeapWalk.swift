// One walk over everything that one malloc holds, reading as it goes.

package import HeapModel
package import RemoteMemory

/// What a walk is asked for.
package struct WalkOptions: Sendable {
  /// What part of the heap to look at.
  package enum Scope: Hashable, Sendable {
    /// All of it.
    case everything
    /// One arena, by its index.
    case arena(Int)
    /// One copy of malloc, by its number among those that hold memory.
    case malloc(Int)
    /// The mmapped chunks alone.
    case mmapped
  }

  /// The target's page size in bytes.
  package var pageSize: UInt64
  /// Whether every chunk is to be kept, not only counted.
  package var collectsChunks: Bool
  /// Which of them, nil for all.
  package var sample: ChunkSample?
  /// Whether the words that may be pointers into the heap are wanted, for which all of it is read.
  package var collectsReferences = false
  /// What part of the heap to look at.
  package var scope: Scope
  /// Whether glibc was told to tag memory (aarch64, 2.33 to 2.43: the tunable `glibc.mem.tagging`).
  package var tagsMemory = false
  /// How many pages one search through memory of unknown use may look at.
  ///
  /// The default is 4 GiB of 4-KiB pages, which is for a target that is stopped.
  package var searchedPages = 1 << 20

  /// Makes options; the page size must be a power of two.
  package init(
    pageSize: UInt64 = 4096, collectsChunks: Bool = false, scope: Scope = .everything
  ) {
    self.pageSize = pageSize
    self.collectsChunks = collectsChunks
    self.scope = scope
  }
}

/// Walks the arenas, thread caches and mmapped chunks of one malloc.
///
/// Memory is read in the order of its addresses through one window that is reused, so that the walk
/// needs a few MiB whatever the heap's size, and what it reads is still in the processor's cache when
/// it is looked at. The target is stopped meanwhile, or, with a `WalkPacing`, stopped anew every so
/// often; whatever does not agree becomes a finding.
package struct HeapWalk: ~Copyable {
  let instance: MallocInstance
  /// What is known of the other copies of malloc in the process.
  let copies: MallocCopies
  let reader: any MemoryReader
  let options: WalkOptions
  /// Nil if everything is read in one stop.
  let pacing: (any WalkPacing)?
  let hints: HeapHints

  // What changes from one stop to the next.
  /// All threads, and those whose registers are those of this malloc's machine.
  var allThreads: [ThreadState] = []
  var threads: [ThreadState] = []
  var data: DataRanges
  /// Whether the mappings were read once more because something led elsewhere.
  var hasDoubtedData = false
  var parameters: Parameters
  /// What glibc itself counts of the mmapped chunks that are looked for.
  var mmapTotals: MmapTotals
  var progress = WalkProgress()
  /// The arena that is being walked, as it is in the present stop.
  var arena: Arena
  /// When the arenas were read, when walking this one began, and when it was last seen to change.
  var ringMoment = 0
  var arenaMoment = 0
  var changeMoment = 0
  /// The last stop in which the mappings were read because an arena had grown too much.
  var growthMoment: Int?
  /// How many bytes of chunks of the present arena are walked at most.
  var walkedLimit: UInt64 = .max

  var window: Window
  /// For looks aside while `window` stays where the walk is.
  var probe: Window
  /// Steps that looks aside may still take outside of `probe`, so that damage cannot make the walk
  /// slower than by a fixed amount.
  var probeMovesLeft = 20_000
  /// Steps that may still be made inside chunks whose size may be wrong: 64 MiB.
  var insideStepsLeft = 1 << 22
  /// Steps that may still be made to find the end of a rest without header: 64 MiB.
  var restStepsLeft = 1 << 22
  /// Looks at what threads have in their hands, and at lists' neighbours, that are left for the present arena in
  /// this stop.
  var looksLeft = 0
  /// The first of the unsorted bin of the present arena, if it is marked.
  var markedUnsorted: UInt64?
  /// Looks at the contents of chunks that findings name.
  var glimpsesLeft = 200
  /// Chunks of the present arena that were named because they overran the header behind them.
  var namedOverruns: Set<UInt64> = []
  /// Whether the mutex of the arena being walked is held.
  var isArenaLocked = false
  /// Whether a chunk that was being cut in two was met in this stop: a mutex is held by one thread.
  var hasMetCut = false
  /// Whether any thread was inside malloc, or in what that had called, in the first stop.
  var isAnyInside = false
  /// How many bytes more the present arena's top chunk states than there are, in two's complement: it
  /// is the last to learn that the arena has grown or shrunk.
  var topLag: UInt64 = 0
  /// Headers that may still be followed to find out where segments of the main arena are.
  var trialHeadersLeft = 1 << 22
  /// Whether the last such try ended at a page that is swapped out.
  var trialMetSwapped = false
  /// The bins of arenas whose links do not agree with what was walked.
  var binLists: [BinLists] = []
  /// The chunks in the present arena's fastbins, if it is read in more than one stop.
  var fastbinSets: FastbinSets?
  /// How many chunks that may be in a fastbin are kept of the arenas walked before.
  var keptCandidates = 0
  /// The rest of a chunk that is being cut in two, in the present arena, that has no header yet.
  var headerlessRest: AddressRange?
  /// What threads inside malloc have in their hands.
  var knownHands: Hands?
  /// Whether malloc tags memory.
  var tagsMemory = false
  /// Where its fastbins have begun, of a target that runs.
  var liveHeads: [FastbinHead] = []
  /// Whether chunks that may be tcache structures are noted, since the threads do not lead to all.
  var watchesCaches = false
  /// The threads of which was said that their caches are not known.
  var unknownThreads: Set<Int32> = []
  /// The thread caches as the present stop, or one before, has shown them, and the stop of `marks`.
  var knownCaches: KnownCaches?
  var cachesMoment = -1
  /// Headers that are read many at once.
  var farHeaders: FarHeaders
  /// Heaps found by their headers alone, by their arena's address; nil before they were searched.
  var strayHeaps: [UInt64: [Heap]]?
  /// Pages in which chunks that memalign had aligned may still be searched one by one: 16 GiB.
  var pagesLeft = 1 << 22
  var log = FindingLog()
  var checks: [Check] = []
  var sizes: SizeTable
  var scan = ChainScan(
    ground: ChainScan.Ground(arena: 0, boundary: 0, forbiddenFlags: 0))
  var duplicateMarks: [UInt64] = []
  var marks: Marks
  var linking = ListLinking.masked
  var isLinkingDecided = false
  /// What else memory told of the layout.
  var readings = MallocReadings()
  /// The reservations and segments that chunks of arenas lie in.
  var arenaMemory: [AddressRange] = []
  /// What thread arenas have reserved for their heaps.
  var reservations: [AddressRange] = []
  /// Segments of a main arena without the program break that were found beside those in `hints`.
  var foundSegments: [AddressRange] = []
  /// Where other copies of malloc have the top chunks of their main arenas.
  var foreignTops: Set<UInt64> = []
  /// The heaps of each thread arena, by the arena's address.
  var heaps: [RemoteAddress: [Heap]] = [:]

  init(
    instance: MallocInstance, reader: any MemoryReader, data: DataRanges,
    threads: [ThreadState], options: WalkOptions, hints: HeapHints, parameters: Parameters,
    buffers: consuming WalkBuffers, pacing: (any WalkPacing)?, copies: MallocCopies? = nil
  ) {
    self.instance = instance
    self.copies = copies ?? MallocCopies(alone: instance)
    mmapTotals = MmapTotals(of: parameters)
    self.reader = reader
    self.options = options
    self.pacing = pacing
    arena = Arena(address: instance.mainArena, layout: instance.arenaLayout, bytes: [])
    self.data = data
    self.hints = hints
    self.parameters = parameters
    let beginnings = buffers.beginnings
    farHeaders = FarHeaders(hints.farHeaders, keepsBeginnings: beginnings != nil)
    scan.chunks = ChunkStore(options.sample, beginnings: beginnings)
    window = buffers.window
    probe = buffers.probe
    sizes = buffers.sizes
    window.pageSize = max(4096, options.pageSize)
    probe.pageSize = window.pageSize
    marks = Marks([], duplicates: &duplicateMarks)
    arenaMemory = self.copies.otherMemory
    setThreads(threads)
    if pacing != nil {
      // Room that is not touched costs nothing; growing a large array in a stop would.
      scan.freeChunks.reserveCapacity(ChainScan.freeChunkLimit)
      scan.fastbinCandidates.reserveCapacity(ChainScan.fastbinCandidateLimit)
    }
  }

  /// Walks the heap of `instance` and returns what it holds.
  ///
  /// - Throws: the reader's faults other than `unmapped`: memory that cannot be read is a finding.
  package static func snapshot(
    of instance: MallocInstance, reader: any MemoryReader, mappings: [MemoryMapping],
    threads: [ThreadState], options: WalkOptions, hints: HeapHints = HeapHints()
  ) throws(ReadFault) -> HeapSnapshot {
    var collected = try collect(
      of: instance, reader: reader, data: DataRanges(mappings), threads: threads, options: options,
      hints: hints, buffers: WalkBuffers())
    return collected.snapshot()
  }

  /// Reads and walks the heap of `instance`, and leaves for later what needs no more of the target.
  ///
  /// `hints` from an earlier look at the same process save searching; each is verified. `data` and
  /// `buffers` are best made before the target is stopped. With `pacing`, the walk goes on in as many stops as that
  /// has it make, and takes up each where the one before ended.
  ///
  /// - Throws: the reader's faults other than `unmapped`: memory that cannot be read is a finding.
  package static func collect(
    of instance: MallocInstance, reader: any MemoryReader, data: DataRanges,
    threads: [ThreadState], options: WalkOptions, hints: HeapHints,
    buffers: consuming WalkBuffers, pacing: (any WalkPacing)? = nil
  ) throws(ReadFault) -> CollectedHeap {
    guard let parameters = try Parameters(of: instance, reader: reader) else {
      return CollectedHeap(unreadableSnapshot(of: instance))
    }
    var walk = HeapWalk(
      instance: instance, reader: reader, data: data, threads: threads, options: options,
      hints: hints, parameters: parameters, buffers: buffers, pacing: pacing)
    return try walk.run()
  }

  /// Whether `instance` has ever obtained memory: of several copies of malloc in a process, most have
  /// not.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  package static func hasMemory(
    _ instance: MallocInstance, reader: any MemoryReader
  ) throws(ReadFault) -> Bool {
    guard let parameters = try Parameters(of: instance, reader: reader) else { return false }
    if parameters.sbrkBase != 0 || parameters.mmapCount != 0 { return true }
    // Of a copy that was used by other threads than the first, the main arena may be empty.
    let next = RemoteAddress(instance.mainArena.bits &+ UInt64(instance.arenaLayout.next))
    return try reader.word(at: next).map { $0 != 0 && $0 != instance.mainArena.bits } ?? false
  }

  /// Looks where the mmapped chunks and the segments of a main arena without program break are, so
  /// that a later walk of a stopped target need not search for them.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  package static func survey(
    of instance: MallocInstance, reader: any MemoryReader, mappings: [MemoryMapping],
    options: WalkOptions
  ) throws(ReadFault) -> HeapHints {
    try survey(of: [instance], reader: reader, mappings: mappings, options: options)[0]
  }

  static func unreadableSnapshot(of instance: MallocInstance) -> HeapSnapshot {
    var snapshot = HeapSnapshot()
    snapshot.findings = [
      Finding(
        .unreadable, at: instance.parameters,
        "malloc's parameters cannot be read; nothing was walked")
    ]
    snapshot.systemAndMmappedBytes = 1
    return snapshot
  }

  /// Walks everything that the options ask for; a target in stops stands still afterwards if there is
  /// another copy of malloc to walk.
  mutating func run() throws(ReadFault) -> CollectedHeap {
    var arenas = try readRing()
    try reportMovement(arenas)
    reportEmulation()
    if let main = arenas.first { tagsMemory = isTaggingMemory(main: main) }
    let heldWords = try heldWords()
    try locateMemory(of: arenas)
    try markThreadCaches(heads: arenas.flatMap(\.fastbinHeads))
    pacing?.beginWork()
    // A child of a process with threads has their arenas and their tcaches, but one thread. Elsewhere
    // there are none that no thread has but for a moment.
    watchesCaches = isLive || arenas.count > threads.count
    var collected = CollectedHeap(HeapSnapshot())
    collected.heldWords = heldWords
    collected.keepsChunks = options.collectsChunks
    var index = 0
    while index < arenas.count {
      if includes(arena: copies.firstArena + index) {
        let summary = try walk(arenas[index], index: copies.firstArena + index)
        collected.add(summary)
        try keepFastbins(of: summary, in: &collected)
      }
      index += 1
      if index == arenas.count { arenas += try newArenas(since: arenas) }
    }
    if includesMmapped { try addMmapped(to: &collected) }
    if options.collectsReferences { try collectReferences(in: &collected) }
    // Nobody changes the caches of threads that are not there.
    if !isLive, copies.isLast { pacing?.letRun() }
    collected.arenaEnd = copies.firstArena + arenas.count
    collected.sizes = sizes
    if watchesCaches { try findThreadCaches(for: &collected) }
    let isWanted = (copies.firstArena..<collected.arenaEnd).contains { includes(arena: $0) }
    collected.partial.mallocs = isWanted ? [summary(of: arenas)] : []
    reportProgress()
    collected.log = log
    collected.chunks = scan.chunks
    collected.fastbinChunks = scan.fastbinChunks
    collected.partial.checks = checks
    collected.partial.resynchronisations = progress.resynchronisations
    collected.binLists = binLists
    collected.marks = marks
    collected.data = data
    collected.threadCount = threads.count
    return collected
  }

  private func includes(arena index: Int) -> Bool {
    switch options.scope {
    case .everything: true
    case .arena(let only): only == index
    case .malloc(let only): only == copies.index
    case .mmapped: false
    }
  }

  private var includesMmapped: Bool {
    if copies.mmappers.isEmpty { return false }
    return switch options.scope {
    case .everything, .mmapped: true
    case .arena: false
    case .malloc(let only): only == copies.index
    }
  }

  private func summary(of arenas: [Arena]) -> MallocSummary {
    var summary = MallocSummary(
      index: copies.index, copies: copies.others.count + 1, path: instance.path,
      glibcVersion: instance.glibcVersion,
      arenaLayout: instance.arenaLayout.name, mainArena: instance.mainArena,
      arenas: copies.firstArena..<copies.firstArena + arenas.count,
      mmapped: Tally(count: parameters.mmapCount, bytes: parameters.mmappedBytes),
      readings: readings(arenas))
    summary.machine = instance.machine
    return summary
  }

  /// Gives the memory that it has worked with to another walk.
  consuming func takeBuffers() -> WalkBuffers {
    WalkBuffers(
      window: window, probe: probe,
      beginnings: copies.isLast ? nil : scan.chunks.beginnings?.another())
  }
}

/// The memory that a walk works with, touched when made.
package struct WalkBuffers: ~Copyable {
  /// The most that is read at once, in bytes: more is no faster, and leaves the processor's cache.
  package static let largestRead = 512 << 10

  var window: Window
  var probe = Window(capacity: 128 << 10)
  var sizes = SizeTable()
  /// Where the first bytes of chunks are kept, nil if they are not wanted.
  let beginnings: ChunkBeginnings?

  /// Allocates it: about two MiB.
  ///
  /// At most `largestRead` bytes are read at once. With `beginnings`, the first bytes of chunks in use are
  /// kept there, and that all chunks are kept is asked for, too.
  package init(largestRead: Int = Self.largestRead, beginnings: ChunkBeginnings? = nil) {
    self.beginnings = beginnings
    window = Window(capacity: min(largestRead, Self.largestRead), readsAhead: true)
  }

  init(window: consuming Window, probe: consuming Window, beginnings: ChunkBeginnings?) {
    self.beginnings = beginnings
    self.window = window
    self.probe = probe
    self.window.forget()
    self.probe.forget()
  }
}

/// Where to look first: what an earlier, unstopped look found.
package struct HeapHints: Sendable {
  /// Mmapped chunks.
  package var mmapped: [MmappedChunk] = []
  /// Segments of a main arena that is not contiguous.
  package var mainSegments: [AddressRange] = []
  /// Large chunks behind large chunks: their headers' addresses, ascending.
  package var farHeaders: [UInt64] = []
  /// The word that marks chunks in any tcache, 0 if none was found.
  package var tcacheKey: UInt64 = 0
  /// How many chunks the look met, their bytes, and how many bytes were copied for that: a sample.
  package var chunksSeen: UInt64 = 0
  package var bytesSeen: UInt64 = 0
  package var bytesCopied: UInt64 = 0
  /// The memory of the arenas, but for segments of the main arena that are mappings.
  package var memory: [AddressRange] = []
  /// Where the arenas are.
  package var arenas: [RemoteAddress] = []
  /// What the arenas and the mmapped chunks have from the kernel, in bytes.
  package var heapBytes: UInt64 = 0
  /// All memory that is this copy of malloc's, reserved for heaps or in use.
  var ownMemory: [AddressRange] = []

  /// Makes empty hints.
  package init() {}
}

extension ArenaSummary {
  /// What was attributed, in bytes.
  var accountedBytes: UInt64 {
    headerBytes &+ inUse.bytes &+ free.bytes &+ cached.bytes &+ tcacheStructures.bytes
      &+ topBytes &+ foreignBytes
  }
}
