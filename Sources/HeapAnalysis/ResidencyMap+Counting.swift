// How much of a range is in memory, counted from a residency map.

package import HeapModel

extension ResidencyMap {
  /// Bytes of the pages that `range` touches and that are in memory; pages that the map does not
  /// cover count as absent.
  package func residentBytes(in range: AddressRange) -> UInt64 {
    var cursor = ResidencyCursor(self)
    return cursor.residentPages(touching: range) &* pageSize
  }
}

/// Counts pages in memory for ranges that are asked for in ascending order.
///
/// It passes over each run of the map only once, so a whole heap costs its pages and its chunks.
struct ResidencyCursor {
  private let map: ResidencyMap
  private var run: Int

  /// The target's page size in bytes.
  let pageSize: UInt64

  init(_ map: ResidencyMap) {
    self.map = map
    run = 0
    pageSize = max(1, map.pageSize)
  }

  /// Whether the page that holds `address` is in memory.
  mutating func isResident(_ address: RemoteAddress) -> Bool {
    residentPages(touching: AddressRange(address, byteCount: 1)) > 0
  }

  /// How many pages that `range` touches are in memory; `range` must not begin before the page in
  /// which an earlier one began.
  mutating func residentPages(touching range: AddressRange) -> UInt64 {
    guard !range.isEmpty else { return 0 }
    let start = range.lowerBound.alignedDown(to: pageSize)
    while run < map.runs.count, map.runs[run].range.upperBound <= start { run += 1 }
    var count: UInt64 = 0
    var next = run
    while next < map.runs.count, map.runs[next].range.lowerBound < range.upperBound {
      let pages = map.runs[next]
      let base = pages.range.lowerBound.bits
      let first = (max(start.bits, base) &- base) / pageSize
      let last = (min(range.upperBound.bits, pages.range.upperBound.bits) &- 1 &- base) / pageSize
      let end = min(last &+ 1, UInt64(pages.isResident.count))
      if first < end {
        for page in Int(first)..<Int(end) where pages.isResident[page] { count &+= 1 }
      }
      next += 1
    }
    return count
  }
}
