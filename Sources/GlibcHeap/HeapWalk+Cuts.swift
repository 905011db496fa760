// Chunks that a thread is cutting in two when it is stopped: the rest has no header for a moment.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Counts the pending chunk, and what follows it from `broken` on, of which a thread is cutting a chunk
  /// in two, and returns where chunks go on; nil if no thread can be at that.
  ///
  /// malloc, with the arena's mutex held, writes the size of the part that it gives away, and only then
  /// that of the rest, where until then something else stands. So there can be one such place in an arena.
  mutating func takeCut(
    at broken: UInt64, _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    guard isArenaLocked, !isLive, !hasMetCut else { return nil }
    if let known = headerlessRest, known.lowerBound.bits == broken {
      finishPending(isInUse: true, before: nil)
      takeRest(from: broken, to: known.upperBound.bits)
      return known.upperBound.bits
    }
    if let end = try splitEnd(from: broken, in: segment) {
      finishPending(isInUse: true, before: nil)
      takeRest(from: broken, to: end)
      return end
    }
    guard let end = try resynchronise(from: broken &+ 16, in: segment) else { return nil }
    if let rest = try forgetPhantoms(before: broken, cutUpTo: end, state, in: segment) {
      takeRest(from: rest, to: end)
    } else {
      finishPending(isInUse: true, before: nil)
      takeRest(from: broken, to: end)
    }
    return end
  }

  /// Where the chunk ends that begins with the pending one and goes on at `address`, nil if none does.
  ///
  /// What follows it says that the chunk before it is free and how large it was in one piece.
  private mutating func splitEnd(
    from address: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    let whole = scan.chunk
    var end = address &+ 32
    while end < scan.ground.boundary, insideStepsLeft > 0 {
      insideStepsLeft -= 1
      guard try moveProbe(to: &end, in: segment) else { continue }
      guard let size = probe.word(at: end), let field = probe.word(at: end &+ 8) else { return nil }
      if size == end &- whole, field & 1 == 0, try leadsOn(from: end, in: segment) { return end }
      end &+= 16
    }
    return nil
  }

  /// Undoes the counting of what looked like chunks, up to `broken`, in the rest of a chunk that is being
  /// cut in two and that ends at `end`, and returns where the rest begins.
  ///
  /// Nil if it does not: what was an allocated chunk before says nothing at its end of where it began.
  private mutating func forgetPhantoms(
    before broken: UInt64, cutUpTo end: UInt64, _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    guard scan.ground.tcacheKey == 0, let (wholeSize, behind) = try probeHeader(at: end),
      behind & 1 == 0, wholeSize >= 64, wholeSize <= end &- segment.start
    else { return nil }
    let whole = end &- wholeSize
    guard whole < scan.chunk, state.resumption.map({ $0.address <= whole }) ?? true else {
      return nil
    }
    var headers: [(address: UInt64, field: UInt64)] = []
    var address = whole
    while address < broken {
      guard headers.count < Self.mostPhantoms, let (_, field) = try probeHeader(at: address),
        scan.isPlausible(field, at: address), headers.isEmpty || marks.kind(of: address) == nil
      else { return nil }
      headers.append((address, field))
      address &+= field & ~7
    }
    guard address == broken, headers.count >= 2, headers.last?.address == scan.chunk else {
      return nil
    }
    // The first is what is given away, and right; the last is not counted yet.
    for index in 1..<headers.count - 1 {
      scan.uncount(
        headers[index].address, size: headers[index].field & ~7,
        isInUse: headers[index + 1].field & 1 != 0, sizes: &sizes)
    }
    scan.chunks.removeLast(from: RemoteAddress(headers[1].address))
    return headers[1].address
  }

  /// How many things that look like chunks may stand in a rest that has no header yet.
  private static var mostPhantoms: Int { 1 << 12 }

  /// Counts the rest of a chunk that is being cut in two as a chunk in use: it is in a thread's hands.
  private mutating func takeRest(from address: UInt64, to end: UInt64) {
    let size = end &- address
    log.add(
      .inTransit, at: address &+ 16,
      "\(size) bytes have no header yet: a thread was cutting a chunk of arena \(scan.ground.arena) "
        + "in two; they count as a chunk in use")
    scan.begin(
      at: address,
      HeaderWords(previousSize: 0, field: size | 1, forward: 0, backward: 0))
    scan.finish(
      size: size, isInUse: true, previousSize: nil, marks: &marks, sizes: &sizes, log: &log)
  }

  // MARK: A rest that seems to have a header

  /// How much of a chunk is searched through for its end, in bytes.
  private static var searchedRest: UInt64 { 1 << 20 }

  /// Notes where the rest of a chunk that a thread is cutting in two lies, if that has no header yet.
  ///
  /// What stands there instead may look like a chunk that reaches into those behind it. So it is made out
  /// beforehand, and read as nothing.
  mutating func noteHeaderlessRest() throws(ReadFault) {
    window.blankWord = nil
    probe.blankWord = nil
    headerlessRest = nil
    guard isArenaLocked, !isLive, let rest = arena.firstUnsorted,
      let found = try unsortedWithoutHeader(rest)
    else { return }
    headerlessRest = found
    window.blankWord = found.lowerBound.bits &+ 8
    probe.blankWord = window.blankWord
    // What was read before is as it was.
    window.forget()
    probe.forget()
  }

  /// The rest that begins with the first chunk of the unsorted bin, if that has no header yet: of a free
  /// chunk that is cut, it is linked there before.
  ///
  /// What follows it still says how large the chunk was in one piece: from that, the other part begins,
  /// which has its new size already and ends where the rest begins.
  private mutating func unsortedWithoutHeader(
    _ rest: UInt64
  ) throws(ReadFault) -> AddressRange? {
    guard let limit = data.range(containing: rest)?.upperBound.bits, limit &- rest >= 64,
      let own = try header(at: rest, limit: limit)
    else { return nil }
    let size = own.field & ~7
    if own.field & 0b1111 == 1, size >= 32, size <= limit &- rest &- 16,
      let next = try header(at: rest &+ size, limit: limit), next.previousSize == size,
      next.field & 1 == 0
    {
      return nil
    }
    var end = rest &+ 32
    let last = min(limit &- 16, rest &+ Self.searchedRest)
    while end <= last, restStepsLeft > 0 {
      restStepsLeft -= 1
      guard let words = try header(at: end, limit: limit) else {
        end = endOfPage(end)
        continue
      }
      let whole = end &- words.previousSize
      if words.field & 1 == 0, words.previousSize & 15 == 0, whole < rest, rest &- whole >= 32,
        words.previousSize <= Self.searchedRest &* 64, isTouched(whole &+ 8),
        let field = try reader.word(at: RemoteAddress(whole &+ 8)), field & ~7 == rest &- whole
      {
        return AddressRange(RemoteAddress(rest), RemoteAddress(end))
      }
      end &+= 16
    }
    return nil
  }

  private mutating func header(
    at address: UInt64, limit: UInt64
  ) throws(ReadFault) -> HeaderWords? {
    if !probe.holds(address, 16),
      try !probe.move(to: address, holding: 16, limit: limit, reader: reader)
    {
      return nil
    }
    return probe.header(at: address)
  }
}
