// The words of the heap that may be pointers into the heap.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many references are kept at most: 1 GiB.
  private static var referenceLimit: Int { 1 << 26 }
  /// Memory that is as near to each other counts as one piece when a word is compared with the heap's bounds.
  private static var pieceGap: UInt64 { 256 << 20 }
  /// So many references at most are in what is read at once.
  private static var largestRoom: Int { 2 * WalkBuffers.largestRead / 8 }
  /// How many pieces a word is compared with at most.
  private static var pieceLimit: Int { 8 }

  /// Reads all memory of the chunks of `collected` and keeps the words in it that are multiples of 8 and lead
  /// to where chunks are.
  ///
  /// It takes about as long again as the walk, and more if chunks are large, since their insides are read.
  /// Memory that cannot be read, is swapped out or was never touched holds none.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  mutating func collectReferences(in collected: inout CollectedHeap) throws(ReadFault) {
    let ranges = collected.memoryRanges.sorted { $0.lowerBound < $1.lowerBound }
    let pieces = Self.pieces(of: ranges + copies.otherMemory)
    var references = ReferenceBlocks(inHugePages: pacing == nil)
    window.forget()
    for range in ranges {
      var address = range.lowerBound.bits
      let limit = range.upperBound.bits
      while limit &- address >= 8, address < limit {
        if let pacing, pacing.isDue || references.room < Self.largestRoom {
          try pause(pacing) { references.makeRoom(Self.largestRoom) }
        }
        guard try window.move(to: address, holding: 8, limit: limit, reader: reader) else {
          address = window.nextResidentPage(after: address, limit: limit, reader: reader)
          continue
        }
        let end = min(limit, window.base &+ UInt64(window.count)) & ~7
        references.append(
          from: window.bytes, base: window.base, first: address, end: end, pieces: pieces)
        guard references.count < Self.referenceLimit else {
          log.add(
            .limitReached, at: address,
            "the search for references ended after \(references.count) of them")
          collected.references = references
          return
        }
        address = max(end, address &+ 8)
      }
    }
    collected.references = references
  }

  /// Lets the target run, does `work` meanwhile, and stops it again where nothing of the stops before matters any
  /// more.
  private mutating func pause(
    _ pacing: any WalkPacing, _ work: () -> Void
  ) throws(ReadFault) {
    pacing.letRun()
    work()
    if !pacing.hasStragglers { scan.chunks.lookAtBeginnings(pause: pacing.attend) }
    window.forget()
    setThreads(try pacing.proceed())
    progress.moment += 1
    pacing.beginWork()
    window.expectMore()
  }

  /// Where chunks are, in few pieces that may have gaps.
  private static func pieces(of ranges: [AddressRange]) -> [AddressRange] {
    var pieces: [AddressRange] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) where !range.isEmpty {
      guard let last = pieces.last,
        range.lowerBound.bits &- min(range.lowerBound.bits, last.upperBound.bits) <= pieceGap
          || pieces.count == pieceLimit
      else {
        pieces.append(range)
        continue
      }
      pieces[pieces.count - 1] = AddressRange(
        last.lowerBound, max(last.upperBound, range.upperBound))
    }
    return pieces
  }
}

/// References in blocks of which none ever moves, ascending by place as far as they were read so.
struct ReferenceBlocks: Sendable {
  /// How many a block holds: 16 MiB.
  private static let blockCount = 1 << 20

  /// Whether they are in huge pages; see `MemoryBlock`.
  private let inHugePages: Bool
  private var blocks: [[HeapReference]] = []
  private(set) var count = 0

  init(inHugePages: Bool = false) {
    self.inHugePages = inHugePages
  }

  private func newRoom(for count: Int) -> [HeapReference] {
    if inHugePages { return [HeapReference](hugeCapacity: count) }
    var room: [HeapReference] = []
    room.reserveCapacity(count)
    return room
  }

  /// Adds the words of `bytes`, which lie at `base` in the target, from `first` up to `end`.
  mutating func append(
    from bytes: RawSpan, base: UInt64, first: UInt64, end: UInt64, pieces: [AddressRange]
  ) {
    guard let low = pieces.first?.lowerBound.bits, let high = pieces.last?.upperBound.bits,
      end > first
    else { return }
    var offset = Int(first &- base)
    let limit = min(Int(end &- base), bytes.byteCount & ~7)
    let reach = high &- low
    while offset < limit {
      let word = bytes.word(at: offset)
      // Most words are none, and are seen to be none here.
      if word &- low < reach, word & 7 == 0,
        pieces.contains(where: { $0.contains(RemoteAddress(word)) })
      {
        add(
          HeapReference(
            place: RemoteAddress(base &+ UInt64(offset)), target: RemoteAddress(word)))
      }
      offset &+= 8
    }
  }

  private mutating func add(_ reference: HeapReference) {
    if room == 0 { blocks.append(newRoom(for: Self.blockCount)) }
    blocks[blocks.count - 1].append(reference)
    count &+= 1
  }

  /// How many more the present block takes.
  var room: Int { blocks.last.map { $0.capacity - $0.count } ?? 0 }

  /// Makes a new block if the present one takes less than `least` more; its memory is touched, which would take
  /// too long in a stop of the target.
  mutating func makeRoom(_ least: Int) {
    guard room < least else { return }
    var block = newRoom(for: Self.blockCount)
    let none = HeapReference(place: RemoteAddress(0), target: RemoteAddress(0))
    block.append(contentsOf: repeatElement(none, count: Self.blockCount))
    block.removeAll(keepingCapacity: true)
    blocks.append(block)
  }

  /// Gives up all in one array, ascending by place.
  mutating func takeAll() -> [HeapReference] {
    var all = newRoom(for: count)
    for index in blocks.indices {
      all += blocks[index]
      blocks[index] = []
    }
    self = ReferenceBlocks()
    let isAscending = all.indices.dropFirst().allSatisfy { all[$0 - 1].place <= all[$0].place }
    if !isAscending { all.sort { $0.place < $1.place } }
    return all
  }
}
