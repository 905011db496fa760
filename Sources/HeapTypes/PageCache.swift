// The target's memory as far as types are read from it, kept so that reading costs few system calls.

import HeapModel
import RemoteMemory

/// Words and texts of the target, read in blocks.
///
/// What binaries hold is read 64 KiB at a time, other memory page by page. Pages that the target never
/// touched are left out of a block and read alone, and only when they are needed: reading enters them
/// into its page tables.
struct PageCache {
  private static let imageBlock: UInt64 = 64 << 10
  private static let page: UInt64 = 4096
  /// As many blocks are kept at most, 32 MiB of 64 KiB each; then all are given up.
  private static let mostBlocks = 512

  private struct Block {
    var start: UInt64
    var bytes: [UInt8]
    /// For each page of 4 KiB one bit: whether its bytes are here.
    var present: UInt32
    /// The same: whether it was tried.
    var tried: UInt32
  }

  private let memory: any MemoryReader
  private let pageSize: UInt64
  private var blocks: [Block] = []
  private var numbers: [UInt64: Int] = [:]
  private var lastKey: UInt64 = .max
  private var lastNumber = 0

  init(_ memory: any MemoryReader, pageSize: UInt64) {
    self.memory = memory
    self.pageSize = pageSize
  }

  /// The eight bytes at `address`, nil if they cannot be read.
  mutating func word(at address: UInt64, in spans: ImageSpans) -> UInt64? {
    guard address & 7 == 0 else {
      let (next, overflow) = address.addingReportingOverflow(4)
      guard !overflow, let low = half(at: address, in: spans), let high = half(at: next, in: spans)
      else { return nil }
      return UInt64(low) | UInt64(high) << 32
    }
    guard let (block, offset) = place(of: address, in: spans) else { return nil }
    return load(block, offset, as: UInt64.self)
  }

  /// The four bytes at `address`, which is a multiple of 4, nil if they cannot be read or it is none.
  mutating func half(at address: UInt64, in spans: ImageSpans) -> UInt32? {
    guard address & 3 == 0, let (block, offset) = place(of: address, in: spans) else { return nil }
    return load(block, offset, as: UInt32.self)
  }

  /// The two bytes at `address`, which is a multiple of 2, nil if they cannot be read or it is none.
  mutating func quarter(at address: UInt64, in spans: ImageSpans) -> UInt16? {
    guard address & 1 == 0, let (block, offset) = place(of: address, in: spans) else { return nil }
    return load(block, offset, as: UInt16.self)
  }

  /// One byte.
  mutating func byte(at address: UInt64, in spans: ImageSpans) -> UInt8? {
    guard let (block, offset) = place(of: address, in: spans) else { return nil }
    return blocks[block].bytes[offset]
  }

  /// The bytes from `address` up to a zero, nil if that is not among the first `limit` or cannot be read.
  mutating func text(at address: UInt64, limit: Int, in spans: ImageSpans) -> [UInt8]? {
    var result: [UInt8] = []
    var next = address
    while result.count < limit {
      guard let (block, offset) = place(of: next, in: spans) else { return nil }
      let pageEnd = min((offset | Int(Self.page - 1)) + 1, blocks[block].bytes.count)
      let end = min(pageEnd, offset + limit - result.count)
      let piece = blocks[block].bytes[offset..<end]
      if let zero = piece.firstIndex(of: 0) { return result + piece[..<zero] }
      result += piece
      let (sum, overflow) = next.addingReportingOverflow(UInt64(end - offset))
      if overflow { return nil }
      next = sum
    }
    return nil
  }

  @inline(__always)
  private func load<Value: BitwiseCopyable>(
    _ block: Int, _ offset: Int, as type: Value.Type
  ) -> Value {
    unsafe blocks[block].bytes.withUnsafeBytes {
      unsafe $0.loadUnaligned(fromByteOffset: offset, as: type)
    }
  }

