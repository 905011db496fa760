// The shared values: address arithmetic, tallies, sums and what makes a result incomplete.

import HeapModel
import Testing

@Suite("Heap model")
struct HeapModelTests {
  @Test("addresses never leave the address space silently")
  func addressArithmetic() {
    #expect(RemoteAddress(.max).advanced(by: 1) == nil)
    #expect(RemoteAddress(15).retreated(by: 16) == nil)
    #expect(RemoteAddress(16).retreated(by: 16) == RemoteAddress(0))
    #expect(RemoteAddress(0x1fff).alignedDown(to: 0x1000) == RemoteAddress(0x1000))
    #expect("\(RemoteAddress(0x7F00_DEAD))" == "0x7f00dead")
  }

  @Test("ranges are half-open, clipped at the end of the address space, and empty if reversed")
  func ranges() {
    let range = AddressRange(RemoteAddress(0x1000), byteCount: 0x100)
    #expect(range.contains(RemoteAddress(0x1000)))
    #expect(!range.contains(RemoteAddress(0x1100)))
    #expect(!range.overlaps(AddressRange(RemoteAddress(0x1100), byteCount: 1)))
    #expect(range.overlaps(AddressRange(RemoteAddress(0x10ff), byteCount: 1)))
    #expect(range.contains(AddressRange(RemoteAddress(0x1010), byteCount: 0xf0)))
    #expect(AddressRange(RemoteAddress(.max - 1), byteCount: 9).upperBound == RemoteAddress(.max))
    #expect(AddressRange(RemoteAddress(9), RemoteAddress(3)).isEmpty)
  }

  @Test(
    "a file's name is what stands behind the last slash, whatever mark combines with it",
    arguments: [
      ("/usr/lib/libc.so.6", "libc.so.6"), ("ls", "ls"), ("/", ""), ("", ""), ("a/", ""),
      ("/tmp/\u{301}x", "\u{301}x"),
    ])
  func fileName(path: String, name: String) {
    #expect(Array(path.fileName.utf8) == Array(name.utf8))
  }

  @Test("a chunk's range begins with its header, also where no header fits")
  func chunkRange() {
    let chunk = Chunk(
      userAddress: RemoteAddress(0x1010), size: 48, usableSize: 40, state: .inUse, arena: 0)
    #expect(chunk.range == AddressRange(RemoteAddress(0x1000), RemoteAddress(0x1030)))
    let low = Chunk(
      userAddress: RemoteAddress(8), size: 48, usableSize: 40, state: .inUse, arena: 0)
    #expect(low.range.lowerBound == RemoteAddress(8))
    #expect(ChunkState.allCases.filter(\.isCached) == [.tcache, .fastbin])
  }

  @Test("a chunk has 24 bytes, and keeps all that it is given")
  func chunkParts() {
    #expect(MemoryLayout<Chunk>.stride == 24)
    for state in ChunkState.allCases {
      for arena in [nil, 0, 1, 1000, 1_048_574] as [Int32?] {
        for unusable in [0, 8, 16, 24, 255] as [UInt64] {
          var chunk = Chunk(
            userAddress: RemoteAddress(.max), size: 1000, usableSize: 1000 - unusable,
            state: state, arena: arena)
          #expect(chunk.state == state && chunk.arena == arena)
          #expect(chunk.usableSize == 1000 - unusable)
          chunk.state = .top
          chunk.arena = 7
          chunk.size = 300
          #expect(chunk.state == .top && chunk.arena == 7 && chunk.usableSize == 300 - unusable)
        }
      }
    }
    // More arenas than there is room for are the last one.
    let last = Chunk(
      userAddress: RemoteAddress(16), size: 8, usableSize: 99, state: .inUse, arena: .max)
    #expect(last.arena == 1_048_574 && last.usableSize == 8)
  }

  @Test("totals are the arenas' sums, and in use counts mmapped chunks too")
  func totals() {
    var snapshot = HeapSnapshot()
    for index in 0..<3 {
      var arena = ArenaSummary(
        index: index, address: RemoteAddress(0), kind: index == 0 ? .main : .thread)
      arena.inUse.add(size: 32, count: 10)
      arena.free.add(size: 48)
      arena.cached.add(size: 64, count: 2)
      arena.topBytes = 7
      arena.systemBytes = 1000
      snapshot.arenas.append(arena)
    }
    snapshot.mmapped.add(size: 4096)
    #expect(snapshot.inUse == Tally(count: 31, bytes: 960 + 4096))
    #expect(snapshot.free == Tally(count: 3, bytes: 144))
    #expect(snapshot.cached == Tally(count: 6, bytes: 384))
    #expect(snapshot.topBytes == 21)
    #expect(snapshot.systemBytes == 3000)
  }

  @Test("a snapshot is incomplete if a finding says so or findings were dropped")
  func incompleteness() {
    var snapshot = HeapSnapshot()
    #expect(!snapshot.isIncomplete)
    snapshot.findings = [Finding(.inTransit, at: nil, "x"), Finding(.allocator, at: nil, "y")]
    #expect(!snapshot.isIncomplete)
    snapshot.findings.append(Finding(.unreadable, at: nil, "z"))
    #expect(snapshot.isIncomplete)
    snapshot.findings = []
    snapshot.suppressedFindings = 1
    #expect(snapshot.isIncomplete)
  }

  @Test("coverage lies between 0 and 1, and nothing to cover is covered")
  func coverage() {
    var snapshot = HeapSnapshot()
    #expect(snapshot.coverage == 1)
    snapshot.systemAndMmappedBytes = 1000
    snapshot.accountedBytes = 250
    #expect(snapshot.coverage == 0.25)
    snapshot.accountedBytes = 2000
    #expect(snapshot.coverage == 1)
  }
}

@Suite("Numbers for files")
struct BinaryNumbersTests {
  @Test("a path has one number, whatever was asked for between, and no file has one, too")
  func numbers() {
    var binaries = BinaryNumbers()
    let paths = ["/usr/lib/a.so", nil, "/usr/lib/b.so", "/usr/lib/b.so", nil, "/usr/lib/a.so", ""]
    #expect(paths.map { binaries.number(of: $0) } == [0, 1, 2, 2, 1, 0, 3])
  }
}
