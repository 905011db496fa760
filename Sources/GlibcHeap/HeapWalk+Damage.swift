// Where headers contradict: finding the place from which chunks can be made out again.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many headers in a row are taken for chunks.
  private static var convincingHeaders: Int { 8 }

  /// Counts the pending chunk, finds where chunks can be made out again, records the gap, and returns
  /// whether there is such a place before the boundary.
  ///
  /// `field` is what stands there instead of a size field, nil if it cannot be read.
  mutating func skipDamage(
    field: UInt64?, _ state: inout SegmentWalk, in segment: Segment,
    _ summary: inout ArenaSummary
  ) throws(ReadFault) -> Bool {
    let address = state.address
    let hasPending = state.hasPending
    state.hasPending = false
    if hasPending, field != nil, let inner = try chunkInside(before: address, in: segment) {
      let before = try chunkBeforePending(state, in: segment)
      log.add(
        .chainBreak, at: scan.chunk &+ 16, chunk: before,
        "the chunk at \(RemoteAddress(scan.chunk &+ 16)) says that it has \(scan.size) bytes, but "
          + "chunks go on inside of it, after \(inner &- scan.chunk)"
          + (before.map { "; the chunk before it is \($0)" } ?? ""))
      scan.finish(
        size: inner &- scan.chunk, isInUse: true, previousSize: nil, marks: &marks, sizes: &sizes,
        log: &log)
      marks.seek(to: inner)
      state.address = inner
      return true
    }
    if hasPending, field != nil, let end = try takeCut(at: address, state, in: segment) {
      hasMetCut = true
      marks.seek(to: end)
      state.address = end
      return true
    }
    let cut = hasPending && field != nil ? try cutPending(state, in: segment) : nil
    let before = hasPending ? try named(scan.chunk, size: scan.size, .inUse) : nil
    if hasPending { finishPending(isInUse: true, before: nil) }
    let from = field == nil ? endOfPage(address) : address &+ 16
    let isSwappedOut = field == nil && window.isSwappedOut(address)
    let next = try resynchronise(from: from, in: segment)
    let lost = (next ?? scan.ground.boundary) &- address
    summary.unaccountedBytes &+= lost
    let behind = before.map { "the chunk before it is \($0)" } ?? "no chunk before it"
    if let cut, let before {
      log.add(
        .chainBreak, at: before.userAddress.bits, bytes: lost, chunk: cut,
        Overrun.detail(of: before.userAddress, after: cut))
    } else if let field {
      let look = try look(ofSize: field, at: address)
      log.add(
        .chainBreak, at: address, bytes: lost, chunk: before,
        "the size field" + (field.mayBeText ? "" : " 0x" + String(field, radix: 16))
          + " cannot be a chunk's here\(look); \(behind)")
    } else if isSwappedOut {
      log.addSwapped(presentArena, at: address, bytes: lost)
    } else {
      log.add(.unreadable, at: address, bytes: lost, "chunks cannot be read here; \(behind)")
    }
    guard let next else {
      if let top = segment.top { try recordTop(top, field: nil, in: segment, &summary) }
      return false
    }
    marks.seek(to: next)
    state.address = next
    return true
  }

  /// The chunk before the pending one, if it has written a NUL over the lowest byte of that one's size,
  /// so that what follows is no header.
  private mutating func cutPending(
    _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> NamedChunk? {
    guard scan.field & 0xff == 0, !isArenaLocked, !isLive,
      scan.unmatched.last.map({ $0.address &+ $0.size == scan.chunk }) == true,
      let before = try chunkBeforePending(state, in: segment)
    else { return nil }
    namedOverruns.insert(before.userAddress.bits &- 16)
    return before
  }

  /// Counts the pending chunk, and what follows it from `broken` on, of which a thread is cutting a chunk
  /// in two, and returns where chunks go on; nil if no thread can be at that.
  ///
  /// malloc, with the arena's mutex held, writes the size of the part that it gives away, and only then
  /// that of the rest, where until then something else stands. So there can be one such place in an arena.
  private mutating func takeCut(
    at broken: UInt64, _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    guard isArenaLocked, !isLive, !hasMetCut else { return nil }
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

  /// How much of a chunk is searched through for its end.
  private static var searchedRest: UInt64 { 1 << 20 }

  /// Notes where the rest of a chunk that a thread is cutting in two begins, if that has no header yet.
  ///
  /// What stands there instead may look like a chunk that reaches into those behind it. But the rest is in
  /// the unsorted bin already, and what follows it still says how large the chunk was in one piece: from
  /// that, the other part begins, which has its new size already and ends where the rest begins.
  mutating func noteHeaderlessRest() throws(ReadFault) {
    window.blankWord = nil
    probe.blankWord = nil
    guard isArenaLocked, !isLive, let rest = arena.firstUnsorted, try lacksHeader(rest) else {
      return
    }
    window.blankWord = rest &+ 8
    probe.blankWord = rest &+ 8
    // What was read before is as it was.
    window.forget()
    probe.forget()
  }

  private mutating func lacksHeader(_ rest: UInt64) throws(ReadFault) -> Bool {
    guard let limit = data.range(containing: rest)?.upperBound.bits, limit &- rest >= 64 else {
      return false
    }
    func header(_ address: UInt64, _ walk: inout HeapWalk) throws(ReadFault) -> HeaderWords? {
      if !walk.probe.holds(address, 16),
        try !walk.probe.move(to: address, holding: 16, limit: limit, reader: walk.reader)
      {
        return nil
      }
      return walk.probe.header(at: address)
    }
    guard let own = try header(rest, &self) else { return false }
    let size = own.field & ~7
    if own.field & 0b1111 == 1, size >= 32, size <= limit &- rest &- 16,
      let next = try header(rest &+ size, &self), next.previousSize == size, next.field & 1 == 0
    {
      return false
    }
    var end = rest &+ 32
    let last = min(limit &- 16, rest &+ Self.searchedRest)
    while end <= last, insideStepsLeft > 0 {
      insideStepsLeft -= 1
      guard let words = try header(end, &self) else {
        end = endOfPage(end)
        continue
      }
      let whole = end &- words.previousSize
      if words.field & 1 == 0, words.previousSize & 15 == 0, whole < rest, rest &- whole >= 32,
        words.previousSize <= Self.searchedRest &* 64,
        let field = try reader.word(at: RemoteAddress(whole &+ 8)), field & ~7 == rest &- whole
      {
        return true
      }
      end &+= 16
    }
    return false
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

  /// Has the probe hold a header at `address`; where it cannot be read, `address` becomes the next place
  /// that may be, and the answer is no.
  mutating func moveProbe(
    to address: inout UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    if probe.holds(address, 16) { return true }
    if try probe.move(to: address, holding: 16, limit: segment.readLimit, reader: reader) {
      return true
    }
    // The inside of a free chunk may never have been touched.
    let next = endOfPage(address)
    address = max(next, data.start(atOrAfter: next) ?? .max)
    return false
  }

  /// Where the page ends that `address` is in: what cannot be read there cannot be up to its end.
  private func endOfPage(_ address: UInt64) -> UInt64 { (address | (window.pageSize &- 1)) &+ 1 }

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

  /// A chunk inside the pending one, from which headers lead on past `broken`, where the pending one's
  /// size leads; nil if there is none, so that its size is right.
  ///
  /// What a chunk was before may still stand in it, but such headers lead to where it ends now. Only
  /// while its arena is being changed they may lead further.
  private mutating func chunkInside(
    before broken: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    guard !isArenaLocked else { return nil }
    var address = scan.chunk &+ 32
    while address < broken, insideStepsLeft > 0 {
      insideStepsLeft -= 1
      guard try moveProbe(to: &address, in: segment) else { continue }
      guard let field = probe.word(at: address &+ 8) else { return nil }
      if scan.isPlausible(field, at: address),
        try leadsOn(from: address, past: broken, in: segment)
      {
        return address
      }
      address &+= 16
    }
    return nil
  }

  /// Whether headers lead on from `start` past `broken`, without meeting it, and further.
  private mutating func leadsOn(
    from start: UInt64, past broken: UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    var address = start
    var steps = 0
    while address < broken {
      insideStepsLeft -= 1
      guard insideStepsLeft > 0, let (_, field) = try probeHeader(at: address) else { return false }
      guard scan.isPlausible(field, at: address) else { return steps >= Self.convincingHeaders }
      address &+= field & ~7
      steps += 1
    }
    guard address != broken else { return false }
    return try leadsOn(from: address, in: segment)
  }

  /// The first address from `from` on, in steps of 16 bytes, from which headers lead on plausibly: to
  /// a chunk that is known, to an end, or over some of them.
  mutating func resynchronise(
    from start: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    let boundary = scan.ground.boundary
    var address = (start &+ 15) & ~15
    while address >= start, address < boundary, boundary &- address >= 32 || address == boundary {
      if !probe.holds(address, 16),
        try !probe.move(to: address, holding: 16, limit: segment.readLimit, reader: reader)
      {
        let next = probe.nextResidentPage(after: address, limit: boundary, reader: reader)
        address = max(next, data.start(atOrAfter: next) ?? .max)
        continue
      }
      guard let field = probe.word(at: address &+ 8) else { return nil }
      if scan.isPlausible(field, at: address), try leadsOn(from: address, in: segment) {
        return address
      }
      address &+= 16
    }
    return segment.top == boundary && boundary > start ? boundary : nil
  }

  mutating func leadsOn(
    from start: UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    var address = start
    var size: UInt64 = 0
    for _ in 0..<Self.convincingHeaders {
      if address == scan.ground.boundary { return true }
      if address != start, marks.kind(of: address) != nil { return true }
      guard let (previousSize, field) = try probeHeader(at: address) else { return false }
      if size != 0, field & 1 == 0, previousSize != size { return false }
      guard scan.isPlausible(field, at: address) else {
        return isEnd(field, at: address, in: segment)
      }
      size = field & ~7
      if marks.isAny(after: address, before: address &+ size) { return false }
      address &+= size
    }
    return true
  }

  private func isEnd(_ field: UInt64, at address: UInt64, in segment: Segment) -> Bool {
    if segment.isMain { return field & ~1 == 16 }
    return segment.top == nil
      && (address == segment.limit &- 32 && field & ~7 == 16
        || address == segment.limit &- 16 && field & ~7 == 0)
  }

  /// The two words of the header at `address`, read through the probe while its budget lasts.
  private mutating func probeHeader(
    at address: UInt64
  ) throws(ReadFault) -> (previousSize: UInt64, field: UInt64)? {
    if !probe.holds(address, 16) {
      guard probeMovesLeft > 0 else { return nil }
      probeMovesLeft -= 1
      if probeMovesLeft == 0 {
        log.add(
          .limitReached, at: address, "damaged parts are searched for chunks only nearby from here")
      }
      guard let words = try reader.words(at: RemoteAddress(address), count: 2) else { return nil }
      return (words[0], words[1])
    }
    guard let previous = probe.word(at: address), let field = probe.word(at: address &+ 8) else {
      return nil
    }
    return (previous, field)
  }
}
