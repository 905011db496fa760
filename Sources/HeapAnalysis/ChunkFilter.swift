// Which chunks are wanted: by size, state, arena, or the one that holds an address.

package import HeapModel

/// A choice of chunks; a criterion that is nil lets every chunk pass.
package struct ChunkFilter: Hashable, Sendable {
  /// Where a chunk comes from.
  package enum Origin: Hashable, Sendable {
    /// The arena with this place in the ring.
    case arena(Int32)
    /// A mapping of its own.
    case mmap
  }

  /// The sizes wanted.
  package var sizes: ClosedRange<UInt64>?
  /// The states wanted.
  package var states: Set<ChunkState>?
  /// The arena wanted, or mmapped chunks.
  package var origin: Origin?
  /// An address that the chunk must hold.
  package var address: RemoteAddress?

  /// Makes a filter, by default one that every chunk passes.
  package init(
    sizes: ClosedRange<UInt64>? = nil, states: Set<ChunkState>? = nil, origin: Origin? = nil,
    address: RemoteAddress? = nil
  ) {
    self.sizes = sizes
    self.states = states
    self.origin = origin
    self.address = address
  }

  /// The same choice in the process of `snapshot`: a pointer of aarch64 code can carry a tag in its top
  /// byte, which is no part of the address.
  package func untagged(for snapshot: HeapSnapshot) -> ChunkFilter {
    guard let address, snapshot.mallocs.contains(where: { $0.machine == .arm64 }) else {
      return self
    }
    var filter = self
    filter.address = RemoteAddress(ELFImage.Machine.arm64.untagged(address.bits))
    return filter
  }

  /// Whether `chunk` is wanted.
  package func accepts(_ chunk: Chunk) -> Bool {
    if let sizes, !sizes.contains(chunk.size) { return false }
    if let states, !states.contains(chunk.state) { return false }
    switch origin {
    case nil: break
    case .arena(let index): if chunk.arena != index { return false }
    case .mmap: if chunk.arena != nil { return false }
    }
    if let address { return chunk.owns(address) }
    return true
  }
}

extension Chunk {
  /// Whether `address` lies in the bytes that belong to this chunk alone.
  ///
  /// The first word of a header in an arena belongs to the chunk before it, which uses it as its
  /// last usable word. So an arena's chunk owns `size` bytes from 8 bytes before its pointer on,
  /// and each address has at most one owner.
  package func owns(_ address: RemoteAddress) -> Bool {
    guard arena != nil, let start = userAddress.retreated(by: 8) else {
      return range.contains(address)
    }
    return AddressRange(start, byteCount: size).contains(address)
  }
}
