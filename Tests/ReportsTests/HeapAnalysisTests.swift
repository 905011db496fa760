// Ranges of sizes, the histogram table, fragmentation and the choice of chunks.

import HeapAnalysis
import HeapModel
import Testing

@Suite("Histogram tables")
struct HistogramTableTests {
  @Test("the ranges follow each other without gap or overlap and fit a screen")
  func rangesTile() {
    #expect(SizeRanges.count <= 24)
    #expect(SizeRanges.range(at: 0).lowerBound == 0)
    #expect(SizeRanges.range(at: SizeRanges.count - 1).upperBound == .max)
    for index in 1..<SizeRanges.count {
      #expect(
        SizeRanges.range(at: index - 1).upperBound + 1 == SizeRanges.range(at: index).lowerBound)
    }
  }

  @Test("every size lies in the range that it is assigned to, and in no other")
  func everySize() {
    var random = SystemRandomNumberGenerator()
    var sizes = (0..<5000).map { UInt64($0) } + [.max, .max - 1]
    for shift in UInt64(0)..<64 { sizes += [1 << shift, 1 << shift - 1, 1 << shift + 1] }
    for shift in UInt64(0)..<64 {
      sizes += (0..<20).map { _ in UInt64.random(in: 0...UInt64.max >> shift, using: &random) }
    }
    for size in sizes {
      let holding = (0..<SizeRanges.count).filter { SizeRanges.range(at: $0).contains(size) }
      #expect(holding == [SizeRanges.index(of: size)], "\(size)")
    }
  }

  @Test("grouping, order and limit lose no chunk", arguments: HistogramOrder.allCases)
  func conserved(order: HistogramOrder) {
    let sizes = ReportFixtures.server.snapshot.sizes
    for grouping in [HistogramTable.Grouping.exact, .ranges] {
      for limit in [nil, 0, 1, 5, 1000] {
        let table = HistogramTable(sizes, grouping: grouping, order: order, limit: limit)
        let all = table.rows + (table.rest.map { [$0] } ?? [])
        #expect(all.reduce(0) { $0 + $1.distinctSizes } == sizes.count)
        #expect(all.reduce(0) { $0 + $1.inUse.bytes } == table.total.inUse.bytes)
        #expect(table.total.inUse == ReportFixtures.server.snapshot.inUse)
        #expect(table.total.free == ReportFixtures.server.snapshot.free)
        #expect(table.total.cached == ReportFixtures.server.snapshot.cached)
        #expect(table.rows.count <= limit ?? .max)
        #expect((table.rest == nil) == (table.omittedRows == 0))
      }
    }
  }

  @Test("rows by count and by bytes come largest first, equal ones by size")
  func order() {
    let sizes = [
      SizeClass(size: 32, inUse: 4), SizeClass(size: 64, inUse: 2), SizeClass(size: 80, inUse: 4),
    ]
    func order(_ order: HistogramOrder) -> [UInt64] {
      HistogramTable(sizes, grouping: .exact, order: order).rows.map(\.sizes.lowerBound)
    }
    #expect(order(.size) == [32, 64, 80])
    #expect(order(.count) == [32, 80, 64])
    #expect(order(.bytes) == [80, 32, 64])
  }

  @Test("fragmentation is what the program does not hold of the arenas' chunks")
  func fragmentation() {
    var snapshot = HeapSnapshot()
    #expect(snapshot.fragmentation == nil)
    var arena = ArenaSummary(index: 0, address: RemoteAddress(0x1000), kind: .main)
    arena.inUse = Tally(count: 1, bytes: 600)
    arena.free = Tally(count: 1, bytes: 300)
    arena.cached = Tally(count: 1, bytes: 100)
    arena.topBytes = 5000
    snapshot.arenas = [arena]
    snapshot.mmapped = Tally(count: 1, bytes: 1 << 20)
    #expect(snapshot.fragmentation == 0.4)
  }
}

@Suite("Choosing chunks")
struct ChunkFilterTests {
  @Test(
    "a size or a range of sizes is read with both ends in it",
    arguments: [
      ("64", 64...64), ("48..96", 48...96), ("48 .. 96", 48...96), ("..4k", 0...4096),
      ("1K..", 1024...UInt64.max), (">1k", 1025...UInt64.max), (">=1k", 1024...UInt64.max),
      ("<32", 0...31), ("<=2M", 0...2_097_152), ("1g..2G", 1_073_741_824...2_147_483_648),
      ("1t", 1_099_511_627_776...1_099_511_627_776),
    ] as [(String, ClosedRange<UInt64>)])
  func sizes(text: String, expected: ClosedRange<UInt64>) throws {
    #expect(try ChunkFilter.parseSizes(text) == expected)
  }

