// Memory for many chunks, which grows without moving.

import HeapModel
import RemoteMemory

/// Chunks in blocks of which none ever moves.
///
/// An array that has no more room copies all it holds: of a million chunks in 20 ms, for which a stopped
/// target would have to wait. Here only a new block begins.
struct ChunkBlocks: Sendable {
  /// How many chunks a block holds: 36 MiB, of which what is not touched costs nothing.
  ///
  /// glibc gives a block of more than 32 MiB a mapping of its own, so that it is given back when it goes.
  private static let blockCount = 3 << 19

  /// The blocks that are full.
  private var full: [[Chunk]] = []
  private var current: [Chunk] = []
  /// Whether they are in huge pages; where a stopped target waits while they are filled, making one takes half a
  /// millisecond.
  private let inHugePages: Bool
  /// How many chunks more will come, as far as is known, for which there is no block yet.
  private var expected = 0
  /// What makes the pages of the block that is being filled.
  private var preparation: PagePreparation?

  init(inHugePages: Bool) {
    self.inHugePages = inHugePages
  }

  /// Prepares for `count` chunks more, or somewhat fewer.
  mutating func expect(_ count: Int) {
    expected = max(0, count - (current.capacity - current.count))
  }

  var count: Int { full.reduce(current.count) { $0 + $1.count } }
  var last: Chunk? { current.last ?? full.last?.last }

  mutating func reserve(_ count: Int) { current.reserveCapacity(count) }

  mutating func append(_ chunk: Chunk) {
    if current.count == current.capacity { beginBlock() }
    current.append(chunk)
  }

  mutating func append(_ chunks: [Chunk]) {
    let fitting = min(chunks.count, current.capacity - current.count)
    current += chunks[..<fitting]
    if fitting < chunks.count {
      beginBlock()
      current += chunks[fitting...]
    }
  }

  /// Removes all, and keeps the memory of the block that is being filled.
  mutating func removeAll() {
    full = []
    current.removeAll(keepingCapacity: true)
  }

  mutating func removeLast() {
    if current.isEmpty, let block = full.popLast() { current = block }
    if !current.isEmpty { current.removeLast() }
  }

  /// Keeps every second one, in the same memory.
  mutating func thin() {
    var kept = 0
    for index in Swift.stride(from: 0, to: current.count, by: 2) {
      current[kept] = current[index]
      kept += 1
    }
    current.removeLast(current.count - kept)
  }

  private mutating func beginBlock() {
    if !current.isEmpty { full.append(current) }
    current = Self.room(for: Self.blockCount, inHugePages: inHugePages)
    preparation = prepare(&current, for: expected)
    expected = max(0, expected - Self.blockCount)
  }

  /// Starts to make the pages of room for so many chunks, if they are huge: small ones are made one by one, in the
  /// pauses between stops.
  private func prepare(_ room: inout [Chunk], for count: Int) -> PagePreparation? {
    guard inHugePages, count > 0 else { return nil }
    return PagePreparation([room.extent(ofFirst: count)], areUnused: false)
  }

  private static func room(for count: Int, inHugePages: Bool) -> [Chunk] {
    if inHugePages { return [Chunk](hugeCapacity: count) }
    var room: [Chunk] = []
    room.reserveCapacity(count)
    return room
  }

  func forEach(_ body: (Chunk) -> Void) {
    for block in blocks { block.forEach(body) }
  }

  /// All blocks, the one that is being filled last.
  var blocks: [[Chunk]] { full + [current] }

  /// Gives up all in one array, ascending by address: as far as they were added so, by putting the pieces of
  /// that in order.
  ///
  /// A block goes when the last of it was copied, so that there are never two of each.
  mutating func takeAll() -> [Chunk] {
    full.append(current)
    current = []
    preparation = nil
    var pieces = full.indices.flatMap { Self.pieces(of: full[$0], block: $0) }
    if full.count == 1, pieces.count < 2 { return full.removeLast() }
    // The next one is the last, and mostly what is left of one goes in near there, too.
    pieces.sort { $0.first > $1.first }
    var left = full.map(\.count)
    let count = left.reduce(0, +)
    var chunks = Self.room(for: count, inHugePages: inHugePages)
    let preparation = prepare(&chunks, for: count)
    defer { withExtendedLifetime(preparation) {} }
    while var piece = pieces.popLast() {
      if let next = pieces.last?.first,
        next < full[piece.block][piece.range.upperBound - 1].userAddress
      {
        let rest = piece.split(full[piece.block], after: next)
        pieces.insert(rest, at: pieces.partitionPoint(before: { $0.first > rest.first }))
      }
      chunks += full[piece.block][piece.range]
      left[piece.block] -= piece.range.count
      if left[piece.block] == 0 { full[piece.block] = [] }
    }
    full = []
    return chunks
  }

  private static func pieces(of block: [Chunk], block number: Int) -> [Piece] {
    var pieces: [Piece] = []
    var start = 0
    for index in block.indices
    where index + 1 == block.count || block[index + 1].userAddress < block[index].userAddress {
      pieces.append(
        Piece(block: number, range: start..<index + 1, first: block[start].userAddress))
      start = index + 1
    }
    return pieces
  }
}

/// A part of a block of chunks that ascends by address.
private struct Piece {
  /// The number of the block.
  var block: Int
  /// The chunks; there is at least one.
  var range: Range<Int>
  /// The address of the first one.
  var first: RemoteAddress

  /// Keeps the chunks up to `address`, and returns the others, of which there is at least one.
  mutating func split(_ chunks: [Chunk], after address: RemoteAddress) -> Piece {
    let end = chunks[range].partitionPoint(before: { $0.userAddress <= address })
    let rest = Piece(block: block, range: end..<range.upperBound, first: chunks[end].userAddress)
    range = range.lowerBound..<end
    return rest
  }
}
