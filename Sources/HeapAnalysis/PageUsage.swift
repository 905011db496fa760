// What an arena's pages are worth: in memory, returnable, or held by a few live bytes.

package import HeapModel

/// What one arena, or all mmapped chunks, cost in pages.
package struct ArenaPages: Hashable, Sendable {
  /// Bytes of the pages in memory that hold any of it.
  package var residentBytes: UInt64 = 0
  /// Bytes in memory that `malloc_trim(0)` would give back.
  package var trimmableBytes: UInt64 = 0
  /// Free and cached bytes in memory that cannot be given back as a live chunk shares their page.
  package var pinnedBytes: UInt64 = 0

  /// Makes an account of nothing.
  package init() {}

  package static func += (left: inout ArenaPages, right: ArenaPages) {
    left.residentBytes &+= right.residentBytes
    left.trimmableBytes &+= right.trimmableBytes
    left.pinnedBytes &+= right.pinnedBytes
  }
}

/// The pages of a whole heap, arena by arena.
///
/// Trimmable are the resident whole pages inside each binned chunk, from 48 bytes after its header's
/// start to its end, as `malloc_trim` leaves the header and list pointers alone; in the main arena
/// also those of its top chunk beyond the first 33 bytes, which the trim with a pad of 0 keeps. What
/// merging fastbin chunks would add, as a trim does first, is not counted; neither does a thread
/// arena's top count, since a trim does not shrink it. If the main arena's top does not end at the
/// program break, its part is an upper limit.
///
/// Pinned are the bytes of binned and cached chunks on a resident page that also has bytes of a
/// chunk in use or of a tcache structure.
package struct PageUsage: Sendable {
  /// One account for each of the snapshot's arenas, in the same order.
  package private(set) var arenas: [ArenaPages]
  /// The account of the mmapped chunks, of which nothing is ever trimmable or pinned.
  package private(set) var mmapped = ArenaPages()

  /// All of it.
  package var total: ArenaPages { arenas.reduce(into: mmapped) { $0 += $1 } }

  /// Accounts for the pages of `snapshot`, whose chunks must have been asked for.
  package init(_ snapshot: HeapSnapshot, residency: ResidencyMap) {
    arenas = [ArenaPages](repeating: ArenaPages(), count: snapshot.arenas.count)
    guard residency.pageSize > 0 else { return }
    countSegments(of: snapshot, residency)
    countChunks(of: snapshot, residency)
    countMainTops(of: snapshot, residency)
  }

  private mutating func countSegments(of snapshot: HeapSnapshot, _ residency: ResidencyMap) {
    for (position, arena) in snapshot.arenas.enumerated() {
      var cursor = ResidencyCursor(residency)
      var counted = RemoteAddress(0)
      for segment in arena.segments.sorted(by: { $0.lowerBound < $1.lowerBound }) {
        // Two segments may share a page, where the program break was moved by others.
        let fresh = AddressRange(max(segment.lowerBound, counted), segment.upperBound)
        arenas[position].residentBytes &+=
          cursor.residentPages(touching: fresh) &* residency.pageSize
        counted = max(counted, segment.upperBound.alignedUp(to: residency.pageSize))
      }
    }
  }

  private mutating func countChunks(of snapshot: HeapSnapshot, _ residency: ResidencyMap) {
    var positions: [Int32: Int] = [:]
    for (position, arena) in snapshot.arenas.enumerated() {
      positions[Int32(truncatingIfNeeded: arena.index)] = position
    }
    var pages = SharedPages(residency)
    var interior = ResidencyCursor(residency)
    var whole = ResidencyCursor(residency)
    var latest: (arena: Int32, position: Int)?
    for chunk in snapshot.chunks {
      let range = chunk.range
      guard let arena = chunk.arena else {
        mmapped.residentBytes &+= whole.residentPages(touching: range) &* residency.pageSize
        continue
      }
      if latest?.arena != arena {
        pages.close(into: &arenas)
        latest = positions[arena].map { (arena, $0) }
      }
      guard let position = latest?.position else { continue }
      pages.add(chunk, range: range, position: position, into: &arenas)
      if chunk.state == .binned {
        arenas[position].trimmableBytes &+=
          interior.residentPages(touching: range.wholePages(after: 48, of: residency.pageSize))
          &* residency.pageSize
      }
    }
    pages.close(into: &arenas)
  }

  private mutating func countMainTops(of snapshot: HeapSnapshot, _ residency: ResidencyMap) {
    for (position, arena) in snapshot.arenas.enumerated() where arena.kind == .main {
      guard let top = arena.topAddress else { continue }
      let pages = AddressRange(top, byteCount: arena.topBytes)
        .wholePages(after: 33, of: residency.pageSize)
      arenas[position].trimmableBytes &+= residency.residentBytes(in: pages)
    }
  }
}

/// The page at the walk's front: which chunks share it is known only once the walk has left it.
///
/// Only a chunk's first and last page can be shared, so pages in between are never looked at.
private struct SharedPages {
  private var cursor: ResidencyCursor
  private var page: RemoteAddress?
  private var position = 0
  private var idleBytes: UInt64 = 0
  private var isLive = false

  init(_ residency: ResidencyMap) {
    cursor = ResidencyCursor(residency)
  }

  mutating func add(
    _ chunk: Chunk, range: AddressRange, position: Int, into arenas: inout [ArenaPages]
  ) {
    guard !range.isEmpty else { return }
    let last = RemoteAddress(range.upperBound.bits &- 1).alignedDown(to: cursor.pageSize)
    open(range.lowerBound.alignedDown(to: cursor.pageSize), position: position, into: &arenas)
    let firstEnd = min(range.upperBound.bits, (page ?? last).bits &+ cursor.pageSize)
    add(chunk.state, byteCount: firstEnd &- range.lowerBound.bits)
    guard page != last else { return }
    open(last, position: position, into: &arenas)
    add(chunk.state, byteCount: range.upperBound.bits &- last.bits)
  }

  mutating func close(into arenas: inout [ArenaPages]) {
    if let page, isLive, idleBytes > 0, cursor.isResident(page) {
      arenas[position].pinnedBytes &+= idleBytes
    }
    page = nil
    idleBytes = 0
    isLive = false
  }

  private mutating func open(
    _ next: RemoteAddress, position: Int, into arenas: inout [ArenaPages]
  ) {
    guard page != next else { return }
    close(into: &arenas)
    page = next
    self.position = position
  }

  private mutating func add(_ state: ChunkState, byteCount: UInt64) {
    switch state {
    case .inUse, .internal: isLive = true
    case .tcache, .fastbin, .binned: idleBytes &+= byteCount
    case .top: break
    }
  }
}

extension AddressRange {
  /// The whole pages inside, without any that has one of the first `kept` bytes.
  fileprivate func wholePages(after kept: UInt64, of pageSize: UInt64) -> AddressRange {
    let start = (lowerBound.advanced(by: kept) ?? RemoteAddress(.max)).alignedUp(to: pageSize)
    return AddressRange(start, upperBound.alignedDown(to: pageSize))
  }
}
