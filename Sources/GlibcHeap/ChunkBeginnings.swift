// The first bytes of chunks in use, kept from the stop in which they were read until somebody looks at them.

package import HeapModel
import RemoteMemory

/// What looks at the first bytes of chunks, once for each, while the target runs on.
package protocol BeginningsReader: AnyObject {
  /// Sets the types of `chunks`; `records` has a record for each, which `ChunkBeginnings` describes.
  func tell(_ chunks: inout MutableSpan<Chunk>, records: RawSpan)
}

/// The first eight words of a chunk's memory, which may reach beyond it.
typealias Beginning = SIMD8<UInt64>

/// Room for the size fields and the first bytes of many chunks, in blocks of which none ever moves.
///
/// A class, because what holds it is handed on as a value; one walk, on one thread, owns it at a time.
@safe package final class ChunkBeginnings {
  /// How many bytes of each chunk are kept.
  package static let byteCount = 64
  /// A record is the size field and these bytes, as they stand behind each other in memory.
  package static let recordSize = 8 + byteCount
  /// How many records a block has room for: 2 MiB.
  private static let blockCount = (2 << 20) / recordSize
  private static var blockSize: Int { blockCount * recordSize }
  /// For how many chunks room is made beforehand at most: 288 MiB.
  private static let mostPrepared = 1 << 22

  /// Who looks at them, on the thread that walks.
  let reader: any BeginningsReader
  /// Whether memory for what is kept is in huge pages; see `MemoryBlock`.
  let inHugePages: Bool
  private var blocks: [Block] = []
  /// What makes the blocks' pages, until it was waited for.
  private var preparation: PagePreparation?
  /// How many blocks are full, and how many records are in the next one.
  private var full = 0
  private var inNext = 0

  /// Begins to make room for `expected` chunks, in huge pages if they are wanted; when there are more, it grows.
  package init(expected: Int, inHugePages: Bool = true, reader: any BeginningsReader) {
    self.reader = reader
    self.inHugePages = inHugePages
    let count = max(0, min(expected, Self.mostPrepared)) / Self.blockCount + 1
    for _ in 0..<count { blocks.append(Block(inHugePages)) }
    // Without any expected, this may be in a stop.
    if expected > 0 {
      preparation = PagePreparation(blocks.map { $0.memory.extent }, areUnused: true)
    }
  }

  deinit {
    // The other thread may still write to the blocks.
    preparation = nil
  }

  /// Waits for the room that is being made, so that filling it faults nothing in.
  package func waitForRoom() {
    preparation?.finish()
    preparation = nil
  }

  /// Room for `blockCount` records.
  private final class Block {
    let memory: MemoryBlock

    init(_ inHugePages: Bool) {
      memory = MemoryBlock(byteCount: ChunkBeginnings.blockSize, inHugePages: inHugePages)
    }
  }

  /// How many records are kept.
  var count: Int { full * Self.blockCount + inNext }

  /// Room for those of another list of chunks: this one itself if nothing is kept any more.
  func another() -> ChunkBeginnings {
    count == 0 ? self : ChunkBeginnings(expected: 0, inHugePages: inHugePages, reader: reader)
  }

  /// Keeps a record.
  func append(field: UInt64, _ words: Beginning) {
    var room = room()
    room.append(field: field, words)
    take(room)
  }

  /// Forgets the last `removed` records.
  func removeLast(_ removed: Int) {
    let left = max(0, count - removed)
    full = left / Self.blockCount
    inNext = left % Self.blockCount
  }

  /// Forgets all, and keeps the room.
  func removeAll() { removeLast(count) }

  /// The size, without flags, of the chunk of the record at `place` in `records`.
  static func size(in records: RawSpan, at place: Int) -> UInt64 {
    records.word(at: place * recordSize) & ~7
  }

  /// How many of the records from number `index` on lie behind each other, at most `count`.
  func contiguous(from index: Int, count: Int) -> Int {
    min(count, Self.blockCount - index % Self.blockCount)
  }

  /// Calls `body` with `count` records from number `index` on, which lie behind each other.
  func withRecords(from index: Int, count: Int, _ body: (RawSpan) -> Void) {
    precondition(count <= contiguous(from: index, count: count), "they lie behind each other")
    unsafe body(RawSpan(_unsafeStart: record(index), byteCount: count * Self.recordSize))
  }

  private func record(_ index: Int) -> UnsafeMutableRawPointer {
    precondition(index >= 0 && index < count, "there is one with that number")
    let start = unsafe blocks[index / Self.blockCount].memory.start
    return unsafe start + index % Self.blockCount * Self.recordSize
  }

  // MARK: Room

  /// The free part of a block, at least one record, to be filled and handed back by `take`.
  @safe struct Room: RunKeeper {
    fileprivate var place: UnsafeMutableRawPointer
    fileprivate let end: UnsafeMutableRawPointer

    var isFull: Bool { unsafe place == end }

    @inline(__always)
    mutating func keep(_ bytes: RawSpan, at offset: Int) {
      let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset + 16, as: Beginning.self)
      append(field: bytes.word(at: offset + 8), words)
    }

    @inline(__always)
    fileprivate mutating func append(field: UInt64, _ words: Beginning) {
      unsafe place.storeBytes(of: field, as: UInt64.self)
      unsafe (place + 8).storeBytes(of: words, as: Beginning.self)
      unsafe place += ChunkBeginnings.recordSize
    }
  }

  /// Room for at least one record.
  func room() -> Room {
    if preparation != nil { waitForRoom() }
    if inNext == Self.blockCount {
      full += 1
      inNext = 0
    }
    if full == blocks.count { blocks.append(Block(inHugePages)) }
    let start = unsafe blocks[full].memory.start
    return unsafe Room(
      place: start + inNext * Self.recordSize, end: start + Self.blockSize)
  }

  /// Takes over what was put into `room`, the last that was given.
  func take(_ room: Room) {
    inNext = unsafe (room.place - blocks[full].memory.start) / Self.recordSize
  }
}
