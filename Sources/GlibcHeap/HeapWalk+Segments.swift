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
    /// Whether it is the main arena's, which ends segments by fenceposts.
    var isMain: Bool

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
    case chunk(field: UInt64)
    case top(field: UInt64?)
    case limit
    case fenceposts(end: UInt64, field: UInt64)
    case terminator(byteCount: UInt64, field: UInt64)
    /// A chunk that reaches to the segment's end although top is inside of it: top was advanced, and
    /// the chunk's own header is not written yet.
    case acrossTop(field: UInt64)
    case damaged(field: UInt64)
    case unreadable
  }

  /// Walks `segment`, counting its chunks in `scan` and everything else in `summary`.
  mutating func walk(
    _ segment: Segment, _ summary: inout ArenaSummary
  ) throws(ReadFault) -> SegmentEnd {
    scan.ground.boundary = segment.top ?? segment.limit
    marks.seek(to: segment.start)
    var address = segment.start
    var hasPending = false
    var isTopSplitting = false
    while true {
      switch try header(at: address, in: segment) {
      case .chunk(let field):
        if hasPending { finishPending(isInUse: field & 1 != 0, next: address) }
        scan.begin(at: address, field: field)
        hasPending = true
        address = runScan(in: segment)
      case .top(let field):
        // Never free: what is freed before top becomes part of it. Its own flag can be garbage while
        // top is being split.
        if hasPending { finishPending(isInUse: true, next: nil) }
        recordTop(address, field: isTopSplitting ? nil : field, in: segment, &summary)
        return .top
      case .limit:
        if hasPending, segment.isMain {
          recordTop(scan.chunk, field: scan.field, in: segment, &summary)
        } else if hasPending {
          log.add(
            .inTransit, at: scan.chunk &+ 16,
            "the last chunk of the heap that ends at \(RemoteAddress(segment.limit)) has no "
              + "terminator behind it: the arena was moving to a new heap")
          finishPending(isInUse: true, next: nil)
        }
        return .limit
      case .fenceposts(let end, let field):
        if hasPending { finishPending(isInUse: field & 1 != 0, next: address) }
        summary.headerBytes &+= end &- address
        return .fenceposts(end: end)
      case .terminator(let byteCount, let field):
        if hasPending, byteCount == 16, isRemnant {
          summary.headerBytes &+= scan.size
        } else if hasPending {
          finishPending(isInUse: field & 1 != 0, next: address)
        }
        summary.headerBytes &+= byteCount
        return .limit
      case .acrossTop(let field):
        let top = segment.top ?? segment.limit
        if hasPending { finishPending(isInUse: field & 1 != 0, next: address) }
        log.add(
          .inTransit, at: address &+ 16,
          "top was being split: the chunk before it still reached to the end of the segment")
        scan.begin(at: address, field: top &- address | field & 7)
        hasPending = true
        isTopSplitting = true
        address = top
      case .damaged(let field):
        guard
          let next = try skipDamage(
            at: address, field: field, hasPending: hasPending, in: segment, &summary)
        else { return .lost }
        hasPending = false
        address = next
      case .unreadable:
        guard
          let next = try skipDamage(
            at: address, field: nil, hasPending: hasPending, in: segment, &summary)
        else { return .lost }
        hasPending = false
        address = next
      }
    }
  }

  /// Runs the hot loop over what the window holds and returns where the next header is.
  private mutating func runScan(in segment: Segment) -> UInt64 {
    let isFinal = window.base &+ UInt64(window.count) >= segment.readLimit
    let pause = scan.run(
      window, isFinal: isFinal, marks: &marks, flat: &sizes.flat, large: &sizes.large, log: &log)
    switch pause {
    case .needsBytes(let next): return next
    case .boundary: return scan.ground.boundary
    case .irregular(let next): return next
    }
  }

  /// Whether the pending chunk, the last one of a heap that is not the newest, is what was left of an
  /// old top too small to be freed: it lacks the flag that all chunks of thread arenas carry when
  /// they are handed out, and nobody holds it.
  private var isRemnant: Bool { scan.field & 0b100 == 0 && scan.size == 32 }

  mutating func finishPending(isInUse: Bool, next: UInt64?) {
    scan.finish(
      size: scan.size, isInUse: isInUse, previousSize: next.flatMap { window.word(at: $0) },
      marks: &marks, sizes: &sizes, log: &log)
  }

  mutating func recordTop(
    _ address: UInt64, field: UInt64?, in segment: Segment, _ summary: inout ArenaSummary
  ) {
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
    if let field, field & ~7 != size {
      // It lags behind while the segment grows or shrinks; what cannot be a size is damage.
      let isSize = field & 0b1110 == 0 && field & ~7 <= HeapInfoLayout.defaultHeapMaximum &+ size
      log.add(
        isSize ? .inTransit : .arenaDamage, at: address &+ 16,
        "the top chunk's header says \(field & ~7) bytes, \(size) are left to the segment's end")
    }
    if scan.ground.collectsChunks { scan.collect(address, size: size, .top) }
  }

  private mutating func header(
    at address: UInt64, in segment: Segment
  ) throws(ReadFault) -> Header {
    let needed = min(32, segment.readLimit &- address)
    if needed < 16 {
      return address == segment.top ? .top(field: nil) : .limit
    }
    if !window.holds(address, needed) {
      // The links behind the header may be on a page that was never touched; then none are there.
      _ = try window.move(
        to: address, holding: needed, limit: segment.readLimit, reader: reader)
      if !window.holds(address, 16) {
        return address == segment.top ? .top(field: nil) : .unreadable
      }
    }
    guard let field = window.word(at: address &+ 8) else { return .unreadable }
    if address == segment.top { return .top(field: field) }
    if scan.isPlausible(field, at: address) { return .chunk(field: field) }
    let size = field & ~7
    if segment.isMain {
      if let end = fencepostsEnd(at: address, limit: segment.limit) {
        return .fenceposts(end: end, field: field)
      }
    } else if segment.top == nil {
      if address == segment.limit &- 32, size == 16 {
        return .terminator(byteCount: 32, field: field)
      }
      if address == segment.limit &- 16, size == 0 {
        return .terminator(byteCount: 16, field: field)
      }
    }
    if let top = segment.top, address < top, top &- address >= 32,
      field & scan.ground.forbiddenFlags == 0, size == segment.limit &- address
    {
      return .acrossTop(field: field)
    }
    return .damaged(field: field)
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
