// Chunks that a scan keeps, with the first bytes of those in use if they are wanted.

import HeapModel
import RemoteMemory

extension ChainScan {
  /// Advances `run` as `PlainRun.advance` does, and keeps its chunks with their first bytes.
  mutating func keep(
    _ run: inout PlainRun, through window: RawSpan, base: UInt64, lastHeader: UInt64,
    _ ground: Ground, _ flat: inout MutableSpan<SizeCounts>
  ) {
    guard let beginnings = chunks.beginnings,
      run.chunk &- base &+ ground.headerReach <= UInt64(window.byteCount)
    else { return }
    let (first, size) = (run.chunk, run.field & ~7)
    var count = 0
    var room = beginnings.room()
    while true {
      // The last header's chunk is the first that is not kept, but its first bytes are.
      run.advance(
        through: window, base: base,
        lastHeader: min(lastHeader, UInt64(window.byteCount) &- ground.headerReach),
        ground: ground, flat: &flat, keeper: &room)
      count += run.count
      beginnings.take(room)
      guard room.isFull else { break }
      room = beginnings.room()
    }
    run.count = count
    chunks.appendRun(kept(first, size: size, .inUse), count: count)
  }

  /// Keeps the pending chunk, of which `window`, which begins at `base`, may hold the beginning.
  mutating func collect(
    _ chunk: UInt64, size: UInt64, _ state: ChunkState, from window: RawSpan, base: UInt64
  ) {
    if ground.keepsBeginnings, state == .inUse, chunk >= base {
      saveLinks(of: chunk, from: window, base: base)
    }
    collect(chunk, size: size, state)
  }

  /// Keeps the chunk at `chunk`; if it is in use, it is the pending one, whose first words are saved.
  mutating func collect(_ chunk: UInt64, size: UInt64, _ state: ChunkState) {
    let kept = kept(chunk, size: size, state)
    if ground.keepsBeginnings, state == .inUse {
      chunks.append(kept, beginning: savedBeginning)
    } else {
      chunks.append(kept)
    }
  }

  @inline(__always)
  private func kept(_ chunk: UInt64, size: UInt64, _ state: ChunkState) -> Chunk {
    Chunk(
      userAddress: RemoteAddress(chunk &+ 16), size: size, usableSize: size &- ground.unusable,
      state: state, arena: ground.arena)
  }
}