  @Test("what is no size is refused with its text")
  func badSizes() {
    for text in ["", "..", "k", "-1", "1..2..3", "1...2", "12q", "0x40", "64kb", ">", ">=", "1.5k"]
    {
      #expect(throws: ChunkFilterError.notASize(text)) { try ChunkFilter.parseSizes(text) }
    }
    for text in ["96..48", "<0", ">18446744073709551615"] {
      #expect(throws: ChunkFilterError.emptyRange(text)) { try ChunkFilter.parseSizes(text) }
    }
    for text in ["18446744073709551616", "16777216T", "99999999999999999999k"] {
      #expect(throws: ChunkFilterError.sizeTooLarge(text)) { try ChunkFilter.parseSizes(text) }
    }
  }

  @Test("a tag in a pointer's top byte is left out where code is for aarch64, and only there")
  func tags() {
    var snapshot = HeapSnapshot()
    var malloc = MallocSummary(
      index: 0, copies: 1, path: "/lib/libc.so.6", glibcVersion: "2.36", arenaLayout: "C",
      mainArena: RemoteAddress(0x1000), arenas: 0..<1, mmapped: Tally())
    let tagged = ChunkFilter(address: RemoteAddress(0x0b00_5502_e8a4_1010))
    snapshot.mallocs = [malloc]
    #expect(tagged.untagged(for: snapshot) == tagged)
    malloc.machine = .arm64
    snapshot.mallocs = [malloc]
    #expect(tagged.untagged(for: snapshot).address == RemoteAddress(0x5502_e8a4_1010))
    #expect(ChunkFilter().untagged(for: snapshot) == ChunkFilter())
  }

  @Test("states, arenas and addresses are read by their contract names")
  func otherCriteria() throws {
    #expect(try ChunkFilter.parseStates("in_use") == [.inUse])
    #expect(try ChunkFilter.parseStates("cached,free") == [.tcache, .fastbin, .binned])
    #expect(throws: ChunkFilterError.notAState("")) { try ChunkFilter.parseStates("top,") }
    #expect(try ChunkFilter.parseOrigin("mmap") == .mmap)
    #expect(try ChunkFilter.parseOrigin("main") == .arena(0))
    #expect(try ChunkFilter.parseOrigin("12") == .arena(12))
    #expect(throws: ChunkFilterError.notAnArena("-1")) { try ChunkFilter.parseOrigin("-1") }
    #expect(try ChunkFilter.parseAddress("0x55D0") == RemoteAddress(0x55d0))
    #expect(try ChunkFilter.parseAddress("ff") == RemoteAddress(0xff))
    for text in ["", "0x", "0x+1", "-1", "0x10000000000000000", "zz"] {
      #expect(throws: ChunkFilterError.notAnAddress(text)) { try ChunkFilter.parseAddress(text) }
    }
  }

  @Test("every address of an arena's chunks has exactly one owner, from size field to last byte")
  func ownership() {
    let chunks = ReportFixtures.chunks.snapshot.chunks
    let arenaChunks = chunks.filter { $0.arena != nil }
    let first = arenaChunks[0].userAddress.bits - 8
    let end = first + arenaChunks.reduce(0) { $0 + $1.size }
    for bits in first..<end {
      let filter = ChunkFilter(address: RemoteAddress(bits))
      let owners = chunks.filter { filter.accepts($0) }
      #expect(owners.count == 1)
      if let owner = owners.first {
        #expect(bits + 8 >= owner.userAddress.bits)
        #expect(bits < owner.userAddress.bits + owner.usableSize)
      }
    }
    #expect(!chunks.contains { $0.owns(RemoteAddress(first - 1)) })
    let mapped = chunks[chunks.count - 1]
    #expect(mapped.owns(RemoteAddress(0x7f00_0000_0000)))
    #expect(!mapped.owns(RemoteAddress(0x7f00_0000_0000 + mapped.size)))
  }

  @Test("criteria hold together")
  func together() {
    let chunks = ReportFixtures.chunks.snapshot.chunks
    func count(_ filter: ChunkFilter) -> Int { chunks.filter { filter.accepts($0) }.count }
    #expect(count(ChunkFilter()) == chunks.count)
    #expect(count(ChunkFilter(states: [.inUse])) == 2)
    #expect(count(ChunkFilter(states: [.inUse], origin: .mmap)) == 1)
    #expect(count(ChunkFilter(origin: .arena(0))) == 6)
    #expect(count(ChunkFilter(sizes: 0...64, origin: .arena(0))) == 2)
  }
}
