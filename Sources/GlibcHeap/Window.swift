// A moving view over the target's memory: the only buffer that a walk of any heap needs.

import HeapModel
import RemoteMemory

/// A piece of the target's memory in a buffer of our own, moved along as the walk goes.
///
/// It grows while it is moved to where it ended, and shrinks when the walk jumps ahead, so that small
/// chunks are read in large pieces and the inside of large chunks is not read at all.
struct Window: ~Copyable {
  private static let smallest = 4 << 10
  private static let largestPage = 64 << 10

  /// The target's page size in bytes.
  var pageSize: UInt64 = 4096
  /// The bytes, and room for those that are read ahead.
  private var buffer: PageBuffer
  private var second: PageBuffer
  /// How much is read at once at most.
  private let capacity: Int
  /// Whether it may have others read for it.
  private let readsAhead: Bool
  /// What is reading ahead, from which address on and how many bytes.
  private var ahead: (any ReadAhead)?
  private var aheadStart: UInt64 = 0
  private var aheadLength = 0
  private var nextLength: Int
  /// Whether the next move goes on where the window was before it forgot its bytes.
  private var continues = false
  /// The swapped-out page before which the last move ended, nil if none.
  private var swappedPage: UInt64?
  /// Where the bytes lie in the target.
  private(set) var base: UInt64 = 0
  /// How many bytes are valid.
  private(set) var count = 0
  /// The address of a word that reads as 0, whatever stands there: no header has been written there yet.
  var blankWord: UInt64?

  /// Makes an empty window that holds at most `capacity` bytes, and a page.
  ///
  /// If it `readsAhead`, it has the reader read on another thread, which only one window may.
  init(capacity: Int, readsAhead: Bool = false) {
    // A header with its links can cross a page's end, and pages can be of 64 KiB.
    self.capacity = max(capacity, 128 << 10)
    self.readsAhead = readsAhead
    buffer = PageBuffer(byteCount: self.capacity + Self.largestPage)
    second = PageBuffer(byteCount: readsAhead ? self.capacity + Self.largestPage : 1)
    nextLength = Self.smallest
  }

  deinit {
    ahead?.cancel()
  }

  /// The valid bytes.
  var bytes: RawSpan {
    @_lifetime(borrow self)
    get { buffer.bytes.extracting(first: count) }
  }

  /// Whether `byteCount` bytes from `address` on are inside.
  func holds(_ address: UInt64, _ byteCount: UInt64) -> Bool {
    let (offset, underflow) = address.subtractingReportingOverflow(base)
    guard !underflow, offset <= UInt64(count) else { return false }
    return UInt64(count) &- offset >= byteCount
  }

