// The hot loop: from chunk to chunk through bytes that are already ours.

import HeapModel
import RemoteMemory

/// A walk along one segment's chunks, and what it has counted in one arena so far.
///
/// A chunk's state is told by its successor's header, so one chunk is always pending. The scan
/// stops wherever it needs a decision or more bytes, and goes on from the same place.
struct ChainScan {
  /// Why the scan stopped; the pending chunk is not counted yet.
  enum Pause {
    /// The header at this address is not in the window.
    case needsBytes(at: UInt64)
    /// The pending chunk ends at the boundary.
    case boundary
    /// The header at `next` is not that of a chunk that fits.
    case irregular(next: UInt64)
    /// The pending chunk of an arena that is being changed reaches over `mark`, where another is, or ends
    /// where one ends that begins there.
    case spans(mark: UInt64)
  }

  /// What the arena and the segment look like.
  struct Ground {
    /// The arena's index, as chunks carry it.
    var arena: Int32
    /// No chunk reaches beyond this address: top, or the segment's end.
    var boundary: UInt64
    /// The flag bits that no size field may have here.
    var forbiddenFlags: UInt64
    /// The largest chunk size of a fastbin that is not empty, 0 if all are.
    var fastbinLimit: UInt64 = 0
    /// Which fastbins are not empty: bit i is that for chunks of 32 + 16 * i bytes.
    var fastbinMask: UInt64 = 0
    /// Where a fastbin's links may lead.
    var fastbinRange = AddressRange(RemoteAddress(0), RemoteAddress(0))
    /// How fastbin links are stored.
    var linking = ListLinking.masked
    /// Whether every chunk is to be kept.
    var collectsChunks = false
    /// Whether the first bytes of those in use are kept, too.
    var keepsBeginnings = false
    /// How many bytes of a chunk its owner may not write: the size field's, since the next chunk's first
    /// word is its owner's instead of its own; that one, too, where memory is tagged in units of 16 bytes.
    var unusable: UInt64 = 8
    /// The smallest size of chunks whose places are noted, and how far above it the others are.
    var watchedSize = UInt64.max
    var watchedReach: UInt64 = 0
    /// How many chunks a tcache's bin takes, so that of the watched chunks only those are noted whose
    /// counters can be a tcache's; nil if all are to be.
    var cacheFill: UInt64?
    /// How many watched chunks are noted: each is read once more.
    var watchedLimit = 1 << 16
    /// Whether the arena has changed since the walk of it began, so that a chunk that was the last of
    /// one stop can have become part of another.
    var isMoving = false
    /// Whether a thread was changing the arena, so that a chunk can be on its way from one list to another.
    var isLocked = false
    /// How many bytes from a header on must be there before its chunk is the pending one: the header and the
    /// links, or what is kept of its contents.
    var headerReach: UInt64 { keepsBeginnings ? 16 + UInt64(ChunkBeginnings.byteCount) : 32 }
    /// The second word of every chunk in a tcache, 0 if the tcaches' lists are known instead.
    var tcacheKey: UInt64 = 0
  }

  /// How many free chunks are remembered for telling which of them a broken list lacks: 8 MiB.
  static let freeChunkLimit = 1 << 18
  /// How many possible fastbin chunks of all arenas are remembered: 16 MiB.
  static let fastbinCandidateLimit = 1 << 20

  var ground: Ground
  /// The pending chunk and its size field.
  private(set) var chunk: UInt64 = 0
  private(set) var field: UInt64 = 0
  /// The pending chunk's first two words, kept when the window leaves it behind.
  private var savedLinks: (forward: UInt64, backward: UInt64) = (0, 0)
  /// Its first words, kept for the same reason if they are wanted at all.
  private(set) var savedBeginning = Beginning(repeating: 0)
  /// The chunk that was looked into because it reaches over others, and that has a header.
  var toleratedChunk = UInt64.max

  var inUse = Tally()
  var free = Tally()
  var cached = Tally()
  var structures = Tally()
  /// Checksums over the free chunks: their addresses, and where their list links lead.
  var addressSum: UInt64 = 0
  var forwardSum: UInt64 = 0
  var backwardSum: UInt64 = 0
  var freeChunks: [FreeChunk] = []
  /// Free chunks whose successors state another size, and how many are noted.
  var unmatched: [UnmatchedChunk] = []
  static let unmatchedLimit = 64
  var fastbinCandidates: [FastbinCandidate] = []
  /// How many of them are noted, and whether there were more.
  var candidateLimit = ChainScan.fastbinCandidateLimit
  var hasDroppedCandidates = false
  /// Those of the kept chunks that were found to be in a fastbin.
  var fastbinChunks: [UInt64] = []
  /// Chunks of the watched sizes.
  var watched: [UInt64] = []
  var chunks = ChunkStore()

  init(ground: Ground) {
    self.ground = ground
  }

