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
  mutating func walkMain(_ summary: inout ArenaSummary) throws(ReadFault) {
    guard !arena.hasNoMemory || arena.systemBytes != 0 else { return }
    guard let start = mainStart, data.range(containing: start) != nil,
      reservation(containing: start) == nil
    else {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "the main arena holds \(arena.systemBytes) bytes, but they begin at "
          + "\(RemoteAddress(parameters.sbrkBase)), where no memory of its own is mapped")
      return
    }
    summary.headerBytes &+= start &- parameters.sbrkBase
    if arena.isContiguous {
      try walkBreak(from: start, &summary)
    } else {
      try walkScattered(from: start, &summary)
    }
  }

  /// The part of the address space reserved for a thread arena's heap that `address` is in.
  private func reservation(containing address: UInt64) -> AddressRange? {
    reservations.first { $0.contains(RemoteAddress(address)) }
  }

  /// The end of the memory from `start` to `end` that no thread arena has reserved.
  private func beforeReservations(from start: UInt64, to end: UInt64) -> UInt64 {
    let bounds = reservations.lazy.map(\.lowerBound.bits).filter { $0 >= start }
    return min(end, bounds.min() ?? end)
  }

  /// The end of the memory from `start` to `end` that was not walked yet: a damaged size of top can lead
  /// over other segments.
  private func beforeWalked(
    _ segments: [AddressRange], from start: UInt64, to end: UInt64
  ) -> UInt64 {
    let bounds = segments.lazy.map(\.lowerBound.bits).filter { $0 > start }
    return min(end, bounds.min() ?? end)
  }

  /// Walks a main arena that has grown by the program break alone: from `sbrk_base`, `system_mem`
  /// bytes in which gaps made by others' calls of sbrk are included.
  private mutating func walkBreak(
    from start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    let base = parameters.sbrkBase
    let (end, overflow) = base.addingReportingOverflow(arena.systemBytes)
    let mapped = data.reachEnd(containing: start) ?? start
    if !overflow, end > mapped, isArenaLocked, try isShrinking(to: mapped, from: end) {
      log.add(
        .inTransit, at: arena.address.bits,
        "\(end &- mapped) bytes at the end of the main arena were just being given back")
    } else if overflow || end > mapped {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "the main arena's \(arena.systemBytes) bytes from \(RemoteAddress(base)) on reach beyond "
          + "the heap's mapping, which ends at \(RemoteAddress(mapped))")
    }
    if arena.top.bits < start || arena.top.bits >= breakLimit(from: start) {
      log.add(
        .arenaDamage, at: arena.address.bits,
        "the main arena's top chunk, at \(arena.top), is outside of its own memory")
    }
    try walkRun(from: start, &summary)
  }

  /// Whether the program break was moved back by a thread that has yet to say so in the arena: top
  /// still states where its memory ended.
  private func isShrinking(to mapped: UInt64, from end: UInt64) throws(ReadFault) -> Bool {
    let top = arena.top.bits
    guard top < mapped, let field = try reader.word(at: RemoteAddress(top &+ 8)) else {
      return false
    }
    return top &+ field & ~7 == end
  }

  /// Where the main arena's memory from `start` on ends, as far as it comes from the program break.
  ///
  /// That of a contiguous arena is `system_mem` bytes long; after that it may have had to take mappings,
  /// and then only the break tells.
  func breakLimit(from start: UInt64) -> UInt64 {
    guard arena.isContiguous else {
      return data.breakEnd(containing: start).map { beforeReservations(from: start, to: $0) }
        ?? start
    }
    let (end, overflow) = parameters.sbrkBase.addingReportingOverflow(arena.systemBytes)
    let mapped = data.reachEnd(containing: start) ?? start
    return beforeReservations(from: start, to: overflow ? mapped : min(end, mapped))
  }

  /// Walks the segments from `start` to the end of the program break's part, with the gaps between
  /// them.
  ///
  /// A gap after the last one counts as the arena's only if the arena is contiguous.
  private mutating func walkRun(
    from start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    var start = start
    while true {
      let limit = breakLimit(from: start)
      guard start < limit else { return }
      let top = arena.top.bits
      let hasTop = top >= start && top < limit
      var segment = Segment(
        start: start, limit: limit, top: hasTop ? top : nil, place: .programBreak)
      switch try walk(&segment, &summary) {
      case .top, .limit, .lost:
        summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(segment.limit)))
        return
      case .fenceposts(let end):
        summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(end)))
        guard end < segment.limit else { return }
        let resumption = try nextSegment(from: end, in: segment)
        if resumption == nil, !arena.isContiguous { return }
        let next = resumption ?? segment.limit
        summary.foreignBytes &+= next &- end
        start = next
      }
    }
  }

  /// How many headers in a row are the arena's for certain.
  private static var enough: Int { 1000 }

  /// Where the arena's memory goes on behind a gap that belongs to somebody else: at the first address
  /// from which a chain of chunks runs exactly into top or fenceposts.
  ///
  /// What is in the gap may look like chunks, too, but does not end so.
  private mutating func nextSegment(
    from end: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    var start = end
    var first: UInt64?
    while let candidate = try resynchronise(from: start, in: segment) {
      if candidate == arena.top.bits { return candidate }
      let before = trialHeadersLeft
      // In one of several stops there is no time to follow all of them.
      let end = try endOfMainSegment(from: candidate, atMost: pacing == nil ? .max : Self.enough)
      if end != nil || trialMetSwapped { return candidate }
      first = first ?? candidate
      // So many in a row are the arena's, with damage further on; and the budget is for all gaps.
      if before - trialHeadersLeft >= Self.enough { return pacing == nil ? first : candidate }
      if trialHeadersLeft <= 0 { return first }
      start = candidate &+ 16
    }
    return nil
  }

  // MARK: Without the program break

  /// Walks a main arena that had to take mappings: what it got from the break before, then segments
  /// anywhere, each ended by fenceposts, the last by top.
  private mutating func walkScattered(
    from start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    var pending: [UInt64] = []
    if data.breakEnd(containing: start) != nil {
      try walkRun(from: start, &summary)
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
        // That can take long: not while the target stands still, if it need not.
        pacing?.letRun()
        window.forget()
        if let pacing { data = DataRanges(try pacing.mappings()) }
        let found = try searchMainSegments(missing: missing)
        foundSegments += found
        pending += found.map(\.lowerBound.bits)
        if pacing != nil { try nextMoment() }
        continue
      }
      let start = pending[index]
      index += 1
      if summary.segments.contains(where: { $0.contains(RemoteAddress(start)) }) { continue }
      try walkScattered(segment: start, &summary)
    }
    summary.segments.sort { $0.lowerBound < $1.lowerBound }
    // Those that the search found are no place for mmapped chunks either.
    arenaMemory += summary.segments
  }

  private mutating func walkScattered(
    segment start: UInt64, _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    guard let stated = try segmentEnd(from: start),
      case let end = beforeWalked(summary.segments, from: start, to: stated),
      end == beforeReservations(from: start, to: end), reservation(containing: start) == nil
    else {
      if trialMetSwapped {
        log.noteSwapped(.arena(copies.firstArena))
        return
      }
      log.add(
        .arenaDamage, at: start,
        "a segment of the main arena begins at \(RemoteAddress(start)) but leads to no end")
      return
    }
    let top = arena.top.bits
    var segment = Segment(
      start: start, limit: end, top: top >= start && top < end ? top : nil, place: .mapping)
    let ending = try walk(&segment, &summary)
    var behind = segment.limit
    if case .fenceposts(let place) = ending { behind = place }
    summary.segments.append(AddressRange(RemoteAddress(start), RemoteAddress(max(start, behind))))
  }

  /// Where the segment that begins at `start` ends now.
  ///
  /// In a single stop its chunks are followed to its end first. In several, that would take one as long as
  /// all of it: there the search has told, and only the last segment, which has top, grows.
  private mutating func segmentEnd(from start: UInt64) throws(ReadFault) -> UInt64? {
    let known = (hints.mainSegments + foundSegments).first { $0.lowerBound.bits == start }
    guard pacing != nil, let known else {
      return try endOfMainSegment(from: start) ?? known?.upperBound.bits
    }
    return try topEnd(from: start) ?? known.upperBound.bits
  }

  /// Where top ends if it lies in the segment that begins at `start`: behind that, and before any other.
  func topEnd(from start: UInt64) throws(ReadFault) -> UInt64? {
    let top = arena.top.bits
    let others =
      ((hints.mainSegments + foundSegments).map(\.lowerBound.bits) + [mainStart ?? start])
      .filter { $0 > start }
    guard top >= start, let reach = data.reachEnd(containing: start), top < reach,
      reach &- top >= 16, !others.contains(where: { $0 <= top }),
      let field = try reader.word(at: RemoteAddress(top &+ 8))
    else { return nil }
    return min(top &+ min(field & ~7, reach &- top), others.min() ?? reach)
  }

  /// The segments of the main arena outside of `arenaMemory`, found by trying every page: a chain of
  /// chunks that ends exactly in fenceposts at a page boundary, or in top.
  mutating func searchMainSegments(
    missing: UInt64
  ) throws(ReadFault) -> [AddressRange] {
    var found: [AddressRange] = []
    var missing = missing
    let page = options.pageSize
    var pages = PageHeaders(pageSize: page, limit: options.searchedPages)
    foreignTops = try otherTops()
    for range in data.searchable(except: arenaMemory + data.breakMappings) {
      var address = (range.lowerBound.bits &+ (page &- 1)) & ~(page &- 1)
      while missing > 0, trialHeadersLeft > 0,
        let header = try pages.next(from: address, in: range, reader: reader)
      {
        pacing?.attend()
        address = header.address &+ page
        // The first chunk of a segment: its flags say that nothing before it is free.
        guard header.field & 15 == 1, header.field >= 33,
          let end = try endOfMainSegment(from: header.address)
        else {
          if trialMetSwapped { log.noteSwapped(.arena(copies.firstArena)) }
          trialMetSwapped = false
          continue
        }
        address = max(address, (end &+ (page &- 1)) & ~(page &- 1))
        if try isOtherSegment(from: header.address, to: end) { continue }
        found.append(AddressRange(RemoteAddress(header.address), RemoteAddress(end)))
        missing &-= min(missing, end &- header.address)
      }
    }
    if pages.swappedPages > 0 { log.noteSwapped(.arena(copies.firstArena)) }
    if trialHeadersLeft <= 0 {
      log.add(
        .limitReached, at: nil, "memory that is not the main arena's looks too much like chunks")
    }
    return found
  }

  /// Follows headers from `start` on to fenceposts that end at a page boundary, or to top, and returns
  /// the segment's end, nil if there is none or it is more than `limit` headers away.
  mutating func endOfMainSegment(
    from start: UInt64, atMost limit: Int = .max
  ) throws(ReadFault) -> UInt64? {
    trialMetSwapped = false
    var left = min(trialHeadersLeft, limit)
    guard let reach = data.reachEnd(containing: start) else { return nil }
    let top = arena.top.bits
    var address = start
    while address < reach, reach &- address >= 16, left > 0 {
      left -= 1
      trialHeadersLeft -= 1
      if !window.holds(address, 16),
        try !window.move(to: address, holding: 16, limit: reach, reader: reader)
      {
        trialMetSwapped = window.isSwappedOut(address)
        return nil
      }
      guard let field = window.word(at: address &+ 8) else { return nil }
      let size = field & ~7
      if address == top {
        return size >= 16 && size <= reach &- address ? address &+ size : nil
      }
      if !foreignTops.isEmpty, foreignTops.contains(address) { return nil }
      if field & ~1 == 16 {
        _ = try window.move(to: address, holding: 48, limit: reach, reader: reader)
        guard let end = fencepostsEnd(at: address, limit: reach) else { return nil }
        return end & (options.pageSize &- 1) == 0 ? end : nil
      }
      guard field & 0b1110 == 0, size >= 32, size <= reach &- address else { return nil }
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
