// Where the heaps of thread arenas are, by their headers or, where those are gone, by a search.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// One heap of a thread arena: what its header says.
  struct Heap {
    var start: UInt64
    var size: UInt64
    var previous: UInt64
    /// What is reserved for it, in bytes.
    var maximum: UInt64
    var range: AddressRange { AddressRange(RemoteAddress(start), byteCount: size) }

    /// Makes a heap, nil if it cannot have that size.
    init?(start: UInt64, size: UInt64, previous: UInt64, maximum: UInt64) {
      guard size >= 64, size <= maximum, size % 16 == 0 else { return nil }
      self.start = start
      self.size = size
      self.previous = previous
      self.maximum = maximum
    }
  }

  mutating func walkHeaps(_ summary: inout ArenaSummary) throws(ReadFault) {
    let headerSize = heapInfoSize(of: arena)
    var walked: Set<UInt64> = []
    // Looked up again each time: the arena may have got another heap meanwhile.
    while !isEndless,
      let heap = heaps[arena.address]?.first(where: { !walked.contains($0.start) })
    {
      walked.insert(heap.start)
      let isFirst = heap.range.contains(arena.address)
      let first = HeapInfoLayout(byteCount: headerSize)
        .firstChunk(isFirstHeap: isFirst, arena: arena.layout)
      summary.headerBytes &+= min(first, heap.size)
      let chunks = AddressRange(RemoteAddress(heap.start &+ first), heap.range.upperBound)
      guard !chunks.isEmpty else {
        summary.segments.append(heap.range)
        continue
      }
      var segment = Segment(
        start: chunks.lowerBound.bits, limit: chunks.upperBound.bits,
        top: chunks.contains(arena.top) ? arena.top.bits : nil, place: .heap(heap))
      _ = try walk(&segment, &summary)
      summary.segments.append(
        AddressRange(RemoteAddress(heap.start), RemoteAddress(max(heap.start, segment.limit))))
    }
  }

  /// The heaps of a thread arena, oldest first.
  mutating func findHeaps(of arena: Arena) throws(ReadFault) -> [Heap] {
    let headerSize = UInt64(heapInfoSize(of: arena))
    let firstHeap = arena.address.bits &- headerSize
    for maximum in heapMaxima where firstHeap & (maximum - 1) == 0 {
      var chain: [Heap] = []
      var seen: Set<UInt64> = []
      var address = arena.top.bits & ~(maximum - 1)
      while address & (maximum - 1) == 0, seen.insert(address).inserted,
        let heap = try heap(at: address, of: arena, maximum: maximum)
      {
        chain.append(heap)
        address = heap.previous
        if address == 0 { break }
      }
      guard chain.last?.start == firstHeap else { continue }
      remember(chain, maximum: maximum)
      return chain.reversed()
    }
    return try searchHeaps(of: arena, first: firstHeap)
  }

  /// What thread arenas may reserve for a heap, in bytes, ascending: with huge pages of a given size,
  /// 2.35 to 2.41 reserve four of them, and 2.42 what others do.
  ///
  /// The smaller first: what is aligned for the larger is aligned for both, and what lies behind a
  /// smaller heap may be the main arena's.
  private var heapMaxima: [UInt64] {
    let usual = HeapInfoLayout.defaultHeapMaximum
    let (huge, overflow) = parameters.hugePageSize.multipliedReportingOverflow(by: 4)
    let isUsable =
      !overflow && huge >= 1 << 20 && huge & (huge &- 1) == 0 && !instance.hasNewMmapHeader
    return isUsable ? [min(huge, usual), max(huge, usual)] : [usual]
  }

  /// The heaps whose headers name the arena, where the chain from top does not lead to the first: top
  /// is in a heap that was just unmapped, or damaged.
  private mutating func searchHeaps(
    of arena: Arena, first: UInt64
  ) throws(ReadFault) -> [Heap] {
    let maximum = heapMaxima[0]
    if strayHeaps == nil { strayHeaps = try searchHeaps(maximum: maximum) }
    let found = strayHeaps?[arena.address.bits] ?? []
    remember(found, maximum: maximum)
    log.add(
      arena.isLocked ? .inTransit : .arenaDamage, at: arena.address.bits,
      "the top chunk of the arena at \(arena.address) leads to no heap of its own; "
        + "\(found.count) of its heaps were found by their headers")
    return found
  }

  /// Every heap that has the address of a heap and a header that can be one, by the arena it names.
  private mutating func searchHeaps(maximum: UInt64) throws(ReadFault) -> [UInt64: [Heap]] {
    var places: [RemoteAddress] = []
    for range in data.ranges {
      let (raised, overflow) = range.lowerBound.bits.addingReportingOverflow(maximum - 1)
      if overflow { continue }
      var address = raised & ~(maximum - 1)
      while address < range.upperBound.bits, places.count < Self.arenaLimit {
        // Memory that others have reserved and never touched has many such places.
        let states = reader.pageStates(
          from: RemoteAddress(address), count: 1, pageSize: options.pageSize)
        if states?.first ?? .resident == .resident { places.append(RemoteAddress(address)) }
        address &+= maximum
      }
    }
    let headers = try reader.gather(at: places, wordsEach: 3)
    var found: [UInt64: [Heap]] = [:]
    for (index, place) in places.enumerated() {
      guard let arena = headers[index, HeapInfoLayout.arena / 8],
        let size = headers[index, HeapInfoLayout.size / 8],
        let previous = headers[index, HeapInfoLayout.previous / 8],
        let heap = Heap(
          start: place.bits, size: size, previous: previous, maximum: maximum)
      else { continue }
      found[arena, default: []].append(heap)
    }
    return found
  }

  private mutating func remember(_ heaps: [Heap], maximum: UInt64) {
    for heap in heaps {
      let reservation = AddressRange(RemoteAddress(heap.start), byteCount: maximum)
      guard !reservations.contains(reservation) else { continue }
      reservations.append(reservation)
      arenaMemory.append(reservation)
    }
  }

  func heap(
    at address: UInt64, of arena: Arena, maximum: UInt64
  ) throws(ReadFault) -> Heap? {
    guard let words = try reader.words(at: RemoteAddress(address), count: 3),
      words[HeapInfoLayout.arena / 8] == arena.address.bits
    else { return nil }
    return Heap(
      start: address, size: words[HeapInfoLayout.size / 8],
      previous: words[HeapInfoLayout.previous / 8], maximum: maximum)
  }

  /// The size of `heap_info`, of which a thread arena's own address tells: it follows the first heap's
  /// header, and heaps begin at page boundaries.
  func heapInfoSize(of arena: Arena) -> Int {
    let distance = Int(arena.address.bits & 0xfff)
    return distance == 32 || distance == 48 ? distance : instance.heapInfoLayout.byteCount
  }

  /// What memory told of the layout, `arenas` included.
  func readings(_ arenas: [Arena]) -> MallocReadings {
    var readings = readings
    readings.masksLinks = isLinkingDecided ? linking == .masked : nil
    let distances = Set(arenas.dropFirst().map { Int($0.address.bits & 0xfff) })
    if distances.count == 1 { readings.heapInfoByteCount = distances.first }
    return readings
  }
}