  /// The pending chunk's size without flags.
  var size: UInt64 { field & ~7 }

  /// Makes the chunk at `address`, which has the header `words`, the pending one; `beginning` are its first
  /// words, if they are wanted.
  mutating func begin(at address: UInt64, _ words: HeaderWords, beginning: Beginning? = nil) {
    chunk = address
    field = words.field
    savedLinks = (words.forward, words.backward)
    if let beginning { savedBeginning = beginning }
  }

  /// Whether `field` can be the size field of a chunk at `address`.
  func isPlausible(_ field: UInt64, at address: UInt64) -> Bool {
    let size = field & ~7
    return field & ground.forbiddenFlags == 0 && size >= 32 && address <= ground.boundary
      && size <= ground.boundary &- address
  }

  /// Walks as far as the bytes in `source` allow.
  ///
  /// `isFinal` says that no bytes beyond the window will come: then a header may be the last thing
  /// in it; else its chunk's two links must be there too. `flat` and `large` are a size table's.
  mutating func run(
    _ source: borrowing Window, isFinal: Bool, marks: inout Marks,
    flat: inout [SizeCounts], large: inout [UInt64: SizeCounts], log: inout FindingLog
  ) -> Pause {
    let window = source.bytes
    let base = source.base
    let header = isFinal ? 16 : Int(ground.headerReach)
    guard window.byteCount >= header else { return .needsBytes(at: chunk &+ size) }
    let lastHeader = UInt64(window.byteCount - header)
    let ground = ground
    var chunk = chunk
    var field = field
    var counted = Tally()
    var nextMark = marks.next
    var pause: Pause
    var flat = flat.mutableSpan
    while true {
      if chunk >= base, nextMark >= chunk, !ground.collectsChunks || ground.keepsBeginnings {
        var run = PlainRun(chunk: chunk, field: field)
        let last = min(lastHeader, nextMark &- base)
        if ground.keepsBeginnings {
          keep(&run, through: window, base: base, lastHeader: last, ground, &flat)
        } else {
          var keeper = KeepsNothing()
          run.advance(
            through: window, base: base, lastHeader: last, ground: ground, flat: &flat,
            keeper: &keeper)
        }
        counted.count &+= run.count
        counted.bytes &+= run.chunk &- chunk
        chunk = run.chunk
        field = run.field
      }
      let size = field & ~7
      // Cannot wrap: a size is accepted only if it fits below the boundary.
      let next = chunk &+ size
      if ground.isLocked, nextMark < next, nextMark > chunk, chunk != toleratedChunk {
        pause = .spans(mark: nextMark)
        break
      }
      if next == ground.boundary {
        pause = .boundary
        break
      }
      let offset = next &- base
      guard offset <= lastHeader else {
        pause = .needsBytes(at: next)
        break
      }
      let nextField = window.word(at: Int(offset) + 8)
      let nextSize = nextField & ~7
      guard
        nextField & ground.forbiddenFlags == 0, nextSize >= 32,
        nextSize <= ground.boundary &- next
      else {
        pause = .irregular(next: next)
        break
      }
      if ground.isLocked, nextField & 1 == 0,
        chunk != toleratedChunk,
        let other = otherChunk(before: next, foot: window.word(at: Int(offset)), size: size)
      {
        pause = .spans(mark: other)
        break
      }
      if nextField & 1 != 0, nextMark >= next {
        let key = chunk >= base ? window.word(at: Int(chunk &- base) + 24) : savedLinks.backward
        let isKeyed = key == ground.tcacheKey && key != 0
        if isKeyed {
          cached.add(size: size)
        } else {
          counted.count &+= 1
          counted.bytes &+= size
        }
        if size < SizeTable.flatLimit {
          flat[Int(size >> 4)].add(isKeyed ? .tcache : .inUse)
        } else {
          large[size, default: SizeCounts()].add(isKeyed ? .tcache : .inUse)
        }
        if size <= ground.fastbinLimit {
          let stored = chunk >= base ? window.word(at: Int(chunk &- base) + 16) : savedLinks.forward
          noteFastbinCandidate(at: chunk, size: size, stored: stored, isCounted: isKeyed)
        }
        if size &- ground.watchedSize <= ground.watchedReach,
          chunk < base || mayBeCache(window, at: Int(chunk &- base), size: size)
        {
          noteWatched(chunk)
        }
        if ground.collectsChunks {
          collect(chunk, size: size, isKeyed ? .tcache : .inUse, from: window, base: base)
        }
      } else {
        let links =
          chunk >= base
          ? (
            forward: window.word(at: Int(chunk &- base) + 16),
            backward: window.word(at: Int(chunk &- base) + 24)
          ) : savedLinks
        let state = classify(
          chunk, size: size, isInUse: nextField & 1 != 0, links: links,
          previousSize: window.word(at: Int(offset)), marks: &marks, log: &log)
        nextMark = marks.next
        if ground.collectsChunks { collect(chunk, size: size, state, from: window, base: base) }
        if size < SizeTable.flatLimit {
          flat[Int(size >> 4)].add(state)
        } else {
          large[size, default: SizeCounts()].add(state)
        }
      }
      chunk = next
      field = nextField
    }
    inUse += counted
    if chunk >= base { saveLinks(of: chunk, from: window, base: base) }
    self.chunk = chunk
    self.field = field
    return pause
  }

