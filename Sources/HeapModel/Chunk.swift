// One chunk of a malloc heap, and what it can be.

/// What a chunk is to the program and to glibc.
package enum ChunkState: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  /// Held by the program.
  case inUse
  /// In a thread's tcache: free for the program, busy for glibc.
  case tcache
  /// In a fastbin: free for the program, busy for glibc. glibc 2.43 has none.
  case fastbin
  /// In the unsorted, a small or a large bin.
  case binned
  /// The arena's unused remainder, from which new chunks are cut.
  case top
  /// glibc's own bookkeeping kept in the heap: a thread's tcache structure.
  case `internal`

  /// The name in the CSV and JSON contracts.
  package var name: String {
    switch self {
    case .inUse: "in_use"
    case .tcache: "tcache"
    case .fastbin: "fastbin"
    case .binned: "binned"
    case .top: "top"
    case .internal: "internal"
    }
  }

  /// Whether the chunk is free for the program but busy for glibc.
  package var isCached: Bool { self == .tcache || self == .fastbin }
}

/// One chunk: its place, its size and its state.
///
/// 24 bytes, since a heap can have millions.
package struct Chunk: Hashable, Sendable, BitwiseCopyable {
  /// The pointer that the program holds, 16 bytes after the chunk's header begins.
  package var userAddress: RemoteAddress
  /// The size in bytes with the header, as glibc counts it; for an mmapped chunk, from the chunk to
  /// its mapping's end.
  package var size: UInt64
  /// The number of its type in the snapshot's table of types, 0 if its contents were not looked at.
  package var held: UInt32 = 0
  /// The state in the lowest 4 bits, above them 8 bits with what of the size is not usable, and 20 bits with
  /// the arena's index, all set for none.
  private var packed: UInt32

  /// The highest index of an arena that there is room for; those above count as this one.
  private static let lastArena: UInt32 = 0xF_FFFE
  private static let noArena: UInt32 = 0xF_FFFF

  /// Makes a chunk; of its size at most 255 bytes are not usable.
  package init(
    userAddress: RemoteAddress, size: UInt64, usableSize: UInt64, state: ChunkState, arena: Int32?
  ) {
    self.userAddress = userAddress
    self.size = size
    let unusable = UInt32(min(255, size &- min(size, usableSize)))
    let index = arena.map { min(UInt32(bitPattern: $0), Self.lastArena) } ?? Self.noArena
    packed = UInt32(state.rawValue) | unusable << 4 | index << 12
  }

  /// What the chunk is.
  package var state: ChunkState {
    get { ChunkState(rawValue: UInt8(packed & 0xF)) ?? .inUse }
    set { packed = packed & ~0xF | UInt32(newValue.rawValue) }
  }

  /// How many bytes of the size the program may not write.
  package var unusableSize: UInt64 { UInt64(packed >> 4 & 0xFF) }

  /// The bytes that the program may write, as `malloc_usable_size` answers.
  package var usableSize: UInt64 { size &- min(size, unusableSize) }

  /// The index of its arena in ring order, or nil for an mmapped chunk.
  package var arena: Int32? {
    get { packed >> 12 == Self.noArena ? nil : Int32(packed >> 12) }
    set {
      let index = newValue.map { min(UInt32(bitPattern: $0), Self.lastArena) } ?? Self.noArena
      packed = packed & 0xFFF | index << 12
    }
  }

  /// From the chunk's header to its end.
  package var range: AddressRange {
    AddressRange(userAddress.retreated(by: 16) ?? userAddress, byteCount: size)
  }
}
