// What is known of each copy of malloc in a process.

/// One copy of glibc's malloc that was walked.
///
/// A process has more than one if it loaded libc into several namespaces (`dlmopen`), if a static
/// program loaded a library, or if malloc's debugging library is preloaded.
package struct MallocSummary: Hashable, Sendable {
  /// Its number among the copies that hold memory, from 0 on.
  package var index: Int
  /// How many copies hold memory.
  package var copies: Int
  /// The file that it is in, as the target names it.
  package var path: String
  /// The machine that the file is for.
  package var machine = ELFImage.Machine.amd64
  /// The version that the file states, nil if it states none.
  package var glibcVersion: String?
  /// Which layout its arenas were read with: A, B, C or D.
  package var arenaLayout: String
  /// Where its `main_arena` lies.
  package var mainArena: RemoteAddress
  /// The indices of its arenas.
  package var arenas: Range<Int>
  /// Its mmapped chunks by its own count (`n_mmaps`, `mmapped_mem`): by their looks, those of several
  /// copies cannot be told apart.
  package var mmapped: Tally
  /// What its memory tells of its layout.
  package var readings: MallocReadings

  /// Makes a summary.
  package init(
    index: Int, copies: Int, path: String, glibcVersion: String?, arenaLayout: String,
    mainArena: RemoteAddress, arenas: Range<Int>, mmapped: Tally,
    readings: MallocReadings = MallocReadings()
  ) {
    self.index = index
    self.copies = copies
    self.path = path
    self.glibcVersion = glibcVersion
    self.arenaLayout = arenaLayout
    self.mainArena = mainArena
    self.arenas = arenas
    self.mmapped = mmapped
    self.readings = readings
  }
}

extension HeapSnapshot {
  /// The arenas of one copy of malloc, as far as they were walked.
  package func arenas(of malloc: MallocSummary) -> [ArenaSummary] {
    arenas.filter { malloc.arenas.contains($0.index) }
  }

  /// The copy of malloc that an arena belongs to.
  package func malloc(of arena: ArenaSummary) -> MallocSummary? {
    mallocs.first { $0.arenas.contains(arena.index) }
  }

  /// Adds what the walk of another copy of malloc found in the same process.
  package mutating func add(_ other: HeapSnapshot) {
    arenas += other.arenas
    mallocs += other.mallocs
    mmapped += other.mmapped
    mmappedCached += other.mmappedCached
    sizes = SizeClass.sum(sizes, other.sizes)
    // Both ascend; only where memory of the two is interleaved is there anything to sort.
    let isAscending =
      chunks.isEmpty || other.chunks.isEmpty
      || chunks[chunks.count - 1].userAddress < other.chunks[0].userAddress
    chunks += other.chunks
    if !isAscending { chunks.sort { $0.userAddress < $1.userAddress } }
    references += other.references
    if !references.isEmpty { references.sort { $0.place < $1.place } }
    checks += other.checks
    findings += other.findings
    resynchronisations += other.resynchronisations
    suppressedFindings += other.suppressedFindings
    systemAndMmappedBytes &+= other.systemAndMmappedBytes
    accountedBytes &+= other.accountedBytes
  }
}

extension SizeClass {
  /// Two histograms, each ascending by size, as one.
  static func sum(_ left: [SizeClass], _ right: [SizeClass]) -> [SizeClass] {
    guard !left.isEmpty else { return right }
    guard !right.isEmpty else { return left }
    var sum: [SizeClass] = []
    sum.reserveCapacity(max(left.count, right.count))
    var (first, second) = (left[...], right[...])
    while let one = first.first, let other = second.first {
      if one.size == other.size {
        sum.append(
          SizeClass(
            size: one.size, inUse: one.inUse &+ other.inUse, free: one.free &+ other.free,
            cached: one.cached &+ other.cached))
      } else {
        sum.append(one.size < other.size ? one : other)
      }
      if one.size <= other.size { first.removeFirst() }
      if other.size <= one.size { second.removeFirst() }
    }
    return sum + first + second
  }
}
