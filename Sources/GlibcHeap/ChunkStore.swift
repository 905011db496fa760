// Chunks that are kept, in the order in which a walk meets them.

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
/// If the first bytes of those in use are kept, too, most come as runs of which only that is kept: with the
/// size fields it tells the rest, which is worked out when somebody looks at them.
struct ChunkStore {
  private var chunks: ChunkBlocks
  /// Chunks that nobody has looked at yet, if their first bytes are kept.
  private var pending = ChunkBlocks(inHugePages: false)
  /// The first bytes of those of them that are marked, and of the chunks of runs.
  let beginnings: ChunkBeginnings?
  /// Nil if all are kept.
  private let sample: ChunkSample?
  /// Of how many chunks of the sample's sizes one is kept, and how many there were.
  private var stride = 1
  private var seen = 0

  /// What a pending chunk carries that has a record, and what stands for a run: its address is that of the
  /// first chunk, its size the number of chunks.
  private enum Mark {
    static let hasRecord = UInt32.max
    static let isRun = UInt32.max - 1
  }

  /// Makes an empty list, which keeps all chunks or a sample; with `beginnings`, all, and their first bytes
  /// there.
  init(_ sample: ChunkSample? = nil, beginnings: ChunkBeginnings? = nil) {
    self.sample = beginnings == nil ? sample : nil
    self.beginnings = beginnings
    chunks = ChunkBlocks(inHugePages: beginnings?.inHugePages ?? false)
    if let sample { chunks.reserve(sample.limit) }
  }

  /// Adds one, if it is wanted.
  mutating func append(_ chunk: Chunk) {
    guard beginnings == nil else { return pending.append(chunk) }
    guard let sample else { return chunks.append(chunk) }
    guard sample.sizes.contains(chunk.size) else { return }
    seen += 1
    guard (seen - 1).isMultiple(of: stride) else { return }
    if chunks.count == sample.limit {
      chunks.thin()
      stride *= 2
    }
    guard (seen - 1).isMultiple(of: stride) else { return }
    chunks.append(chunk)
  }

  /// Adds one in use whose first words are `beginning`.
  mutating func append(_ chunk: Chunk, beginning: Beginning) {
    guard let beginnings else { return append(chunk) }
    var chunk = chunk
    chunk.held = Mark.hasRecord
    pending.append(chunk)
    beginnings.append(field: chunk.size, beginning)
  }

  /// Adds `count` chunks in use that follow each other from `first` on, whose records were put into
  /// `beginnings`; they are like `first` but for their sizes.
  mutating func appendRun(_ first: Chunk, count: Int) {
    guard count > 0 else { return }
    var run = first
    run.size = UInt64(count)
    run.held = Mark.isRun
    pending.append(run)
  }

  /// Has the chunks looked at that nobody has looked at; `pause` is called every so often.
  mutating func lookAtBeginnings(pause: () -> Void = {}) {
    guard let beginnings else { return }
    // Without closures that share variables: each access to those is checked when it is made.
    chunks.expect(pending.count + beginnings.count)
    var batch = ChunkBatch(beginnings, into: chunks)
    chunks = ChunkBlocks(inHugePages: beginnings.inHugePages)
    for block in pending.blocks {
      for entry in block {
        switch entry.held {
        case Mark.isRun:
          var chunk = entry
          chunk.held = 0
          for _ in 0..<entry.size {
            chunk.size = batch.nextSize
            batch.append(chunk, pause)
            chunk.userAddress = RemoteAddress(chunk.userAddress.bits &+ chunk.size)
          }
        case Mark.hasRecord:
          var chunk = entry
          chunk.held = 0
          batch.append(chunk, pause)
        default:
          batch.tell(pause)
          batch.looked.append(entry)
        }
      }
    }
    batch.tell(pause)
    chunks = batch.looked
    pending.removeAll()
    beginnings.removeAll()
  }

