// What one walk over a process's malloc heap found.

/// One arena with everything that it holds.
package struct ArenaSummary: Hashable, Sendable {
  /// Whether it is the one that uses the program break.
  package enum Kind: String, Sendable {
    case main
    case thread
  }

  /// Its place in the ring of arenas, in which 0 is the main arena.
  ///
  /// The arenas of a further copy of malloc are counted on from there.
  package var index: Int
  /// Where its `malloc_state` lies.
  package var address: RemoteAddress
  /// Main or thread.
  package var kind: Kind
  /// The memory that holds its chunks: a thread arena's heaps, oldest first, or the main arena's
  /// segments, ascending.
  package var segments: [AddressRange] = []
  /// `system_mem`: what it obtained from the kernel and holds, in bytes.
  package var systemBytes: UInt64 = 0
  /// Chunks held by the program, without mmapped ones.
  package var inUse = Tally()
  /// Chunks in bins.
  package var free = Tally()
  /// Chunks in tcaches and fastbins.
  package var cached = Tally()
  /// Where its top chunk begins, nil if it has none.
  package var topAddress: RemoteAddress?
  /// Its top chunk's size in bytes.
  package var topBytes: UInt64 = 0
  /// tcache structures kept in it.
  package var tcacheStructures = Tally()
  /// Arena and heap headers, fenceposts and alignment gaps, in bytes.
  package var headerBytes: UInt64 = 0
  /// Gaps that others' use of the program break left, counted into `systemBytes` by glibc.
  package var foreignBytes: UInt64 = 0
  /// Bytes within segments that could not be attributed to any chunk.
  package var unaccountedBytes: UInt64 = 0
  /// How many threads use it, nil where the layout has no such field (before glibc 2.23).
  package var attachedThreads: Int?
  /// Whether its mutex was held when it was read.
  package var isLocked = false

  /// Makes an arena of which nothing is known yet.
  package init(index: Int, address: RemoteAddress, kind: Kind) {
    self.index = index
    self.address = address
    self.kind = kind
  }
}

/// The heap as one walk found it.
package struct HeapSnapshot: Sendable {
  /// The arenas in ring order, the main arena first; those of several copies of malloc one copy after
  /// the other.
  package var arenas: [ArenaSummary] = []
  /// The copies of malloc whose heaps these are; a copy none of whose arenas was wanted is left out.
  package var mallocs: [MallocSummary] = []
  /// Chunks with a mapping of their own.
  package var mmapped = Tally()
  /// Those of them that a tcache keeps (glibc 2.43 on, if asked for by a tunable).
  package var mmappedCached = Tally()
  /// The histogram, ascending by size, mmapped chunks included.
  package var sizes: [SizeClass] = []
  /// Every chunk, ascending by address, if they were asked for.
  package var chunks: [Chunk] = []
  /// The words of the heap that may be pointers into it, ascending by place, if they were asked for.
  package var references: [HeapReference] = []
  /// glibc's accounting against ours.
  package var checks: [Check] = []
  /// What was not as it should be.
  package var findings: [Finding] = []
  /// How often chunks had moved from where the walk was to go on in another stop.
  package var resynchronisations = 0
  /// Findings beyond the number that is kept.
  package var suppressedFindings = 0
  /// `system_mem` of all arenas and `mmapped_mem`, in bytes.
  package var systemAndMmappedBytes: UInt64 = 0
  /// The part of it that was attributed.
  package var accountedBytes: UInt64 = 0

  /// Makes an empty snapshot.
  package init() {}

  /// Chunks held by the program, mmapped ones included.
  package var inUse: Tally {
    var tally = arenas.reduce(into: mmapped) { $0 += $1.inUse }
    tally.count &-= mmappedCached.count
    tally.bytes &-= mmappedCached.bytes
    return tally
  }
  /// Chunks in bins.
  package var free: Tally { arenas.reduce(into: Tally()) { $0 += $1.free } }
  /// Chunks in tcaches and fastbins.
  package var cached: Tally { arenas.reduce(into: mmappedCached) { $0 += $1.cached } }
  /// `system_mem` of all arenas, in bytes.
  package var systemBytes: UInt64 { arenas.reduce(0) { $0 &+ $1.systemBytes } }
  /// The top chunks, in bytes.
  package var topBytes: UInt64 { arenas.reduce(0) { $0 &+ $1.topBytes } }

  /// The fraction of system and mmapped bytes that was accounted for, from 0 to 1.
  package var coverage: Double {
    guard systemAndMmappedBytes > 0 else { return 1 }
    return min(1, Double(accountedBytes) / Double(systemAndMmappedBytes))
  }

  /// Whether something is missing from it, so that the run ends with exit code 2.
  package var isIncomplete: Bool {
    findings.contains(where: \.meansIncomplete) || suppressedFindings > 0
  }
}
