// Chunks that are kept, in blocks of which none ever moves.

import HeapModel

/// Which chunks are kept, where not all are wanted: so many, spread evenly over those of some sizes.
package struct ChunkSample: Hashable, Sendable {
  /// The sizes wanted.
  package var sizes: ClosedRange<UInt64>
  /// How many are kept at most; when there are more, every second one goes.
  package var limit: Int

  /// Makes a choice; a limit below 2 counts as 2.
  package init(sizes: ClosedRange<UInt64> = 0...UInt64.max, limit: Int) {
    self.sizes = sizes
    self.limit = max(2, limit)
  }
}

/// A growing list of chunks.
///
/// An array that has no more room copies all it holds: of a million chunks in 20 ms, for which a stopped
/// target would have to wait. Here only a new block begins.
struct ChunkStore: Sendable {
  /// How many chunks a block holds: 40 MiB, of which what is not touched costs nothing.
  ///
  /// glibc gives a block of more than 32 MiB a mapping of its own, so that it is given back when it goes.
  private static let blockCount = 1 << 20

  /// The blocks that are full.
  private var full: [[Chunk]] = []
  private var current: [Chunk] = []
  /// Nil if all are kept.
  private let sample: ChunkSample?
  /// Of how many chunks of the sample's sizes one is kept, and how many there were.
  private var stride = 1
  private var seen = 0

  /// Makes an empty list, which keeps all chunks or a sample.
  init(_ sample: ChunkSample? = nil) {
    self.sample = sample
    if let sample { current.reserveCapacity(sample.limit) }
  }

  /// Adds one, if it is wanted.
  mutating func append(_ chunk: Chunk) {
    if let sample {
      guard sample.sizes.contains(chunk.size) else { return }
      seen += 1
      guard (seen - 1).isMultiple(of: stride) else { return }
      if current.count == sample.limit { thin() }
      guard (seen - 1).isMultiple(of: stride) else { return }
      current.append(chunk)
      return
    }
    if current.count == current.capacity { beginBlock() }
    current.append(chunk)
  }

  /// Removes those at the end whose user addresses are `address` or more.
  mutating func removeLast(from address: RemoteAddress) {
    while let last = current.last, last.userAddress >= address { current.removeLast() }
  }

  /// Keeps every second one, in the same memory.
  private mutating func thin() {
    var kept = 0
    for index in Swift.stride(from: 0, to: current.count, by: 2) {
      current[kept] = current[index]
      kept += 1
    }
    current.removeLast(current.count - kept)
    stride *= 2
  }

  private mutating func beginBlock() {
    if !current.isEmpty { full.append(current) }
    current = []
    current.reserveCapacity(Self.blockCount)
  }

  /// Calls `body` with each of them.
  func forEach(_ body: (Chunk) -> Void) {
    for block in full { block.forEach(body) }
    current.forEach(body)
  }

  /// All of them in one array; blocks go as they are copied, so that there are never two of each.
  consuming func joined() -> [Chunk] {
    let count = full.reduce(current.count) { $0 + $1.count }
    var chunks: [Chunk] = []
    chunks.reserveCapacity(count)
    for index in full.indices {
      chunks += full[index]
      full[index] = []
    }
    chunks += current
    return chunks
  }
}