  /// The block that holds `address` and where in it that is, nil if it cannot be read.
  private mutating func place(of address: UInt64, in spans: ImageSpans) -> (Int, Int)? {
    // No address of a program's is that high, and keys have no room for it.
    guard address >> 56 == 0 else { return nil }
    if lastKey != .max {
      let offset = address &- blocks[lastNumber].start
      if offset < UInt64(blocks[lastNumber].bytes.count),
        blocks[lastNumber].present >> UInt32(offset >> 12) & 1 == 1
      {
        return (lastNumber, Int(offset))
      }
    }
    let part = spans.part(at: address)
    let size = part == nil ? Self.page : Self.imageBlock
    // Two parts can share a block of 64 KiB, so the part is in the key.
    let key = UInt64(part.map { $0 + 1 } ?? 0) << 48 ^ (address & ~(size - 1)) >> 8
    let number: Int
    if let known = numbers[key] {
      number = known
    } else {
      if blocks.count >= Self.mostBlocks { forget() }
      number = blocks.count
      blocks.append(newBlock(around: address, size: size, part: part.map { spans.parts[$0] }))
      numbers[key] = number
    }
    lastKey = key
    lastNumber = number
    let offset = address &- blocks[number].start
    guard offset < UInt64(blocks[number].bytes.count) else { return nil }
    let bit = UInt32(1) << UInt32(offset >> 12)
    if blocks[number].present & bit == 0, blocks[number].tried & bit == 0 {
      readPage(of: number, at: offset)
    }
    return blocks[number].present & bit != 0 ? (number, Int(offset)) : nil
  }

  /// Gives up what was kept.
  private mutating func forget() {
    blocks.removeAll(keepingCapacity: true)
    numbers.removeAll(keepingCapacity: true)
    lastKey = .max
  }

  private func newBlock(
    around address: UInt64, size: UInt64, part: ImageSpans.Part?
  ) -> Block {
    let start = address & ~(size &- 1)
    var block = Block(
      start: start, bytes: [UInt8](repeating: 0, count: Int(size)), present: 0, tried: 0)
    guard let part else { return block }
    // Runs of pages that are in memory are read at once; without knowledge all that belongs to the part.
    let pages = Int(size / Self.page)
    let states = states(from: start, count: pages)
    var run: Range<Int>?
    for page in 0...pages {
      let pageStart = start &+ UInt64(page) &* Self.page
      let isWanted =
        page < pages && pageStart &+ Self.page > part.lower && pageStart < part.upper
        && (states.map { $0[page] == .resident } ?? true)
      if isWanted {
        run = (run?.lowerBound ?? page)..<page + 1
      } else if let ready = run {
        read(ready, into: &block)
        run = nil
      }
    }
    return block
  }

  /// The states of pages of 4 KiB, whatever size the target's pages have; nil if they cannot be told.
  private func states(from start: UInt64, count: Int) -> [PageState]? {
    let perPage = max(1, pageSize / Self.page)
    let real = max(1, count / Int(perPage))
    guard pageSize <= Self.imageBlock,
      let states = memory.pageStates(from: RemoteAddress(start), count: real, pageSize: pageSize),
      states.count == real
    else { return nil }
    return (0..<count).map { states[$0 / Int(perPage)] }
  }

  /// Reads the pages `pages` of `block`, and if not all of them can be read, those before that.
  private func read(_ pages: Range<Int>, into block: inout Block) {
    let start = Int(Self.page) * pages.lowerBound
    let end = Int(Self.page) * pages.upperBound
    let filled = Self.fill(&block.bytes, start..<end, at: block.start, of: memory)
    for page in pages where (page + 1) * Int(Self.page) <= start + filled {
      block.present |= 1 << UInt32(page)
      block.tried |= 1 << UInt32(page)
    }
  }

  private mutating func readPage(of number: Int, at offset: UInt64) {
    let page = Int(offset >> 12)
    let start = page << 12
    blocks[number].tried |= 1 << UInt32(page)
    let base = blocks[number].start
    let filled = Self.fill(
      &blocks[number].bytes, start..<start + Int(Self.page), at: base, of: memory)
    // The end of a page that was cut off reads as zeros, which point nowhere.
    if filled > Int(offset) - start { blocks[number].present |= 1 << UInt32(page) }
  }

  /// Reads into `range` of `bytes`, whose first byte is that at `base`; returns how many were read.
  private static func fill(
    _ bytes: inout [UInt8], _ range: Range<Int>, at base: UInt64, of memory: any MemoryReader
  ) -> Int {
    guard let address = RemoteAddress(base).advanced(by: UInt64(range.lowerBound)) else { return 0 }
    var span = bytes.mutableSpan
    var all = unsafe span.mutableBytes
    var part = all._mutatingExtracting(range)
    return (try? memory.read(at: address, into: &part)) ?? 0
  }
}
