// A few chunks of a row, out of a sample of them.

package import HeapModel

/// Chunks of a row of a growth table, from all over the heap, and how many there are in all.
package struct ChunkListing: Sendable {
  /// At most so many: what the program holds first, since that is what can have leaked.
  package let chunks: [Chunk]
  /// How many there are, listed or not.
  package let total: Int

  /// Chooses at most `limit` of the chunks that `snapshot` has kept for the row `key`; for one of a
  /// type, `held` says what they hold, and the snapshot has them all.
  package init(
    _ snapshot: HeapSnapshot, of key: GrowthKey, held: HeldTypes? = nil, limit: Int
  ) {
    var kept = snapshot.chunks.filter { $0.state != .top && $0.state != .internal }
    switch key {
    case .sizes(let sizes):
      total = snapshot.sizes.filter { sizes.contains($0.size) }
        .reduce(0) { $0 &+ $1.inUse &+ $1.free &+ $1.cached }
    case .arena(let address):
      let arena = snapshot.arenas.first { $0.address == address }
      kept = kept.filter { arena != nil && $0.arena == arena.map { Int32($0.index) } }
      total = arena.map { $0.inUse.count &+ $0.free.count &+ $0.cached.count } ?? 0
    case .mmapped:
      total = snapshot.mmapped.count
    case .type(let name, let kind, let binary):
      let isWanted = (held?.types ?? []).map {
        $0.name == name && $0.kind == kind && $0.binary == binary
      }
      kept = kept.filter { chunk in
        let index = Int(chunk.held)
        return chunk.state == .inUse && index < isWanted.count && isWanted[index]
      }
      total = kept.count
    }
    func spread(_ chunks: [Chunk]) -> [Chunk] {
      let step = max(1, (chunks.count + limit - 1) / max(1, limit))
      return stride(from: 0, to: chunks.count, by: step).map { chunks[$0] }
    }
    let held = spread(kept.filter { $0.state == .inUse })
    chunks = Array((held + spread(kept.filter { $0.state != .inUse })).prefix(limit))
  }
}
