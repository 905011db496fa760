// Along one segment: the hot loop's slow companion, which decides what the loop cannot.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// Consecutive memory of an arena.
  struct Segment {
    /// Where its first chunk should be.
    var start: UInt64
    /// Where its memory ends.
    var limit: UInt64
    /// The arena's top chunk, if it is in this segment.
    var top: UInt64?
    /// What kind of memory it is.
    var place: Place

    /// What kind of memory a segment is.
    enum Place {
      /// The main arena's part of the program break.
      case programBreak
      /// A mapping of a main arena that could not use the program break.
      case mapping
      /// A thread arena's heap.
      case heap(Heap)
    }

    /// Whether it is the main arena's, which ends segments by fenceposts.
    var isMain: Bool {
      if case .heap = place { false } else { true }
    }

    /// Where reading ends: behind the header of top, of which the rest may never have been touched.
    var readLimit: UInt64 { top.map { min(limit, $0 &+ 16) } ?? limit }
  }

  /// How a segment ended.
  enum SegmentEnd {
    /// At the arena's top chunk.
    case top
    /// At its limit, with or without a terminator.
    case limit
    /// At fenceposts, whose last byte is before this address.
    case fenceposts(end: UInt64)
    /// In damage from which no chunk could be found again.
    case lost
  }

  /// What stands where a chunk should begin.
  private enum Header {
    case chunk(HeaderWords)
    case top(field: UInt64?)
    case limit
    case fenceposts(end: UInt64, HeaderWords)
    case terminator(byteCount: UInt64, HeaderWords)
    /// A chunk that reaches to the segment's end although top is inside of it: top was advanced, and
    /// the chunk's own header is not written yet.
    case acrossTop(HeaderWords)
    case damaged(HeaderWords)
    case unreadable

    /// Its words, if it has any that mean something.
    var words: HeaderWords? {
      switch self {
      case .chunk(let words), .fenceposts(_, let words), .terminator(_, let words): words
      case .top, .limit, .acrossTop, .damaged, .unreadable: nil
      }
    }
  }

  /// Walks `segment`, counting its chunks in `scan` and everything else in `summary`.
  ///
  /// If the walk goes on in another stop, `segment` is then what it is there.
  mutating func walk(
    _ segment: inout Segment, _ summary: inout ArenaSummary
  ) throws(ReadFault) -> SegmentEnd {
    scan.ground.boundary = segment.top ?? segment.limit
    try noteHeaderlessRest(in: segment)
    marks.seek(to: segment.start)
    var state = SegmentWalk(address: segment.start)
    while true {
      if mustProceed(before: state.address, after: state, in: segment),
        let end = try proceed(&state, in: &segment, &summary)
      {
        return end
      }
      let header = try header(at: state.address, in: segment)
      try makeFastbinRoom()
      if let end = try take(header, &state, in: segment, &summary) { return end }
    }
  }

  /// Where the walk along a segment is.
  struct SegmentWalk {
    /// Where the next header should be.
    var address: UInt64
    /// Whether `scan` has a chunk that is not counted yet.
    var hasPending = false
    /// Whether top was being split, so that its own header means nothing.
    var isTopSplitting = false
    /// Where it went on in another stop.
    var resumption: Resumption?
    /// Where the hot loop was last begun, and the chunk before that: from there, the chunk before the
    /// pending one is found.
    var runStart: UInt64 = 0
    var beforeRun: UInt64?
  }

  /// Where a walk goes on in another stop, and what it expects there.
  struct Resumption {
    /// The chunk that was the last one.
    var address: UInt64
    /// The size that it had, 0 if there was no chunk yet.
    var size: UInt64
    /// How often it was tried.
    var tries = 0
  }

  /// Takes in what stands where the next chunk should begin, and returns the segment's end if it is
  /// that.
  private mutating func take(
    _ header: Header, _ state: inout SegmentWalk, in segment: Segment,
    _ summary: inout ArenaSummary
  ) throws(ReadFault) -> SegmentEnd? {
    let address = state.address
    while state.hasPending, let mark = scan.spanned(before: header.words, marks: marks) {
      if try leaveSpanned(mark, &state, in: segment) { return nil }
    }
    switch header {
    case .chunk(let words):
      if try hasMoved(words, state, in: segment) {
        return try skipMovement(&state, in: segment, &summary) ? nil : .lost
      }
      state.beforeRun = state.hasPending ? scan.chunk : nil
      state.runStart = address
      if state.hasPending { finishPending(isInUse: words.field & 1 != 0, before: words) }
      scan.begin(at: address, words, beginning: beginning(at: address))
      state.hasPending = true
      try runScan(&state, in: segment)
    case .top(let field):
      // Never free: what is freed before top becomes part of it. Its own flag can be garbage while
      // top is being split.
      if state.hasPending { finishPending(isInUse: true, before: nil) }
      try recordTop(
        address, field: state.isTopSplitting ? nil : field, isBehindChunk: state.hasPending,
        in: segment, &summary)
      return .top
    case .limit:
      if state.hasPending, segment.isMain {
        try recordTop(scan.chunk, field: scan.field, in: segment, &summary)
      } else if state.hasPending {
        log.add(
          .inTransit, at: scan.chunk &+ 16,
          "the last chunk of the heap that ends at \(RemoteAddress(segment.limit)) has no "
            + "terminator behind it: the arena was moving to a new heap")
        finishPending(isInUse: true, before: nil)
      }
      return .limit
    case .fenceposts(let end, let words):
      if state.hasPending { finishPending(isInUse: words.field & 1 != 0, before: words) }
      summary.headerBytes &+= end &- address
      return .fenceposts(end: end)
    case .terminator(let byteCount, let words):
      if state.hasPending, byteCount == 16, isRemnant {
        summary.headerBytes &+= scan.size
      } else if state.hasPending {
        finishPending(isInUse: words.field & 1 != 0, before: words)
      }
      summary.headerBytes &+= byteCount
      return .limit
    case .acrossTop(let words):
      let top = segment.top ?? segment.limit
      if state.hasPending { finishPending(isInUse: words.field & 1 != 0, before: words) }
      log.add(
        .inTransit, at: address &+ 16,
        "top was being split: the chunk before it still reached to the end of the segment")
      var rest = words
      rest.field = top &- address | words.field & 7
      scan.begin(at: address, rest, beginning: beginning(at: address))
      state.hasPending = true
      state.isTopSplitting = true
      state.address = top
    case .damaged(let words):
      if looksAgain(&state) { return nil }
      if isDueToMovement(state) {
        return try skipMovement(&state, in: segment, &summary) ? nil : .lost
      }
      return try skipDamage(field: words.field, &state, in: segment, &summary) ? nil : .lost
    case .unreadable:
      // What was chunks in the stop before may have become part of top, and been given back.
      if !isLive, !window.isSwappedOut(address), isDueToMovement(state) {
        return try skipMovement(&state, in: segment, &summary) ? nil : .lost
      }
      return try skipDamage(field: nil, &state, in: segment, &summary) ? nil : .lost
    }
    return nil
  }

  /// Runs the hot loop over what the window holds, up to where the next header is.
  private mutating func runScan(
    _ state: inout SegmentWalk, in segment: Segment
  ) throws(ReadFault) {
    let isFinal = window.base &+ UInt64(window.count) >= segment.readLimit
    while true {
      let pause = scan.run(
        window, isFinal: isFinal, marks: &marks, flat: &sizes.flat, large: &sizes.large, log: &log)
      switch pause {
      case .needsBytes(let next): state.address = next
      case .boundary: state.address = scan.ground.boundary
      case .irregular(let next): state.address = next
      case .spans(let mark):
        guard try leaveSpanned(mark, &state, in: segment) else { continue }
      }
      return
    }
  }

  /// Counts the pending chunk, which reaches over `mark`, up to where it ends if it has no header yet, and
  /// goes on from there; returns whether that is so.
  private mutating func leaveSpanned(
    _ mark: UInt64, _ state: inout SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> Bool {
    guard let end = try takeSpanned(over: mark, in: segment) else {
      if marks.next == mark, marks.nextKind == .unsorted {
        marks.advance()
      } else {
        scan.toleratedChunk = scan.chunk
      }
      return false
    }
    marks.seek(to: end)
    state.hasPending = false
    state.address = end
    return true
  }

  /// Whether the pending chunk, the last one of a heap that is not the newest, is what was left of an
  /// old top too small to be freed: it lacks the flag that all chunks of thread arenas carry when
  /// they are handed out, and nobody holds it.
  private var isRemnant: Bool { scan.field & 0b100 == 0 && scan.size == 32 }

  /// Counts the pending chunk; `next` is the header behind it, nil if that says nothing of it.
  mutating func finishPending(isInUse: Bool, before next: HeaderWords?) {
    scan.finish(
      size: scan.size, isInUse: isInUse, previousSize: next?.previousSize,
      marks: &marks, sizes: &sizes, log: &log)
  }

  /// Counts the top chunk, whose size field is `field` if it means anything; `isBehindChunk` says that the
  /// chunk that was pending last lies before it.
  mutating func recordTop(
    _ address: UInt64, field: UInt64?, isBehindChunk: Bool = false, in segment: Segment,
    _ summary: inout ArenaSummary
  ) throws(ReadFault) {
    let size = segment.limit &- address
    let mapped = data.reachEnd(containing: address) ?? address
    let missing = segment.limit &- min(segment.limit, max(mapped, address))
    summary.topAddress = RemoteAddress(address)
    summary.topBytes = size &- missing
    if missing > 0 {
      summary.unaccountedBytes &+= missing
      log.add(
        .unreadable, at: mapped, bytes: missing,
        "the top chunk at \(RemoteAddress(address &+ 16)) reaches beyond the mapped memory")
    }
    if let field { topLag = field & ~7 &- size }
    if let field, field & ~7 != size {
      // It lags behind while the segment grows or shrinks; what cannot be a size is damage. While the
      // target runs it may be another chunk's by now.
      let isSize = field & 0b1110 == 0 && field & ~7 <= HeapInfoLayout.defaultHeapMaximum &+ size
      let isMoment = isSize || isLive
      let before =
        isBehindChunk && !isMoment ? try named(scan.chunk, size: scan.size, .inUse) : nil
      let look = isMoment ? "" : try look(ofSize: field, at: address)
      log.add(
        isMoment ? .inTransit : .arenaDamage, at: address &+ 16, chunk: before,
        "the top chunk's header says "
          + (field.mayBeText && !isMoment ? "another size than the" : "\(field & ~7) bytes,")
          + " \(size) \(field.mayBeText && !isMoment ? "bytes that " : "")are left to the segment's end"
          + look + (before.map { "; the chunk before it is \($0)" } ?? ""))
    }
    if scan.ground.collectsChunks, summary.topBytes >= 16 {
      scan.collect(address, size: summary.topBytes, .top)
    }
  }

  private mutating func header(
    at address: UInt64, in segment: Segment
  ) throws(ReadFault) -> Header {
    guard address < segment.readLimit, segment.readLimit &- address >= 16 else {
      return address == segment.top ? .top(field: nil) : .limit
    }
    guard let words = try words(at: address, in: segment) else {
      return address == segment.top ? .top(field: nil) : .unreadable
    }
    let field = words.field
    if address == segment.top { return .top(field: field) }
    if scan.isPlausible(field, at: address) { return .chunk(words) }
    let size = field & ~7
    if segment.isMain {
      if let end = fencepostsEnd(at: address, limit: segment.limit) {
        return .fenceposts(end: end, words)
      }
    } else if segment.top == nil {
      if address == segment.limit &- 32, size == 16 {
        return .terminator(byteCount: 32, words)
      }
      if address == segment.limit &- 16, size == 0 {
        return .terminator(byteCount: 16, words)
      }
    }
    if let top = segment.top, address < top, top &- address >= 32,
      field & scan.ground.forbiddenFlags == 0, size == segment.limit &- address
    {
      return .acrossTop(words)
    }
    return .damaged(words)
  }

  /// The header at `address`, from the window, which is moved there if it must, or from a look ahead.
  private mutating func words(
    at address: UInt64, in segment: Segment
  ) throws(ReadFault) -> HeaderWords? {
    let needed = min(scan.ground.headerReach, segment.readLimit &- address)
    if !window.holds(address, needed) {
      if let words = try farHeaders.words(at: address, limit: segment.readLimit, reader: reader),
        scan.isPlausible(words.field, at: address)
      {
        return words
      }
      // The links behind the header may be on a page that was never touched; then none are there.
      _ = try window.move(
        to: address, holding: needed, limit: segment.readLimit, reader: reader)
      noteSwappedLinks(of: address)
    }
    return window.header(at: address)
  }

  /// The first words of the chunk at `address`, nil if they are not wanted; zeros where they are on a page
  /// that was never touched.
  func beginning(at address: UInt64) -> Beginning? {
    guard scan.ground.keepsBeginnings else { return nil }
    if !window.holds(address, 32), let far = farHeaders.beginning(at: address) { return far }
    return Beginning((0..<8).map { window.word(at: address &+ 16 &+ 8 &* $0) ?? 0 })
  }

  /// The end of the two or three 16-byte pseudo-chunks that end a segment of the main arena.
  func fencepostsEnd(at address: UInt64, limit: UInt64) -> UInt64? {
    var end = address
    while end < address &+ 48, end < limit, let field = window.word(at: end &+ 8),
      field & ~1 == 16
    {
      end &+= 16
    }
    return end >= address &+ 32 ? end : nil
  }
}
