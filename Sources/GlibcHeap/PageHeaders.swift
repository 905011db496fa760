// What stands at the start of each page, for the searches through memory that is no known heap.

import HeapModel
import RemoteMemory

/// The headers at the starts of pages that are in memory, in ascending order.
struct PageHeaders {
  /// Two words at the start of a page.
  struct Header {
    var address: UInt64
    var previousSize: UInt64
    var field: UInt64
  }

  /// How many pages' state is asked for at once.
  private static let block = 1 << 15
  /// How many headers are read at once while nothing is found.
  private static let largestBatch = 512

  private let pageSize: UInt64
  private var pagesLeft: Int
  private var batchSize = 8
  /// How many pages were passed over because they are swapped out.
  private(set) var swappedPages = 0
  /// Headers that were read, of all resident pages between `first` and `end`.
  private var headers: [Header] = []
  private var position = 0
  private var first: UInt64 = 0
  private var end: UInt64 = 0
  /// The state of the pages from `blockStart` on; nil where it is not known.
  private var states: [PageState]?
  private var blockStart: UInt64 = 0
  private var blockCount = 0

  /// Makes a source that looks at most at `limit` pages.
  init(pageSize: UInt64, limit: Int) {
    self.pageSize = max(16, pageSize)
    pagesLeft = limit
  }

  /// Whether it has looked at as many pages as it may.
  var isExhausted: Bool { pagesLeft <= 0 }

  /// The first header at or after `address`, a page's start, that lies in `range`, nil if there is
  /// none or the limit is reached.
  mutating func next(
    from address: UInt64, in range: AddressRange, reader: any MemoryReader
  ) throws(ReadFault) -> Header? {
    var address = address
    while true {
      if address >= first, address < end {
        if position < headers.count, headers[position].address > address { position = 0 }
        while position < headers.count, headers[position].address < address { position += 1 }
        if position < headers.count {
          let header = headers[position]
          return header.address < range.upperBound.bits ? header : nil
        }
        address = end
      }
      guard address < range.upperBound.bits, pagesLeft > 0 else { return nil }
      batchSize = address == end ? min(batchSize * 4, Self.largestBatch) : 8
      try readBatch(from: address, in: range, reader: reader)
    }
  }

  /// Reads the headers of the next resident pages from `address` on, as many as a batch has.
  private mutating func readBatch(
    from address: UInt64, in range: AddressRange, reader: any MemoryReader
  ) throws(ReadFault) {
    var pages: [UInt64] = []
    var page = address
    while pages.count < batchSize, page < range.upperBound.bits, pagesLeft > 0 {
      if page < blockStart || (page &- blockStart) / pageSize >= UInt64(blockCount) {
        let left = (range.upperBound.bits &- page) / pageSize
        blockStart = page
        blockCount = max(1, min(Self.block, Int(clamping: left)))
        states = reader.pageStates(
          from: RemoteAddress(page), count: blockCount, pageSize: pageSize)
      }
      let index = Int((page &- blockStart) / pageSize)
      switch states?[index] {
      case .resident, nil: pages.append(page)
      case .swapped: swappedPages += 1
      case .untouched: break
      }
      pagesLeft -= 1
      page &+= pageSize
    }
    let words = try reader.gather(at: pages.map(RemoteAddress.init), wordsEach: 2)
    headers = pages.indices.compactMap { index in
      guard let previousSize = words[index, 0], let field = words[index, 1] else { return nil }
      return Header(address: pages[index], previousSize: previousSize, field: field)
    }
    position = 0
    first = address
    end = page
  }
}