  /// What the pending chunk reaches over, or ends with, as `Pause.spans` has it; nil if that is nothing.
  ///
  /// `header` is what follows it.
  func spanned(before header: HeaderWords?, marks: borrowing Marks) -> UInt64? {
    guard ground.isLocked, chunk != toleratedChunk else { return nil }
    let next = chunk &+ size
    if marks.next < next, marks.next > chunk { return marks.next }
    guard let header, header.field & 1 == 0 else { return nil }
    return otherChunk(before: next, foot: header.previousSize, size: size)
  }

  /// The chunk that ends at `next` and has `foot` bytes if that is another than the pending one of `size`.
  @inline(__always)
  private func otherChunk(before next: UInt64, foot: UInt64, size: UInt64) -> UInt64? {
    foot < size && foot & 15 == 0 && foot >= 32 ? next &- foot : nil
  }

  /// Counts the pending chunk, of which a header that is no chunk's, or none, says whether it is in
  /// use, as a chunk of `size` bytes.
  mutating func finish(
    size: UInt64, isInUse: Bool, previousSize: UInt64?, marks: inout Marks,
    sizes: inout SizeTable, log: inout FindingLog
  ) {
    if isInUse, marks.next >= chunk &+ size {
      let isKeyed = savedLinks.backward == ground.tcacheKey && ground.tcacheKey != 0
      if isKeyed { cached.add(size: size) } else { inUse.add(size: size) }
      sizes.update(size) { $0.add(isKeyed ? .tcache : .inUse) }
      if size <= ground.fastbinLimit {
        noteFastbinCandidate(
          at: chunk, size: size, stored: savedLinks.forward, isCounted: isKeyed)
      }
      if ground.collectsChunks { collect(chunk, size: size, isKeyed ? .tcache : .inUse) }
    } else {
      let state = classify(
        chunk, size: size, isInUse: isInUse, links: savedLinks, previousSize: previousSize,
        marks: &marks, log: &log)
      sizes.update(size) { $0.add(state) }
      if ground.collectsChunks { collect(chunk, size: size, state) }
    }
  }

  mutating func saveLinks(of chunk: UInt64, from window: RawSpan, base: UInt64) {
    let offset = chunk &- base
    guard offset <= UInt64(window.byteCount), UInt64(window.byteCount) &- offset >= 32 else {
      return
    }
    savedLinks = (window.word(at: Int(offset) + 16), window.word(at: Int(offset) + 24))
    guard ground.keepsBeginnings else { return }
    // What is not there is on a page that was never touched, or belongs to nobody any more.
    for index in savedBeginning.indices {
      let place = Int(offset) + 16 + 8 * index
      savedBeginning[index] = place + 8 <= window.byteCount ? window.word(at: place) : 0
    }
  }

  /// Decides the state of a chunk that is free or marked, counts it in the arena, and returns it.
  private mutating func classify(
    _ chunk: UInt64, size: UInt64, isInUse: Bool, links: (forward: UInt64, backward: UInt64),
    previousSize: UInt64?, marks: inout Marks, log: inout FindingLog
  ) -> ChunkState {
    var state = isInUse ? ChunkState.inUse : .binned
    while marks.next < chunk &+ size, let kind = marks.nextKind {
      let mark = marks.next
      marks.advance()
      if kind == .unsorted { continue }
      guard mark == chunk, isInUse else {
        if mark >= chunk { reportStray(mark, kind, in: chunk, size: size, state, log: &log) }
        continue
      }
      switch kind {
      case .unsorted: break
      case .structure:
        state = .internal
      case .cached(let allowed, let tid):
        state = .tcache
        if !allowed.contains(size) {
          log.add(
            .listDamage, at: chunk &+ 16,
            "the tcache list of thread \(tid) for chunks of \(allowed.lowerBound) bytes holds one of "
              + "\(size) bytes")
        }
      }
    }
    switch state {
    case .binned:
      free.add(size: size)
      addressSum &+= mixed(chunk)
      forwardSum &+= mixed(links.forward)
      backwardSum &+= mixed(links.backward)
      if freeChunks.count < Self.freeChunkLimit {
        freeChunks.append(
          FreeChunk(
            address: chunk, size: size, forward: links.forward, backward: links.backward))
      }
      if let previousSize, previousSize != size {
        let found = UnmatchedChunk(address: chunk, size: size, stated: previousSize)
        if unmatched.count < Self.unmatchedLimit {
          unmatched.append(found)
        } else {
          found.log(&log)
        }
      }
    case .tcache, .fastbin: cached.add(size: size)
    case .internal: structures.add(size: size)
    case .inUse, .top: inUse.add(size: size)
    }
    return state
  }

