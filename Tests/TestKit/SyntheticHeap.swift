// A process with a glibc heap that was put together byte by byte, and the truth about it.

package import HeapModel
package import RemoteMemory

/// One chunk of a synthetic heap, with more of it than a walk tells.
package struct SyntheticChunk: Hashable, Sendable {
  /// Where its header begins.
  package var address: UInt64
  /// Its size with header.
  package var size: UInt64
  /// What it is.
  package var state: ChunkState
  /// Its arena's place in the ring.
  package var arena: Int
  /// Whether it was cut off the end of a full segment and given to nobody.
  package var isRemnant = false

  /// The pointer that the program would hold.
  package var user: UInt64 { address + 16 }
  /// Where the next chunk begins.
  package var end: UInt64 { address + size }
}

/// One run of chunks of a synthetic arena: a segment or heap.
package struct SyntheticSegment: Sendable {
  /// What follows the last chunk.
  package enum Tail: Hashable, Sendable {
    /// The arena's unused rest.
    case top
    /// Two or three 16-byte pseudo-chunks at the end of a segment of the main arena.
    case fenceposts(Int)
    /// The end of a full thread heap; `isMerged` if the pseudo-chunk became part of a remnant.
    case terminator(isMerged: Bool)
  }

  /// Its arena's place in the ring.
  package var arena: Int
  /// From its first chunk to its end.
  package var range: AddressRange
  /// What follows its last chunk.
  package var tail: Tail
  /// Without the tail, but with top.
  package var chunks: [SyntheticChunk] = []

  /// The end in bits.
  package var end: UInt64 { range.upperBound.bits }
}

/// A thread's tcache in a synthetic heap.
package struct SyntheticTcache: Sendable {
  /// The index of the thread in the heap's threads.
  package var thread: Int
  /// Where its structure lies (the user pointer of its chunk).
  package var structure: UInt64 = 0
  /// For each bin, the user pointers in it, first out first.
  package var bins: [[UInt64]]
}

/// An arena of a synthetic heap: where everything in it is.
package struct SyntheticArena: Sendable {
  /// Where its structure is.
  package var address: UInt64
  /// What a walk shall say of it.
  package var summary: ArenaSummary
  /// The heaps of a thread arena, oldest first; the whole, from the header on.
  package var heaps: [AddressRange] = []
  /// Chunk addresses in each fastbin, first out first.
  package var fastbins = [[UInt64]](repeating: [], count: 10)
  /// For each bin number from 1, the chunks in the order of its forward links.
  package var bins: [Int: [SyntheticChunk]] = [:]
  /// Whether the main arena's memory is no longer from the break alone.
  package var isNonContiguous = false
}

/// A process that does not exist, its malloc heap, and the truth about that heap.
package struct SyntheticHeap: Sendable {
  /// What it was built from.
  package var plan: SyntheticPlan
  /// Its memory and mappings.
  package var memory: SyntheticMemory
  /// Its threads, the main thread first.
  package var threads: [ThreadState]
  /// The mapped ELF files; the one with malloc is among them.
  package var images: [LoadedImage]
  /// Where `main_arena` is.
  package var mainArena: RemoteAddress
  /// Where `mp_` is.
  package var parameters: RemoteAddress
  /// The arenas in ring order.
  package var arenas: [SyntheticArena]
  /// All arenas' runs of chunks.
  package var segments: [SyntheticSegment]
  /// The tcaches of those threads that have one.
  package var tcaches: [SyntheticTcache]
  /// Chunks with mappings of their own, ascending.
  package var mmapped: [Chunk]
  /// The mappings of those chunks, in the same order.
  package var mmappedMappings: [AddressRange]
  /// `mp_.mmapped_mem` less the sum of the mappings: 16 for each resize in 2.43 and 2.44.
  package var mmappedDrift: UInt64

  /// The glibc build.
  package var shape: GlibcShape { plan.shape }
  /// Its memory as a walk reads it.
  package var image: MemoryImage { memory.image }
  /// Its mappings, ascending.
  package var mappings: [MemoryMapping] { memory.mappings }

  /// All chunks of arenas, ascending by address, without remnants.
  package var arenaChunks: [SyntheticChunk] {
    segments.flatMap(\.chunks).filter { !$0.isRemnant }.sorted { $0.address < $1.address }
  }

  /// Every chunk that a walk shall find, ascending by address.
  package var chunks: [Chunk] {
    let inArenas = arenaChunks.map { chunk in
      Chunk(
        userAddress: RemoteAddress(chunk.user), size: chunk.size, usableSize: chunk.size - 8,
        state: chunk.state, arena: Int32(chunk.arena))
    }
    return (inArenas + mmapped).sorted { $0.userAddress < $1.userAddress }
  }

  /// The histogram that follows from `chunks`.
  package var sizes: [SizeClass] {
    var rows: [UInt64: SizeClass] = [:]
    for chunk in chunks {
      var row = rows[chunk.size] ?? SizeClass(size: chunk.size)
      switch chunk.state {
      case .inUse: row.inUse += 1
      case .binned: row.free += 1
      case .tcache, .fastbin: row.cached += 1
      case .top, .internal: continue
      }
      rows[chunk.size] = row
    }
    return rows.values.sorted { $0.size < $1.size }
  }
}
