// What stands at the start of each page, for the searches through memory that is no known heap.

import HeapModel
import RemoteMemory

/// Headers at page starts, read many pages at a time while nothing is found.
struct PageHeaders {
  /// Pages that one search looks at: 256 GiB of 4-KiB pages. Beyond, it gives up.
  private static let limit = 1 << 26

  private let pageSize: UInt64
  private var base: UInt64 = 0
  private var batch = 8
  private var headers: [(previousSize: UInt64, field: UInt64)?] = []
  private var pagesLeft = PageHeaders.limit

  init(pageSize: UInt64) {
    self.pageSize = max(16, pageSize)
  }

  /// Whether it has given up: every further page has no header.
  var isExhausted: Bool { pagesLeft <= 0 }

  /// The two words at the start of the page at `address`, nil if they cannot be read or were never
  /// written.
  mutating func header(
    at address: UInt64, in range: AddressRange, reader: any MemoryReader
  ) throws(ReadFault) -> (previousSize: UInt64, field: UInt64)? {
    let distance = address &- base
    if address < base || distance / pageSize >= UInt64(headers.count) || distance % pageSize != 0 {
      let isSequential = base != 0 && distance == pageSize &* UInt64(headers.count)
      batch = isSequential ? min(batch * 4, 512) : 8
      try read(at: address, in: range, reader: reader)
    }
    let index = Int((address &- base) / pageSize)
    return index < headers.count ? headers[index] : nil
  }

  private mutating func read(
    at address: UInt64, in range: AddressRange, reader: any MemoryReader
  ) throws(ReadFault) {
    base = address
    let left = (range.upperBound.bits &- address) / pageSize
    let count = min(batch, Int(clamping: left), pagesLeft)
    pagesLeft -= count
    headers = Array(repeating: nil, count: count)
    let isTouched = reader.touchedPages(
      from: RemoteAddress(address), count: count, pageSize: pageSize)
    let pages = (0..<count).filter { isTouched?[$0] ?? true }
    guard !pages.isEmpty else { return }
    let words = try reader.gather(
      at: pages.map { RemoteAddress(address &+ UInt64($0) &* pageSize) }, wordsEach: 2)
    for (index, page) in pages.enumerated() {
      guard let previousSize = words[index, 0], let field = words[index, 1] else { continue }
      headers[page] = (previousSize, field)
    }
  }
}
