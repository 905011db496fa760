// Where headers contradict: finding the place from which chunks can be made out again.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many headers in a row are taken for chunks, and while the arena is being changed: there, those of
  /// chunks that are no more can lead on for a while.
  private static var convincingHeaders: Int { 8 }
  private static var convincingHeadersInChange: Int { 32 }

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
  func endOfPage(_ address: UInt64) -> UInt64 { (address | (window.pageSize &- 1)) &+ 1 }

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
  mutating func leadsOn(
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
    var flags: UInt64 = 0
    let isChanging = isArenaLocked && !isLive
    var strange = 0
    for _ in 0..<(isChanging ? Self.convincingHeadersInChange : Self.convincingHeaders) {
      if address == scan.ground.boundary { return true }
      if address != start, marks.kind(of: address) != nil { return true }
      guard let (previousSize, field) = try probeHeader(at: address) else { return false }
      if size != 0 {
        let isFree = field & 1 == 0
        if isFree, previousSize != size { return false }
        if isChanging, try isStrange(address &- size, flags: flags, isFree: isFree, in: segment) {
          // One may be on its way.
          strange += 1
          if strange > 1 { return false }
        }
      }
      guard scan.isPlausible(field, at: address) else {
        return isEnd(field, at: address, in: segment)
      }
      size = field & ~7
      flags = field & 7
      if marks.isAny(after: address, before: address &+ size) { return false }
      address &+= size
    }
    return true
  }

  /// Whether a chunk that seems to be there is none: a free one that is in no list, or, in a thread's arena,
  /// one that lacks the flag of all that were handed out, or has it though it is free.
  private mutating func isStrange(
    _ chunk: UInt64, flags: UInt64, isFree: Bool, in segment: Segment
  ) throws(ReadFault) -> Bool {
    if !segment.isMain, (flags & 0b100 == 0) != isFree { return true }
    // What can no longer be looked up is not held against it.
    guard isFree, looksLeft > 0 else { return false }
    return try !isLinked(chunk)
  }

  /// Whether both neighbours of a free chunk in its list lead to it: of one that is no more, they do not.
  mutating func isLinked(_ chunk: UInt64) throws(ReadFault) -> Bool {
    guard let links = try neighbours(of: chunk) else { return false }
    return links.backOfForward == chunk && links.forwardOfBack == chunk
  }

  /// The links of a free chunk, and those of its neighbours in the list towards it; nil if what stands
  /// there leads nowhere.
  mutating func neighbours(of chunk: UInt64) throws(ReadFault) -> ChunkLinks? {
    guard looksLeft > 0, let own = try reader.words(at: RemoteAddress(chunk &+ 16), count: 2)
    else { return nil }
    looksLeft -= 1
    guard own[0] & 7 == 0, own[1] & 7 == 0,
      let backOfForward = try reader.word(at: RemoteAddress(own[0] &+ 24)),
      let forwardOfBack = try reader.word(at: RemoteAddress(own[1] &+ 16))
    else { return nil }
    return ChunkLinks(
      forward: own[0], backward: own[1], backOfForward: backOfForward,
      forwardOfBack: forwardOfBack)
  }

  private func isEnd(_ field: UInt64, at address: UInt64, in segment: Segment) -> Bool {
    if segment.isMain { return field & ~1 == 16 }
    return segment.top == nil
      && (address == segment.limit &- 32 && field & ~7 == 16
        || address == segment.limit &- 16 && field & ~7 == 0)
  }

  /// The two words of the header at `address`, read through the probe while its budget lasts.
  mutating func probeHeader(
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
      return (words[0], address &+ 8 == probe.blankWord ? 0 : words[1])
    }
    guard let previous = probe.word(at: address), let field = probe.word(at: address &+ 8) else {
      return nil
    }
    return (previous, field)
  }
}

/// Where a free chunk's links lead, and where those of its two neighbours lead that should come back.
struct ChunkLinks {
  var forward: UInt64
  var backward: UInt64
  var backOfForward: UInt64
  var forwardOfBack: UInt64
}
