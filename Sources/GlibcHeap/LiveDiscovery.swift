// Finding malloc's state in memory alone: in a library whose file is gone, so that what the state was
// before the program began is not known.

package import HeapModel
package import RemoteMemory

/// The memory of a process in which malloc's state is looked for.
package struct LiveMemory {
  /// How often memory is read at most, since what is there may be made to lead anywhere.
  ///
  /// A process with 512 arenas needs as many reads in each look.
  private static let mostReads = 1 << 18

  private let reader: any MemoryReader
  /// The mappings, ascending.
  private let mappings: [MemoryMapping]
  private let work = Work()

  /// What may still be done.
  private final class Work {
    var readsLeft = LiveMemory.mostReads
  }

  /// Reads the memory that `mappings` name with `reader`.
  package init(_ reader: any MemoryReader, mappings: [MemoryMapping]) {
    self.reader = reader
    self.mappings = mappings.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// The mapping at `address`, nil if there is none.
  private func mapping(at address: RemoteAddress) -> MemoryMapping? {
    var (low, high) = (0, mappings.count)
    while low < high {
      let middle = (low + high) / 2
      if mappings[middle].range.lowerBound <= address { low = middle + 1 } else { high = middle }
    }
    return low > 0 && mappings[low - 1].range.contains(address) ? mappings[low - 1] : nil
  }

  /// The mapping at `address` if it could hold chunks.
  func data(at address: RemoteAddress) -> MemoryMapping? {
    mapping(at: address).flatMap { $0.isPrivateAnonymousData ? $0 : nil }
  }

  /// Whether `address` is that of memory that could hold chunks: mapped so, or mapped since the mappings were
  /// read.
  func mayHoldChunks(_ address: RemoteAddress) -> Bool {
    if let mapping = mapping(at: address) { return mapping.isPrivateAnonymousData }
    return bytes(at: address, count: 8) != nil
  }

  /// The bytes there, nil if they cannot be read: here that tells nothing, and why it is so shows when the heap
  /// is read.
  func bytes(at address: RemoteAddress, count: Int) -> [UInt8]? {
    guard work.readsLeft > 0 else { return nil }
    work.readsLeft -= 1
    return (try? reader.bytes(at: address, count: count)) ?? nil
  }
}

/// A look for the state of the malloc in one file, in memory that may change meanwhile.
struct LiveDiscovery {
  /// How often a look is repeated: what a thread inside malloc changes between two reads, or just then, does
  /// not agree.
  private static var tries: Int { 64 }
  /// How far `mp_` can be from `main_arena`, in bytes: both are data of one object file, with little else.
  private static var reach: UInt64 { 4096 }

  let loaded: LoadedImage
  let memory: LiveMemory

  /// What was found.
  struct Result {
    var arenas: [ArenaCandidate] = []
    var parameters: [(address: UInt64, layout: ParametersLayout)] = []
    /// The only `mp_`, nil if there is none or more than one.
    var onlyParameters: (address: UInt64, layout: ParametersLayout)? {
      parameters.count == 1 ? parameters.first : nil
    }
  }

  /// Looks until exactly one `main_arena` and exactly one `mp_` are found, or for some time.
  func look() -> Result {
    let places = places()
    var result = Result()
    guard !places.isEmpty else { return result }
    for _ in 0..<Self.tries where result.arenas.count != 1 {
      result.arenas = places.compactMap(arena)
    }
    guard let arena = result.arenas.first, result.arenas.count == 1 else { return result }
    for _ in 0..<Self.tries where result.parameters.count != 1 {
      result.parameters = parameters(near: arena)
    }
    return result
  }

  // MARK: main_arena

  /// A place where an arena would be whose pointer to the next one, initially to itself, is a word that the
  /// loader relocated.
  private struct Place: Hashable {
    var address: UInt64
    var distance: UInt64
  }

  /// Relocated words that point back by the distance of an arena's `next`, or to where a thread arena can
  /// be: the main arena's leads to the newest of those.
  private func places() -> [Place] {
    var places: Set<Place> = []
    let distances = Set([ArenaLayout.a, .b, .c, .d].map { UInt64($0.next) })
    for relocation in loaded.image.relativeRelocations {
      let (distance, underflow) = relocation.place.subtractingReportingOverflow(relocation.target)
      if !underflow, distances.contains(distance) {
        places.insert(Place(address: relocation.target, distance: distance))
      } else if Self.mayBeThreadArena(loaded.address(of: relocation.target)) {
        for distance in distances where relocation.place >= distance {
          places.insert(Place(address: relocation.place - distance, distance: distance))
        }
      }
    }
    return places.filter { $0.address % 8 == 0 }.sorted { $0.address < $1.address }
  }

  /// Whether a thread arena can be at `address`: behind the header at its heap's start.
  private static func mayBeThreadArena(_ address: RemoteAddress) -> Bool {
    [0x20, 0x30].contains(address.bits & 0xfff)
  }

  /// The arena at `place`, nil if what memory has there is none, or one of two layouts that cannot be told
  /// apart.
  private func arena(at place: Place) -> ArenaCandidate? {
    let address = loaded.address(of: place.address)
    for layout in [ArenaLayout.d, .c, .b, .a] where UInt64(layout.next) == place.distance {
      guard let bytes = bytes(at: address, count: layout.byteCount) else { return nil }
      let arena = Arena(address: address, layout: layout, bytes: bytes)
      // With the break, it shows in the parameters which word is `system_mem`.
      if layout == .a, !arena.isContiguous, mayCountThreads(arena) { return nil }
      if arena.isPlausible, hasPlausibleTop(arena), hasLinkedBins(arena), closesRing(arena) {
        return ArenaCandidate(address: place.address, layout: layout)
      }
    }
    return nil
  }

  /// Whether an arena that seems not to count its threads may do so, and have very many.
  private func mayCountThreads(_ arena: Arena) -> Bool {
    guard let bytes = bytes(at: arena.address, count: ArenaLayout.b.byteCount) else { return true }
    let other = Arena(address: arena.address, layout: .b, bytes: bytes)
    return other.systemBytes > 0 && other.systemBytes <= other.maxSystemBytes
  }

  /// Whether the arenas that follow lead back to it.
  private func closesRing(_ arena: Arena) -> Bool {
    var seen: Set<UInt64> = []
    var next = arena.next
    while next != arena.address {
      guard seen.count < HeapWalk.arenaLimit, seen.insert(next.bits).inserted,
        Self.mayBeThreadArena(next), memory.mayHoldChunks(next),
        let place = next.advanced(by: UInt64(arena.layout.next)), let word = word(at: place)
      else { return false }
      next = RemoteAddress(word)
    }
    return true
  }

  /// Whether the top chunk can be one by its address: what it holds changes all the time.
  private func hasPlausibleTop(_ arena: Arena) -> Bool {
    if arena.hasNoMemory { return arena.systemBytes == 0 }
    return arena.systemBytes > 0 && arena.top.bits % 16 == 0 && memory.mayHoldChunks(arena.top)
  }

  /// How many bins may look wrong: of those that a thread is changing.
  private static var changingBins: Int { 2 }
  /// How many bins are expected to be empty; if fewer are, of as many others chunks are looked at.
  private static var emptyBins: Int { 16 }

  /// Whether the bins are empty, as they show by pointing to themselves, or lead to where chunks can be.
  ///
  /// Without memory all are empty. Before anything was allocated they can be zero, up to 2.26 as long as they
  /// were not used.
  private func hasLinkedBins(_ arena: Arena) -> Bool {
    let mayBeZero = arena.hasNoMemory || arena.layout == .a || arena.layout == .b
    var wrong = 0
    var empty = 0
    var used: [(bin: Int, first: UInt64, last: UInt64)] = []
    for bin in ArenaLayout.binNumbers {
      guard let (first, last) = arena.ends(ofBin: bin) else {
        if arena.isZero(bin: bin), !mayBeZero { wrong += 1 } else { empty += 1 }
        continue
      }
      let places = [RemoteAddress(first), RemoteAddress(last)]
      if places.allSatisfy({ $0.bits % 16 == 0 && memory.mayHoldChunks($0) }) {
        used.append((bin, first, last))
      } else {
        wrong += 1
      }
    }
    if arena.hasNoMemory { return used.isEmpty && wrong == 0 }
    guard wrong <= Self.changingBins else { return false }
    if empty >= Self.emptyBins { return true }
    let leadingBack = used.prefix(Self.emptyBins).count { bin, first, last in
      let head = arena.pseudoChunk(ofBin: bin).bits
      return word(at: RemoteAddress(first &+ 24)) == head
        && word(at: RemoteAddress(last &+ 16)) == head
    }
    return leadingBack > Self.emptyBins / 2
  }

  // MARK: mp_

  /// The places near the arena that hold what `mp_` can hold; all is read at once, with the arena.
  private func parameters(
    near candidate: ArenaCandidate
  ) -> [(address: UInt64, layout: ParametersLayout)] {
    let own = candidate.address
    let arenaEnd = own &+ UInt64(candidate.layout.byteCount)
    guard
      let segment = loaded.image.segments.first(where: { segment in
        segment.isWritable && segment.virtualAddress <= own
          && own - segment.virtualAddress < segment.fileSize
      })
    else { return [] }
    let start = max(segment.virtualAddress, own - min(own, Self.reach)) & ~7
    let end = min(segment.virtualAddress &+ segment.fileSize, arenaEnd &+ Self.reach)
    // A segment may reach to the end of all addresses.
    guard start <= own, own < arenaEnd, arenaEnd <= end,
      let bytes = bytes(at: loaded.address(of: start), count: Int(end - start))
    else { return [] }
    let arenaBytes = bytes[Int(own - start)..<Int(arenaEnd - start)]
    let arena = Arena(
      address: loaded.address(of: own), layout: candidate.layout, bytes: Array(arenaBytes))
    let topEnd = arena.hasNoMemory ? nil : endOfTop(arena)
    let copied = CopiedBytes(bytes)
    var found: [(address: UInt64, layout: ParametersLayout)] = []
    for offset in stride(from: 0, to: bytes.count, by: 8) {
      let address = start &+ UInt64(offset)
      let layout = choices(for: candidate.layout).first { layout in
        // Not within the arena.
        guard address &+ UInt64(layout.byteCount) <= own || address >= arenaEnd else {
          return false
        }
        let parameters = LiveParameters(copied, at: offset, layout)
        return parameters.isPlausible && holds(parameters, of: arena, topEnd)
      }
      if let layout { found.append((address, layout)) }
    }
    return found
  }

  /// Where the top chunk ends, nil if there is no such chunk: the one before it is always in use.
  private func endOfTop(_ arena: Arena) -> UInt64? {
    guard let place = arena.top.advanced(by: 8), let field = word(at: place),
      field & 0b1111 == 1, field >= 16
    else { return nil }
    return arena.top.bits &+ (field & ~7)
  }

  /// The shapes that there are with an arena layout.
  ///
  /// libc, which holds a banner, has had tcache since the layouts that have its fields. Of its own files only
  /// libc_malloc_debug, since 2.34, has malloc and no banner; its malloc has no tcache, and what follows its
  /// parameters can be anything. Tcache came with 2.26, and to no earlier version's branch.
  private func choices(for layout: ArenaLayout) -> [ParametersLayout] {
    let isLibc = loaded.image.glibcBanner != nil
    switch layout {
    case .d: return isLibc ? [.v243] : [.v243Debug]
    case .c: return isLibc ? [.v235, .v226] : [.v235Debug, .v224]
    default:
      let minor = loaded.image.glibcBanner?.split(separator: ".").dropFirst().first.flatMap {
        Int($0)
      }
      guard let minor else { return [] }
      return minor >= 26 ? [.v226] : [.v224, .v217]
    }
  }

  /// Whether `sbrk_base` is where the memory of `arena` begins.
  ///
  /// An arena with the program break ends its top chunk `system_mem` bytes behind it, to the byte. Without
  /// memory, only values that nobody changed tell `mp_` from other words.
  private func holds(
    _ parameters: LiveParameters, of arena: Arena, _ topEnd: UInt64?
  ) -> Bool {
    let base = parameters.sbrkBase
    if arena.hasNoMemory {
      return base == 0 && (parameters.isInitial || parameters.hasInitialCache)
    }
    let first = RemoteAddress(base).alignedUp(to: 16)
    guard base != 0, let mapping = memory.data(at: first) else { return false }
    if arena.isContiguous {
      let end = base &+ arena.systemBytes
      return end == topEnd || end == mapping.range.upperBound.bits
    }
    guard let field = first.advanced(by: 8).flatMap(word) else { return false }
    let size = field & ~7
    return field & 0b1011 == 1 && size >= 32 && size % 16 == 0
      && size <= mapping.range.upperBound.bits &- first.bits
  }

  // MARK: Reading

  private func word(at address: RemoteAddress) -> UInt64? {
    bytes(at: address, count: 8).flatMap { CopiedBytes($0).word(at: 0) }
  }

  private func bytes(at address: RemoteAddress, count: Int) -> [UInt8]? {
    memory.bytes(at: address, count: count)
  }
}

extension Arena {
  /// Whether its fields can be an arena's, each for itself.
  ///
  /// Its memory need not be a number of pages, nor of words: the break may begin anywhere, as where the
  /// loader of 2.31 has copied tunables.
  fileprivate var isPlausible: Bool {
    systemBytes <= maxSystemBytes && maxSystemBytes < 1 << 56 && hasPlausibleHeader
      && hasPlausibleThreads
  }

  /// Where threads are not counted, the word that counts them in a layout that is else the same is
  /// `system_mem`: at least a page, which is more than there are threads.
  private var hasPlausibleThreads: Bool {
    guard let attachedThreads else {
      return hasNoMemory || systemBytes >= 4096
    }
    if attachedThreads == 0 { return !hasNoMemory }
    return (0..<(layout == .b ? 4096 : 1 << 22)).contains(attachedThreads)
  }
}
