// The main arena's memory: the program break with others' gaps in it, or mappings instead.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Where the main arena's first chunk is: the first address that it ever got, rounded up to 16.
  var mainStart: UInt64? {
    let (raised, overflow) = parameters.sbrkBase.addingReportingOverflow(15)
    return overflow || parameters.sbrkBase == 0 ? nil : raised & ~15
  }

  /// Walks the main arena.
  mutating func walkMain(_ arena: Arena, _ summary: inout ArenaSummary) throws(ReadFault) {
    guard !arena.hasNoMemory || arena.systemBytes != 0 else { return }
    guard let start = mainStart, data.range(containing: start) != nil else {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "the main arena holds \(arena.systemBytes) bytes, but they begin at "
          + "\(RemoteAddress(parameters.sbrkBase)), where no heap is mapped")
      return
    }
    if arena.isContiguous {
      try walkBreak(arena, from: start, &summary)
    } else {
      try walkScattered(arena, from: start, &summary)
    }
  }

  /// Walks a main arena that has grown by the program break alone: from `sbrk_base`, `system_mem`
  /// bytes in which gaps made by others' calls of sbrk are included.
  private mutating func walkBreak(
    _ arena: Arena, from start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    let base = parameters.sbrkBase
    let (end, overflow) = base.addingReportingOverflow(arena.systemBytes)
    let mapped = data.range(containing: start)?.upperBound.bits ?? start
    let limit = overflow ? mapped : min(end, mapped)
    if overflow || end > mapped {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "the main arena's \(arena.systemBytes) bytes from \(RemoteAddress(base)) on reach beyond "
          + "the heap's mapping, which ends at \(RemoteAddress(mapped))")
    }
    summary.headerBytes &+= start &- base
    try walkRun(arena, from: start, limit: limit, &summary)
  }

  /// Walks the segments that lie between `start` and `limit`, with the gaps between them.
  ///
  /// A gap after the last one counts as the arena's only if the arena is contiguous.
  private mutating func walkRun(
    _ arena: Arena, from start: UInt64, limit: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    var start = start
    let top = arena.top.bits
    while start < limit {
      let hasTop = top >= start && top < limit
      let segment = Segment(start: start, limit: limit, top: hasTop ? top : nil, isMain: true)
      switch try walk(segment, &summary) {
      case .top, .limit, .lost:
        summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(limit)))
        return
      case .fenceposts(let end):
        summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(end)))
        guard end < limit else { return }
        let resumption = try resynchronise(from: end, in: segment)
        if resumption == nil, !arena.isContiguous { return }
        let next = resumption ?? limit
        summary.foreignBytes &+= next &- end
        start = next
      }
    }
  }

  // MARK: Without the program break

  /// Walks a main arena that had to take mappings: what it got from the break before, then segments
  /// anywhere, each ended by fenceposts, the last by top.
  private mutating func walkScattered(
    _ arena: Arena, from start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    var pending: [UInt64] = []
    if let limit = data.breakEnd(containing: start) {
      try walkRun(arena, from: start, limit: limit, &summary)
    } else {
      pending.append(start)
    }
    pending += hints.mainSegments.map(\.lowerBound.bits).filter { $0 != start }
    var hasSearched = false
    var index = 0
    while true {
      if index == pending.count {
        let missing = arena.systemBytes &- min(arena.systemBytes, summary.accountedBytes(scan))
        guard missing > 0, !hasSearched else { break }
        hasSearched = true
        arenaMemory += summary.segments
        pending += try searchMainSegments(of: arena, missing: missing).map(\.lowerBound.bits)
        continue
      }
      let start = pending[index]
      index += 1
      if summary.segments.contains(where: { $0.contains(RemoteAddress(start)) }) { continue }
      try walkScattered(segment: start, arena, &summary)
    }
    summary.segments.sort { $0.lowerBound < $1.lowerBound }
    arenaMemory += summary.segments
  }

  private mutating func walkScattered(
    segment start: UInt64, _ arena: Arena, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    guard let end = try endOfMainSegment(from: start, arena) else {
      log.add(
        .arenaDamage, at: start,
        "a segment of the main arena begins at \(RemoteAddress(start)) but leads to no end")
      return
    }
    let top = arena.top.bits
    let segment = Segment(
      start: start, limit: end, top: top >= start && top < end ? top : nil, isMain: true)
    _ = try walk(segment, &summary)
    summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(end)))
  }

  /// The segments of the main arena outside of `arenaMemory`, found by trying every page: a chain of
  /// chunks that ends exactly in fenceposts at a page boundary, or in top.
  mutating func searchMainSegments(
    of arena: Arena, missing: UInt64
  ) throws(ReadFault) -> [AddressRange] {
    var found: [AddressRange] = []
    var missing = missing
    let page = options.pageSize
    var pages = PageHeaders(pageSize: page)
    for range in data.subtracting(arenaMemory + data.breakMappings) {
      var address = range.lowerBound.bits
      while address < range.upperBound.bits, missing > 0, !pages.isExhausted {
        let header = try pages.header(at: address, in: range, reader: reader)
        // The first chunk of a segment: its flags say that nothing before it is free.
        if let header, header.field & 15 == 1, header.field >= 33,
          let end = try endOfMainSegment(from: address, arena)
        {
          found.append(AddressRange(RemoteAddress(address), RemoteAddress(end)))
          missing &-= min(missing, end &- address)
          address = max(end, address) &+ (page &- 1) & ~(page &- 1)
          if address < end { break }
        } else {
          address &+= page
        }
      }
    }
    return found
  }

  /// Follows headers from `start` on to fenceposts that end at a page boundary, or to top, and returns
  /// the segment's end.
  private mutating func endOfMainSegment(
    from start: UInt64, _ arena: Arena
  ) throws(ReadFault) -> UInt64? {
    guard let range = data.range(containing: start) else { return nil }
    let limit = range.upperBound.bits
    let top = arena.top.bits
    var address = start
    while address < limit, limit &- address >= 16 {
      if !window.holds(address, 16),
        try !window.move(to: address, holding: 16, limit: limit, reader: reader)
      {
        return nil
      }
      guard let field = window.word(at: address &+ 8) else { return nil }
      let size = field & ~7
      if address == top {
        return size >= 16 && size <= limit &- address ? address &+ size : nil
      }
      if field & ~1 == 16 {
        var end = address
        while end < limit, end < address &+ 48,
          let field = try reader.word(at: RemoteAddress(end &+ 8)), field & ~1 == 16
        {
          end &+= 16
        }
        let isEnd = end >= address &+ 32 && end & (options.pageSize &- 1) == 0
        return isEnd ? end : nil
      }
      guard field & 0b1110 == 0, size >= 32, size <= limit &- address else { return nil }
      address &+= size
    }
    return nil
  }
}

extension ArenaSummary {
  /// What was attributed, while the chunks are still counted in `scan`.
  fileprivate func accountedBytes(_ scan: ChainScan) -> UInt64 {
    accountedBytes &+ scan.inUse.bytes &+ scan.free.bytes &+ scan.cached.bytes
      &+ scan.structures.bytes
  }
}