  /// Calls `body` with the chunks that `entry`, whose first record has the number `record`, stands for.
  @inline(__always)
  private static func forEachChunk(
    of entry: Chunk, record: Int, _ beginnings: ChunkBeginnings, _ body: (Chunk) -> Void
  ) {
    var chunk = entry
    chunk.held = 0
    guard entry.held == Mark.isRun else { return body(chunk) }
    var (index, left) = (record, Int(entry.size))
    while left > 0 {
      let count = beginnings.contiguous(from: index, count: left)
      beginnings.withRecords(from: index, count: count) { records in
        for place in 0..<count {
          chunk.size = ChunkBeginnings.size(in: records, at: place)
          body(chunk)
          chunk.userAddress = RemoteAddress(chunk.userAddress.bits &+ chunk.size)
        }
      }
      index += count
      left -= count
    }
  }

  /// Removes those at the end whose user addresses are `address` or more.
  mutating func removeLast(from address: RemoteAddress) {
    while let last = pending.last, let beginnings {
      switch last.held {
      case Mark.isRun:
        var kept = 0
        let count = Int(last.size)
        Self.forEachChunk(of: last, record: beginnings.count - count, beginnings) { chunk in
          if chunk.userAddress < address { kept += 1 }
        }
        if kept == count { return }
        pending.removeLast()
        beginnings.removeLast(count - kept)
        var run = last
        run.size = UInt64(kept)
        if kept > 0 { return pending.append(run) }
      case let mark:
        guard last.userAddress >= address else { return }
        pending.removeLast()
        if mark == Mark.hasRecord { beginnings.removeLast(1) }
      }
    }
    while let last = chunks.last, last.userAddress >= address { chunks.removeLast() }
  }

  /// Calls `body` with each of them.
  func forEach(_ body: (Chunk) -> Void) {
    chunks.forEach(body)
    guard let beginnings else { return }
    var next = 0
    pending.forEach { entry in
      Self.forEachChunk(of: entry, record: next, beginnings, body)
      if entry.held == Mark.isRun { next += Int(entry.size) }
      if entry.held == Mark.hasRecord { next += 1 }
    }
  }

  /// Gives up all of them in one array, after they were looked at; mostly they ascend by address.
  mutating func takeAll() -> [Chunk] {
    lookAtBeginnings()
    return chunks.takeAll()
  }
}

/// Chunks that are shown together to who looks at their first bytes.
private struct ChunkBatch {
  /// How many at most.
  private static let most = 4096

  private let beginnings: ChunkBeginnings
  /// Those that were looked at.
  var looked: ChunkBlocks
  private var chunks: [Chunk] = []
  /// The number of the first record of those whose sizes are known, which lie behind each other.
  private var first = 0
  /// The sizes that these records state.
  private var sizes: [UInt64] = []
  /// How many of them are of chunks that were shown.
  private var shown = 0

  init(_ beginnings: ChunkBeginnings, into looked: ChunkBlocks) {
    self.beginnings = beginnings
    self.looked = looked
    chunks.reserveCapacity(Self.most)
    sizes.reserveCapacity(Self.most)
    prepare()
  }

  /// The size of the chunk of the next record.
  var nextSize: UInt64 { sizes[shown + chunks.count] }

  /// Adds the chunk of the next record.
  mutating func append(_ chunk: Chunk, _ pause: () -> Void) {
    chunks.append(chunk)
    if shown + chunks.count == sizes.count { tell(pause) }
  }

  /// Shows what has gathered.
  mutating func tell(_ pause: () -> Void) {
    guard !chunks.isEmpty else { return }
    let beginnings = beginnings
    beginnings.withRecords(from: first + shown, count: chunks.count) { records in
      var chunks = chunks.mutableSpan
      beginnings.reader.tell(&chunks, records: records)
    }
    shown += chunks.count
    looked.append(chunks)
    chunks.removeAll(keepingCapacity: true)
    if shown == sizes.count { prepare() }
    pause()
  }

  /// Reads the sizes of the next records.
  private mutating func prepare() {
    first += shown
    shown = 0
    sizes.removeAll(keepingCapacity: true)
    let beginnings = beginnings
    let count = beginnings.contiguous(
      from: first, count: min(Self.most, beginnings.count - first))
    guard count > 0 else { return }
    beginnings.withRecords(from: first, count: count) { records in
      for place in 0..<count { sizes.append(ChunkBeginnings.size(in: records, at: place)) }
    }
  }
}
