// Puts a synthetic process together: decides where everything lies, then writes it.

import HeapModel

extension SyntheticHeap {
  /// Builds the process that `plan` describes.
  package init(_ plan: SyntheticPlan) {
    var builder = SyntheticBuilder(plan)
    self = builder.build()
  }
}

/// The state of one construction.
struct SyntheticBuilder {
  let plan: SyntheticPlan
  let shape: GlibcShape
  let library: SyntheticLibrary
  var random: SyntheticRandom
  var memory = SyntheticMemory()
  var arenas: [SyntheticArena] = []
  var segments: [SyntheticSegment] = []
  var tcaches: [SyntheticTcache] = []
  var threads: [ThreadState] = []
  var mmapped: [Chunk] = []
  var mmappedMappings: [AddressRange] = []
  var mmappedDrift: UInt64 = 0
  /// `mp_.sbrk_base`.
  var sbrkBase: UInt64 = 0
  /// Addresses that user data likes to hold.
  var pointers: [UInt64] = []
  /// For each arena, the tcaches (by index) whose structures are still to be placed in it.
  var structuresToPlace: [[Int]]
  /// Mappings are handed out below this address, one after the other.
  private var mmapCursor: UInt64
  /// Numbers of the 64 MiB places that thread heaps take, in the order in which they are taken.
  private var heapPlaces: [UInt64]

  init(_ plan: SyntheticPlan) {
    self.plan = plan
    shape = plan.shape
    var random = SyntheticRandom(seed: plan.seed)
    let top = (plan.machine == .amd64 ? 0x7f00_0000_0000 : 0xff00_0000_0000) - plan.distance
    let slide = random.below(0x100) * 0x400_0000
    library = SyntheticLibrary(plan: plan, mmapTop: top + slide, random: &random)
    mmapCursor = top + slide - 0x20_0000
    heapPlaces = (1...64).map { (top + slide) - 0x4000_0000 - $0 * plan.heapMaximum }
    heapPlaces.shuffle(using: &random)
    self.random = random
    structuresToPlace = Array(repeating: [], count: plan.threadArenas.count + 1)
  }

  mutating func build() -> SyntheticHeap {
    library.map(into: &memory)
    placeThreads()
    placeMainArena()
    for place in plan.threadArenas.indices { placeThreadArena(place + 1) }
    placeMmappedChunks()
    collectPointers()
    for segment in segments { write(segment) }
    for index in arenas.indices { writeLists(of: index) }
    for tcache in tcaches { write(tcache) }
    for index in arenas.indices { writeArena(index) }
    writeParameters()
    writeThreadLocals()
    memory.joinNeighbours()
    return SyntheticHeap(
      plan: plan, memory: memory, threads: threads, images: library.images,
      mainArena: RemoteAddress(library.mainArena), parameters: RemoteAddress(library.parameters),
      arenas: arenas, segments: segments, tcaches: tcaches, mmapped: mmapped,
      mmappedMappings: mmappedMappings, mmappedDrift: mmappedDrift)
  }
}

// MARK: - Address space

extension SyntheticBuilder {
  /// Rounds `byteCount` up to whole pages.
  func pages(_ byteCount: UInt64) -> UInt64 {
    (byteCount + plan.pageSize - 1) / plan.pageSize * plan.pageSize
  }

  /// Rounds `byteCount` up to whole pages of the kind that arenas use.
  func arenaPages(_ byteCount: UInt64) -> UInt64 {
    let size = max(plan.pageSize, plan.hugePageSize)
    return (byteCount + size - 1) / size * size
  }

  /// The name of mappings for arenas.
  var arenaMapping: String { plan.hugePageSize > 0 ? "/anon_hugepage" : "" }

  /// A place for a new mapping, often directly below the one before it.
  mutating func placeMapping(_ byteCount: UInt64) -> UInt64 {
    if random.chance(40) { mmapCursor -= plan.pageSize * (1 + random.below(8)) }
    mmapCursor -= byteCount
    return mmapCursor
  }

  /// A place for a thread heap's reservation.
  mutating func placeHeap() -> UInt64 {
    heapPlaces.removeLast()
  }

  /// Whether `hazard` occurs here, with a chance of `percent` if the plan allows it at all.
  mutating func allows(_ hazard: SyntheticPlan.Hazard, _ percent: UInt64) -> Bool {
    random.chance(percent) && plan.hazards.contains(hazard)
  }

  /// A random length of a segment or heap, in whole pages.
  mutating func segmentLength() -> UInt64 {
    pages(random.multiple(of: 0x1000, from: 0x8000, to: max(0x8000, plan.longestSegment)))
  }

  /// Decides where each thread's stack and thread-local memory are, and which tcaches exist.
  private mutating func placeThreads() {
    for (index, thread) in plan.threads.enumerated() {
      let threadPointer: UInt64
      if index == 0 {
        threadPointer = placeMainThread()
      } else {
        let length = max(0x4000, plan.pageSize)
        let start = placeMapping(length + plan.pageSize)
        memory.map(start, plan.pageSize, "---")
        memory.map(start + plan.pageSize, length, "rw-")
        let end = start + plan.pageSize + length
        threadPointer = end - 0xa00
        memory.store(
          words: (0..<64).map { _ in random.chance(50) ? 0 : end - 64 }, at: end - 0x1800)
      }
      var state = ThreadState(
        tid: 4000 + Int32(index), threadPointer: RemoteAddress(threadPointer),
        programCounter: RemoteAddress(library.textAddress + 0x4000 + random.below(0x400)),
        stackPointer: RemoteAddress(threadPointer - 0x1000))
      state.machine = plan.machine
      threads.append(state)
      let home = thread.keepsTcacheInMain ? 0 : thread.arena ?? 0
      if shape.tcache != .none, thread.hasTcache, plan.main != .unused {
        structuresToPlace[home].append(tcaches.count)
        tcaches.append(
          SyntheticTcache(
            thread: index, bins: [[UInt64]](repeating: [], count: shape.tcache == .slots ? 76 : 64))
        )
      }
    }
  }

  private mutating func placeMainThread() -> UInt64 {
    if plan.linkage != .sharedLibrary, usesBreak { return library.breakStart + 0x600 }
    let start = placeMapping(max(0x2000, plan.pageSize))
    memory.map(start, max(0x2000, plan.pageSize), "rw-")
    return start + 0x1740
  }

  /// Whether the main arena has memory from the program break.
  var usesBreak: Bool {
    switch plan.main {
    case .contiguous, .moved(.some, _): true
    case .unused, .moved(nil, _): false
    }
  }

  private mutating func collectPointers() {
    pointers = arenas.flatMap { [$0.address, $0.address + shape.arenaFields.bins] }
    for segment in segments {
      for chunk in segment.chunks where random.chance(10) {
        pointers.append(random.pick([chunk.user, chunk.address, chunk.user + 16, chunk.end]))
      }
    }
    pointers += mmapped.map(\.userAddress.bits) + threads.map(\.stackPointer.bits)
  }
}
