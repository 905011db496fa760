// From one stop of the target to the next: what changed is read anew, and the walk goes on from the
// last chunk of the stop before.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How far behind the place where a stop's part began a broken chain can be due to movement: what a
  /// merged chunk has left of the headers in it leads to its end, unless it was written over.
  private static var staleReach: UInt64 { 1 << 20 }
  /// How often a place that does not look like a chunk is read again while the target runs.
  private static var liveTries: Int { 3 }

  /// Whether the target must be let run before the header at `address` is read.
  func mustProceed(before address: UInt64, after state: SegmentWalk, in segment: Segment) -> Bool {
    guard let pacing, address < segment.readLimit, segment.readLimit &- address >= 16,
      !window.holds(address, min(scan.ground.headerReach, segment.readLimit &- address)),
      !farHeaders.holds(address), pacing.isDue
    else { return false }
    // At least one chunk a stop.
    return !(state.hasPending && state.resumption?.address == scan.chunk)
  }

  /// Goes on in another stop from the pending chunk, which is verified there, and returns the
  /// segment's end if it now ends before that.
  mutating func proceed(
    _ state: inout SegmentWalk, in segment: inout Segment, _ summary: inout ArenaSummary
  ) throws(ReadFault) -> SegmentEnd? {
    let from = state.hasPending ? scan.chunk : state.address
    let size = state.hasPending ? scan.size : 0
    try nextMoment()
    try refresh(&segment)
    scan.ground.boundary = segment.top ?? segment.limit
    try noteHeaderlessRest(in: segment)
    marks.seek(to: from)
    if size < 4 * window.pageSize { window.expectMore() }
    let tries = state.resumption.map { $0.address == from ? $0.tries : 0 } ?? 0
    state.resumption = Resumption(address: from, size: size, tries: tries)
    state.hasPending = false
    state.isTopSplitting = false
    state.address = from
    if let top = segment.top, from > top {
      // What was walked behind it has become part of it, and stays counted as what it was.
      summary.topAddress = RemoteAddress(top)
      summary.topBytes = segment.limit &- min(segment.limit, from)
      if scan.ground.collectsChunks, summary.topBytes > 0 {
        scan.collect(from, size: summary.topBytes, .top)
      }
      return .top
    }
    return from >= segment.limit || isEndless ? .limit : nil
  }

  /// Lets the target run, stops it again, and reads anew what every part of the walk needs; what belongs
  /// to the present arena only if the walk goes on in it.
  mutating func nextMoment(ofArena goesOnInArena: Bool = true) throws(ReadFault) {
    guard let pacing else { return }
    pacing.letRun()
    // A symbol table can take a tenth of a second.
    if !pacing.hasStragglers { scan.chunks.lookAtBeginnings(pause: pacing.attend) }
    leaveFastbins()
    if goesOnInArena { try followFastbinsAhead() }
    try stopAgain(pacing)
    if pacing.stopsTarget {
      try reportMovement([arena])
      if goesOnInArena { try enterFastbins() }
      try markThreadCachesAgain()
    }
    pacing.beginWork()
    scan.ground.isMoving = isLive || changeMoment > arenaMoment
    prepareCaches()
    prepareFastbins()
  }

  /// Lets the target run, stops it again, and reads the present arena anew.
  mutating func stopAgain(_ pacing: any WalkPacing) throws(ReadFault) {
    pacing.letRun()
    // What was read ahead is waited for while the target runs.
    window.forget()
    probe.forget()
    farHeaders.forget()
    strayHeaps = nil
    setThreads(try pacing.proceed())
    progress.moment += 1
    try refreshArena()
  }

  /// Takes over what has changed of a segment.
  private mutating func refresh(_ segment: inout Segment) throws(ReadFault) {
    let top = arena.top.bits
    switch segment.place {
    case .programBreak:
      segment.limit = breakLimit(from: segment.start)
    case .heap(let heap):
      let now = heaps[arena.address]?.first { $0.start == heap.start }
      // One that is gone was empty; it ends where the walk is.
      segment.limit = now?.range.upperBound.bits ?? segment.start
    case .mapping:
      // Its end is where it was, but for the last one's, which moves with top.
      let end = try topEnd(from: segment.start) ?? segment.limit
      segment.limit = min(end, data.reachEnd(containing: segment.start) ?? end)
    }
    segment.top = top >= segment.start && top < segment.limit ? top : nil
  }

  // MARK: Movement

  /// Whether the chunk from which the walk goes on in this stop is not the one that it was and leads
  /// nowhere.
  ///
  /// A chunk that was split, or that has grown, still leads to others.
  mutating func hasMoved(
    _ words: HeaderWords, _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> Bool {
    guard let resumption = state.resumption, resumption.address == state.address,
      resumption.size != 0, resumption.size != words.field & ~7
    else { return false }
    return try !leadsOn(from: state.address, in: segment)
  }

  /// Whether a broken chain is due to what the target did between two looks.
  func isDueToMovement(_ state: SegmentWalk) -> Bool {
    guard pacing != nil else { return false }
    if isLive { return true }
    guard let resumption = state.resumption, changeMoment > arenaMoment else { return false }
    return state.address &- resumption.address <= Self.staleReach
  }

  /// Has the place read again where the chain is broken while the target runs, from the chunk before;
  /// returns whether that is worth while.
  mutating func looksAgain(_ state: inout SegmentWalk) -> Bool {
    guard isLive else { return false }
    let from = state.hasPending ? scan.chunk : state.address
    let tries = 1 + (state.resumption.map { $0.address == from ? $0.tries : 0 } ?? 0)
    guard tries <= Self.liveTries else { return false }
    window.forget()
    state.resumption = Resumption(address: from, size: 0, tries: tries)
    state.hasPending = false
    state.address = from
    marks.seek(to: from)
    return true
  }

  /// Finds where chunks can be made out again behind a place that has changed, and returns whether
  /// there is such a place.
  mutating func skipMovement(
    _ state: inout SegmentWalk, in segment: Segment, _ summary: inout ArenaSummary
  ) throws(ReadFault) -> Bool {
    let address = state.address
    if state.hasPending { finishPending(isInUse: true, before: nil) }
    let next = try resynchronise(from: address &+ 16, in: segment)
    let lost = (next ?? scan.ground.boundary) &- address
    summary.unaccountedBytes &+= lost
    progress.resynchronisations += 1
    progress.movedBytes &+= lost
    state.hasPending = false
    guard let next else {
      if let top = segment.top { try recordTop(top, field: nil, in: segment, &summary) }
      return false
    }
    state.address = next
    state.resumption = Resumption(address: next, size: 0)
    marks.seek(to: next)
    return true
  }

  /// Says what the walk in several stops could not see.
  mutating func reportProgress() {
    if progress.resynchronisations > 0 {
      log.add(
        .moved, at: nil, bytes: progress.movedBytes,
        "in \(progress.resynchronisations) places chunks had moved while the target ran; "
          + "\(progress.movedBytes) bytes there could not be attributed")
    }
    if progress.moment > 0, progress.busyMoments > 0 {
      log.add(
        .inTransit, at: nil,
        "in \(progress.busyMoments) of \(progress.moment + 1) stops a thread was inside malloc: "
          + "what it was moving counts as in use")
    }
  }
}
