// Chunks that are kept, in blocks of which none ever moves.

import HeapModel

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

  /// Adds one.
  mutating func append(_ chunk: Chunk) {
    if current.count == current.capacity { beginBlock() }
    current.append(chunk)
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
