// Memory of which a test says where its pages are.

package import HeapModel
package import RemoteMemory

/// An image whose pages are in memory, swapped out or untouched; it refuses what the reader of a live
/// process refuses, and remembers what was read that should not have been.
///
/// A class, because reading is remembered.
package final class PagedImage: MemoryReader {
  private let image: MemoryImage
  private let pageSize: UInt64
  /// The states of pages that are not in memory, by the page's number.
  private var states: [UInt64: PageState] = [:]
  /// Untouched pages that were read.
  package private(set) var broughtIn: Set<RemoteAddress> = []
  /// How often it was asked for the states of pages.
  package private(set) var questions = 0

  /// Makes an image with all its pages in memory.
  package init(_ image: MemoryImage, pageSize: UInt64 = 4096) {
    self.image = image
    self.pageSize = pageSize
  }

  /// Gives all pages that `range` touches a state.
  package func set(_ range: AddressRange, _ state: PageState) {
    guard !range.isEmpty else { return }
    let last = (range.upperBound.bits - 1) / pageSize
    for page in range.lowerBound.bits / pageSize...last {
      states[page] = state == .resident ? nil : state
    }
  }

  package func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    guard !bytes.isEmpty else { return 0 }
    let (sum, overflow) = address.bits.addingReportingOverflow(UInt64(bytes.byteCount))
    let end = overflow ? .max : sum
    var wanted = bytes.byteCount
    var page = address.bits / pageSize
    while page * pageSize < end {
      if states[page] == .swapped {
        wanted = page * pageSize <= address.bits ? 0 : Int(page * pageSize - address.bits)
        break
      }
      if states[page] == .untouched { broughtIn.insert(RemoteAddress(page * pageSize)) }
      page += 1
    }
    if wanted == 0 { throw .unmapped(address) }
    var part = bytes._mutatingExtracting(first: wanted)
    return try image.read(at: address, into: &part)
  }

  package func pageStates(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> [PageState]? {
    precondition(pageSize == self.pageSize, "the target has one page size")
    questions += 1
    let first = address.bits / pageSize
    return (0..<UInt64(count)).map { states[first + $0] ?? .resident }
  }
}
