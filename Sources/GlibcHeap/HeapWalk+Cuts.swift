// Chunks that a thread is cutting in two or merging when it is stopped: for a moment one has no header, and
// what stands there may be that of a chunk of the past.
//
// malloc does not clear what it frees, so that such headers often lead on for a while. What is true is told
// by four witnesses: headers that do not contradict each other over a long way, feet of free chunks, lists
// that lead to a chunk, and the size that the thread has in its registers.

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
    var end: UInt64?
    if let known = headerlessRest, known.lowerBound.bits == broken {
      end = known.upperBound.bits
    } else {
      let rest = try heldEnd(of: broken, in: segment)
      // The pending chunk may be what has no header yet: what stands there leads nowhere.
      let pending = try heldEnd(of: scan.chunk, in: segment)
      if let pending, pending.weight > rest?.weight ?? 0 {
        takePending(to: pending.end)
        return pending.end
      }
      end = rest?.end
      if end == nil { end = try splitEnd(from: broken, in: segment) }
    }
    if let end {
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

  /// Where a chunk without header that begins at `address` ends if a thread inside malloc has its size in
  /// its hands, about to write it, and how much speaks for that; nil if none has.
  private mutating func heldEnd(
    of address: UInt64, in segment: Segment
  ) throws(ReadFault) -> (end: UInt64, weight: Int)? {
    let hands = try hands()
    let weight = hands.words.contains(address) ? 2 : 0
    var best: (end: UInt64, weight: Int)?
    for (size, isInRegister) in hands.sizes where scan.ground.boundary &- address >= size {
      let end = address &+ size
      var weight = weight + (isInRegister ? 1 : 0)
      if try mergedChunk(before: end, after: address) != nil { weight += 2 }
      guard weight > best?.weight ?? 0, !marks.isAny(after: address, before: end),
        try isEnd(end, in: segment)
      else { continue }
      best = (end, weight)
    }
    return best
  }

  /// The free chunk that begins after `address` and ends at `end` and that was just taken out of its list,
  /// to be merged with what is before it; nil if there is none.
  private mutating func mergedChunk(
    before end: UInt64, after address: UInt64
  ) throws(ReadFault) -> UInt64? {
    guard let (size, field) = try look(at: end), field & 1 == 0, size & 15 == 0,
      size >= 32, size < end &- address
    else { return nil }
    let chunk = end &- size
    guard let (_, merged) = try look(at: chunk), merged & ~7 == size,
      let links = try neighbours(of: chunk), links.backOfForward == links.backward,
      links.forwardOfBack == links.forward
    else { return nil }
    return chunk
  }

  /// What threads inside malloc have in their registers and on their stacks in this stop.
  private mutating func hands() throws(ReadFault) -> Hands {
    if let known = knownHands, known.moment == progress.moment { return known }
    let inside = threads.filter { instance.code?.contains($0.programCounter) == true }
    let hands = Hands(
      moment: progress.moment, words: try heldWords(),
      registers: inside.map { $0.registers.map(instance.machine.untagged) })
    knownHands = hands
    return hands
  }

  /// Whether chunks lead on from `address`, as from the end of one.
  private mutating func isEnd(
    _ address: UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    if address == scan.ground.boundary { return true }
    guard let (_, field) = try probeHeader(at: address), scan.isPlausible(field, at: address)
    else { return false }
    return try leadsOn(from: address, in: segment)
  }

  /// Counts the pending chunk, which seems to reach over `mark`, where another begins, up to where it ends
  /// if it is one that has no header yet, and returns that; nil if it is none.
  ///
  /// What stands there instead is the header of a chunk that was there before. That there is one at `mark`
  /// is told by a mark, or by the foot at the end of both: then its neighbours in its list know it.
  mutating func takeSpanned(over mark: UInt64, in segment: Segment) throws(ReadFault) -> UInt64? {
    guard isArenaLocked, !isLive, !hasMetCut else { return nil }
    let whole = scan.chunk
    if marks.next != mark {
      guard let (_, field) = try probeHeader(at: mark), mark &+ (field & ~7) == whole &+ scan.size,
        try isLinked(mark)
      else { return nil }
    } else if marks.nextKind == .unsorted,
      let (foot, field) = try probeHeader(at: whole &+ scan.size),
      foot == scan.size, field & 1 == 0
    {
      // The rest is linked already of what is still in one piece.
      return nil
    }
    for (size, _) in try hands().sizes where size <= mark &- whole {
      if try leads(from: whole &+ size, to: mark, in: segment) {
        takePending(to: whole &+ size)
        return whole &+ size
      }
    }
    var end = whole &+ 32
    while end <= mark, insideStepsLeft > 0 {
      insideStepsLeft -= 1
      guard try moveProbe(to: &end, in: segment) else { continue }
      if try leads(from: end, to: mark, in: segment) {
        takePending(to: end)
        return end
      }
      end &+= 16
    }
    return nil
  }

  /// Whether headers lead from `start` to `mark`, and on from there.
  private mutating func leads(
    from start: UInt64, to mark: UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    var address = start
    while address < mark {
      guard insideStepsLeft > 0, let (_, field) = try probeHeader(at: address),
        scan.isPlausible(field, at: address)
      else { return false }
      insideStepsLeft -= 1
      address &+= field & ~7
    }
    guard address == mark else { return false }
    return try isEnd(start, in: segment)
  }

  /// Counts what begins with the pending chunk, and ends at `end`, as what a thread has in its hands.
  private mutating func takePending(to end: UInt64) {
    hasMetCut = true
    takeRest(from: scan.chunk, to: end)
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

  /// Forgets what was noted of the present arena as it was in another stop.
  mutating func forgetHeaderlessRest() {
    hasMetCut = false
    headerlessRest = nil
    window.blankWord = nil
    probe.blankWord = nil
    looksLeft = Self.mostLooks
    if let marked = markedUnsorted {
      // What is the first now begins elsewhere, and there may be no chunk any more.
      marks.remove(marked, .unsorted)
      markedUnsorted = nil
    }
  }

  /// How often what a thread has in its hands is compared with what is there, of one arena in one stop: each
  /// takes some 1 us.
  private static var mostLooks: Int { 1 << 10 }

  /// The two words of the header at `address`, nil if they cannot be read or too many were in this stop.
  private mutating func look(
    at address: UInt64
  ) throws(ReadFault) -> (previousSize: UInt64, field: UInt64)? {
    if probe.holds(address, 16) { return try probeHeader(at: address) }
    guard looksLeft > 0 else { return nil }
    looksLeft -= 1
    return try reader.words(at: RemoteAddress(address), count: 2).map { ($0[0], $0[1]) }
  }

  /// Notes where in `segment` the rest of a chunk that a thread is cutting in two lies, if that has no
  /// header yet.
  ///
  /// What stands there instead may look like a chunk that reaches into those behind it. So it is made out
  /// beforehand, and read as nothing.
  mutating func noteHeaderlessRest(in segment: Segment) throws(ReadFault) {
    guard isArenaLocked, !isLive, headerlessRest == nil else { return }
    if let merged = try mergedInHands(in: segment) {
      noteHeaderless(merged.lowerBound.bits, to: merged.upperBound.bits)
    }
    guard let rest = arena.firstUnsorted, rest > segment.start, rest < scan.ground.boundary,
      scan.ground.boundary &- rest >= 64
    else { return }
    if marks.insert(rest, .unsorted) { markedUnsorted = rest }
    if headerlessRest == nil, let end = try unsortedEnd(rest, in: segment) {
      noteHeaderless(rest, to: end)
    }
  }

  private mutating func noteHeaderless(_ start: UInt64, to end: UInt64) {
    headerlessRest = AddressRange(RemoteAddress(start), RemoteAddress(end))
    window.blankWord = start &+ 8
    probe.blankWord = window.blankWord
    // What was read before is as it was.
    window.forget()
    probe.forget()
  }

  /// A chunk that a thread is merging with the free one behind it, of which it has the address and the
  /// size in its registers, and that has no header yet.
  private mutating func mergedInHands(in segment: Segment) throws(ReadFault) -> AddressRange? {
    for registers in try hands().registers {
      let sizes = registers.map { $0 & ~7 }.filter(Hands.isSize)
      for start in registers
      where start & 15 == 0 && start > segment.start && start < scan.ground.boundary {
        for size in sizes where size <= scan.ground.boundary &- start {
          let end = start &+ size
          guard let merged = try mergedChunk(before: end, after: start),
            let (_, field) = try probeHeader(at: start), start &+ (field & ~7) != merged,
            field & ~7 != size, !marks.isAny(after: start, before: end),
            try isEnd(end, in: segment)
          else { continue }
          return AddressRange(RemoteAddress(start), RemoteAddress(end))
        }
      }
    }
    return nil
  }

  /// Where the first chunk of the unsorted bin ends if it is the rest of one that is being cut in two and
  /// has no header yet, nil if it has one: it is linked there before.
  ///
  /// What follows it still says how large the chunk was in one piece: from that, the other part begins,
  /// which has its new size already and ends where the rest begins.
  private mutating func unsortedEnd(
    _ rest: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    guard let (_, field) = try probeHeader(at: rest) else { return nil }
    let size = field & ~7
    if field & 1 != 0, scan.isPlausible(field, at: rest) {
      let next = rest &+ size
      let behind = try probeHeader(at: next)
      if let behind, behind.previousSize == size, behind.field & 1 == 0 { return nil }
      // On its way into the bin it has its size but not yet its foot, on its way out it is cut already.
      let hands = try hands()
      let isMoving =
        behind.map { $0.field & 1 == 0 } ?? false || hands.words.contains(next)
        || hands.sizes.contains { $0.size == size }
      if isMoving, !marks.isAny(after: rest, before: next), try isEnd(next, in: segment) {
        return nil
      }
    }
    return try cutEnd(rest, in: segment)
  }

  /// Where the rest of a chunk that was cut at `rest` ends, as what follows it has it; first of all where it
  /// ends if a thread has its size in its hands.
  private mutating func cutEnd(
    _ rest: UInt64, in segment: Segment
  ) throws(ReadFault) -> UInt64? {
    for (size, _) in try hands().sizes where scan.ground.boundary &- rest >= size {
      if try isCut(rest, end: rest &+ size, in: segment) { return rest &+ size }
    }
    var end = rest &+ 32
    let last = min(scan.ground.boundary, rest &+ Self.searchedRest)
    while end < last, restStepsLeft > 0 {
      restStepsLeft -= 1
      guard try moveProbe(to: &end, in: segment) else { continue }
      if try isCut(rest, end: end, in: segment) { return end }
      end &+= 16
    }
    return nil
  }

  /// Whether a chunk that ends at `end` was cut at `rest`.
  private mutating func isCut(
    _ rest: UInt64, end: UInt64, in segment: Segment
  ) throws(ReadFault) -> Bool {
    guard let (size, field) = try probeHeader(at: end), field & 1 == 0, size & 15 == 0 else {
      return false
    }
    let whole = end &- size
    guard whole < rest, rest &- whole >= 32, whole >= segment.start,
      size <= Self.searchedRest &* 64, isTouched(whole &+ 8),
      let (_, first) = try probeHeader(at: whole), first & ~7 == rest &- whole,
      !marks.isAny(after: rest, before: end)
    else { return false }
    return try isEnd(end, in: segment)
  }
}