  /// Moves the window to the page of `address`, reading at most up to `limit`, and returns whether at
  /// least `byteCount` bytes from `address` on could be read.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  mutating func move(
    to address: UInt64, holding byteCount: UInt64, limit: UInt64, reader: any MemoryReader
  ) throws(ReadFault) -> Bool {
    if takeAhead(address, byteCount) {
      blank()
      beginAhead(limit: limit, reader)
      return true
    }
    let end = base &+ UInt64(count)
    let isSequential = count > 0 && address <= end &+ pageSize && address >= base
    nextLength =
      isSequential || continues ? min(nextLength * 4, capacity) : Self.smallest
    continues = false
    base = address & ~(pageSize &- 1)
    count = 0
    swappedPage = nil
    guard limit > base else { return false }
    let needed = (address &- base &+ byteCount &+ pageSize &- 1) & ~(pageSize &- 1)
    let asked = max(UInt64(nextLength), needed)
    let wanted = resident(min(asked, limit &- base), reader)
    guard wanted > 0 else { return false }
    count = try fill(Int(wanted), reader)
    blank()
    if nextLength == capacity, UInt64(count) == asked { beginAhead(limit: limit, reader) }
    return holds(address, byteCount)
  }

  private mutating func blank() {
    guard let blankWord, holds(blankWord, 8) else { return }
    buffer.clearWord(at: Int(blankWord &- base))
  }

  /// Reads `wanted` bytes from `base` on, and returns how many could be.
  private mutating func fill(_ wanted: Int, _ reader: any MemoryReader) throws(ReadFault) -> Int {
    if readsAhead, wanted >= capacity, let helper = reader.readAhead {
      helper.begin(at: RemoteAddress(base), count: wanted, into: &buffer, offset: 0)
      let read = helper.finish()
      if read == wanted { return read }
    }
    do {
      return try buffer.fill(wanted, from: RemoteAddress(base), of: reader)
    } catch .unmapped {
      return 0
    }
  }

  // MARK: Reading ahead

  /// Has what follows the window's bytes read on another thread, if there is one for that.
  private mutating func beginAhead(limit: UInt64, _ reader: any MemoryReader) {
    let start = base &+ UInt64(count)
    guard readsAhead, start & (pageSize &- 1) == 0, start < limit, let ahead = reader.readAhead
    else { return }
    let room = min(UInt64(capacity), (limit &- start) & ~(pageSize &- 1))
    let pages = Int(room / pageSize)
    guard pages > 0 else { return }
    let prefix = reader.residentPrefix(
      from: RemoteAddress(start), count: pages, pageSize: pageSize)
    let length = Int(pageSize) * (prefix?.count ?? pages)
    guard length > 0 else { return }
    // A page is left before it, for a chunk that begins on the one page and ends on the next.
    ahead.begin(
      at: RemoteAddress(start), count: length, into: &second, offset: Int(pageSize))
    self.ahead = ahead
    aheadStart = start
    aheadLength = length
  }

  /// Moves the window to what was read ahead, if `byteCount` bytes from `address` on are there.
  private mutating func takeAhead(_ address: UInt64, _ byteCount: UInt64) -> Bool {
    guard let ahead else { return false }
    let start = aheadStart &- pageSize
    let isWanted =
      count >= Int(pageSize) && address >= start
      && address &- start &+ byteCount <= pageSize &+ UInt64(aheadLength)
    guard isWanted else {
      cancelAhead()
      return false
    }
    let read = ahead.finish()
    self.ahead = nil
    guard address &- start &+ byteCount <= pageSize &+ UInt64(read) else { return false }
    second.copy(Int(pageSize), from: buffer, at: count - Int(pageSize))
    swap(&buffer, &second)
    base = start
    count = Int(pageSize) + read
    swappedPage = nil
    return true
  }

  private mutating func cancelAhead() {
    ahead?.cancel()
    ahead = nil
  }

  /// How many of `byteCount` bytes from `base` on lie before a page that was never touched, or that is
  /// swapped out: reading such a page would enter it into the target's page tables, or bring it back.
  private mutating func resident(_ byteCount: UInt64, _ reader: any MemoryReader) -> UInt64 {
    let bounded = min(byteCount, UInt64(capacity))
    let pages = Int(clamping: (bounded &+ pageSize &- 1) / pageSize)
    guard
      let prefix = reader.residentPrefix(
        from: RemoteAddress(base), count: pages, pageSize: pageSize)
    else { return bounded }
    let resident = UInt64(prefix.count) &* pageSize
    if prefix.next == .swapped { swappedPage = base &+ resident }
    return min(bounded, resident)
  }

  /// Whether the last move ended before `address` because its page is swapped out.
  func isSwappedOut(_ address: UInt64) -> Bool {
    swappedPage == address & ~(pageSize &- 1)
  }

  /// The first page behind that of `address` that is in memory, or `limit` if none is before that.
  func nextResidentPage(
    after address: UInt64, limit: UInt64, reader: any MemoryReader
  ) -> UInt64 {
    var page = (address | (pageSize &- 1)) &+ 1
    // Few at first: such pages often lie one by one between others.
    var asked = 16
    while page > address, page < limit {
      let count = min(asked, Int(clamping: (limit &- page &+ pageSize &- 1) / pageSize))
      guard
        let states = reader.pageStates(
          from: RemoteAddress(page), count: count, pageSize: pageSize)
      else { return page }
      if let index = states.firstIndex(of: .resident) {
        return page &+ UInt64(index) &* pageSize
      }
      page &+= UInt64(count) &* pageSize
      asked = min(asked * 8, 1 << 15)
    }
    return max(page, limit)
  }

  /// Forgets the bytes: they are of a moment that has passed.
  mutating func forget() {
    cancelAhead()
    count = 0
    swappedPage = nil
  }

  /// Has the next move read as much as if it were sequential.
  mutating func expectMore() {
    continues = true
  }

  /// The header at `address`, nil if not both its words are inside; links that are not count as 0.
  func header(at address: UInt64) -> HeaderWords? {
    guard let previousSize = word(at: address), let field = word(at: address &+ 8) else {
      return nil
    }
    return HeaderWords(
      previousSize: previousSize, field: field, forward: word(at: address &+ 16) ?? 0,
      backward: word(at: address &+ 24) ?? 0)
  }

  /// The word at `address`, if it is inside.
  func word(at address: UInt64) -> UInt64? {
    holds(address, 8) ? bytes.word(at: Int(address &- base)) : nil
  }
}