  /// Names a `mark` that is no chunk's in use: in the free one at `chunk`, or inside of that.
  private func reportStray(
    _ mark: UInt64, _ kind: Marks.Kind, in chunk: UInt64, size: UInt64, _ state: ChunkState,
    log: inout FindingLog
  ) {
    let list =
      switch kind {
      case .unsorted: "the unsorted bin"
      case .structure: "a thread's pointer to its tcache"
      case .cached(let sizes, let tid):
        "the tcache list of thread \(tid) for chunks of \(sizes.lowerBound) bytes"
      }
    let named = NamedChunk(userAddress: RemoteAddress(chunk &+ 16), size: size, state: state)
    let isMoment = ground.isMoving || ground.isLocked && mark == chunk
    log.add(
      isMoment ? .inTransit : .listDamage, at: mark &+ 16, chunk: named,
      mark == chunk
        ? "\(named.userAddress), of \(size) bytes, is in \(list) and in a bin"
          + (isMoment ? "" : ": it was freed twice")
        : "\(list) leads to \(RemoteAddress(mark &+ 16)), which is inside of the chunk \(named)")
  }

  /// Notes a chunk that may be in a fastbin; one with the key of a tcache, which counts as cached
  /// already, may have come there when its thread ended.
  private mutating func noteFastbinCandidate(
    at chunk: UInt64, size: UInt64, stored: UInt64, isCounted: Bool
  ) {
    guard ground.fastbinMask >> ((size >> 4) &- 2) & 1 != 0 else { return }
    let next = ground.linking.next(stored: stored, field: chunk &+ 16)
    guard next & 15 == 0, next == 0 || ground.fastbinRange.contains(RemoteAddress(next)) else {
      return
    }
    guard fastbinCandidates.count < candidateLimit else {
      hasDroppedCandidates = true
      return
    }
    fastbinCandidates.append(
      FastbinCandidate(address: chunk, size: size, next: next, isCounted: isCounted))
  }

  /// Notes the place of a chunk of a watched size.
  mutating func noteWatched(_ chunk: UInt64) {
    if watched.count < ground.watchedLimit { watched.append(chunk) }
  }

  /// Whether the chunk at `offset` in `window` can hold a tcache with chunks in it.
  private func mayBeCache(_ window: RawSpan, at offset: Int, size: UInt64) -> Bool {
    guard let fill = ground.cacheFill else { return true }
    return TcacheLayout.all.contains { layout in
      layout.isHeader(size) && layout.countersFit(window, at: offset + 16, fill: fill)
    }
  }

  /// Counts a chunk as cached in a fastbin, unless it counts as cached already.
  mutating func countAsFastbin(_ chunk: FastbinCandidate, sizes: inout SizeTable) {
    if ground.collectsChunks { fastbinChunks.append(chunk.address) }
    if chunk.isCounted { return }
    inUse.add(size: chunk.size, count: -1)
    cached.add(size: chunk.size)
    sizes.update(chunk.size) {
      $0.inUse -= 1
      $0.cached += 1
    }
  }

  /// Takes back that a chunk was counted, which is in no tcache and was none; not that it was kept.
  mutating func uncount(_ chunk: UInt64, size: UInt64, isInUse: Bool, sizes: inout SizeTable) {
    if isInUse {
      inUse.add(size: size, count: -1)
      sizes.update(size) { $0.inUse -= 1 }
      return
    }
    free.add(size: size, count: -1)
    sizes.update(size) { $0.free -= 1 }
    guard let place = freeChunks.lastIndex(where: { $0.address == chunk }) else { return }
    let removed = freeChunks.remove(at: place)
    addressSum &-= mixed(chunk)
    forwardSum &-= mixed(removed.forward)
    backwardSum &-= mixed(removed.backward)
  }
}

extension SizeCounts {
  /// Counts one chunk in `state`.
  fileprivate mutating func add(_ state: ChunkState) {
    switch state {
    case .inUse: inUse &+= 1
    case .binned: free &+= 1
    case .tcache, .fastbin: cached &+= 1
    case .top, .internal: break
    }
  }
}

/// Spreads an address over 64 bits, so that sums of them tell one set of addresses from another.
@inline(__always)
func mixed(_ address: UInt64) -> UInt64 {
  var value = address &* 0x9E37_79B9_7F4A_7C15
  value ^= value >> 32
  value &*= 0xD6E8_FEB8_6659_FD93
  return value ^ (value >> 32)
}
