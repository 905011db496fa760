// Pages of our own that are made before they are needed, and the thread that makes them.

import Glibc
import RemoteMemory
import Testing

@Suite("Pages made beforehand", .serialized)
struct PagePreparationTests {
  private static let size = 8 << 20

  /// How many pages the kernel has made for this thread up to now.
  private static func faults() throws -> Int {
    var usage = rusage()
    // RUSAGE_THREAD
    let failure = getrusage(1, &usage)
    try #require(failure == 0)
    return usage.ru_minflt
  }

  private static func fill(_ block: borrowing MemoryBlock) {
    for offset in stride(from: 0, to: size, by: 4096) {
      block.start.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
    }
  }

  @Test("what is filled afterwards faults nothing in", arguments: [true, false], [true, false])
  func filledWithoutFaults(inHugePages: Bool, areUnused: Bool) throws {
    let block = MemoryBlock(byteCount: Self.size, inHugePages: inHugePages)
    PagePreparation([block.extent], areUnused: areUnused).finish()
    let before = try Self.faults()
    Self.fill(block)
    #expect(try Self.faults() - before < 16)
  }

  @Test("what was written already stays, by whichever thread its page is made")
  func keepsContents() {
    let block = MemoryBlock(byteCount: Self.size, inHugePages: false)
    for _ in 0..<20 {
      let preparation = PagePreparation([block.extent], areUnused: false)
      Self.fill(block)
      preparation.finish()
      for offset in stride(from: 0, to: Self.size, by: 4096) {
        let value = block.start.load(fromByteOffset: offset, as: UInt8.self)
        guard value == 1 else {
          Issue.record("the byte at \(offset) is \(value)")
          return
        }
      }
      // As new ones for the next round.
      #expect(madvise(block.start, Self.size, MADV_DONTNEED) == 0)
    }
  }

  @Test("the part of a page at either end is left alone, and nothing at all is no trap")
  func wholePagesOnly() {
    let block = MemoryBlock(byteCount: Self.size, inHugePages: false)
    let start = block.extent.lowerBound
    block.start.storeBytes(of: 7, toByteOffset: 0, as: UInt8.self)
    let preparation = PagePreparation(
      [start + 100..<start + 10_000, start..<start, start + 20_000..<start + 20_001],
      areUnused: true)
    preparation.finish()
    #expect(block.start.load(fromByteOffset: 0, as: UInt8.self) == 7)
    PagePreparation([], areUnused: true).finish()
  }

  @Test("an array's room is where its elements are put")
  func extentOfArray() throws {
    var array = [UInt64](hugeCapacity: 1 << 20)
    let extent = array.extent(ofFirst: 1 << 19)
    #expect(extent.count == 1 << 22)
    PagePreparation([extent], areUnused: false).finish()
    let before = try Self.faults()
    for number in 0..<1 << 19 { array.append(UInt64(number)) }
    #expect(try Self.faults() - before < 16)
    #expect(array.extent(ofFirst: 1 << 19) == extent)
  }

  @Test("a thread runs its closure, once, and lets go of what that holds")
  func threadRunsOnce() throws {
    final class Counter { var count = 0 }
    let counter = Counter()
    weak var held: Counter?
    do {
      let other = Counter()
      held = other
      let thread = try #require(
        OwnThread {
          counter.count += 1
          other.count += 1
        })
      thread.join()
    }
    #expect(counter.count == 1)
    #expect(held == nil)
  }
}
