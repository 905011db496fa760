// The CSV tables, parsed back.

import HeapAnalysis
import HeapModel
import Reports
import Testing

@Suite("CSV reports")
struct CSVReportTests {
  /// The header and the rows by column name.
  private func parsed(_ sink: MemorySink) -> (header: String, rows: [[String: String]]) {
    #expect(sink.text.hasSuffix("\n"))
    let lines = sink.text.split(separator: "\n").map(String.init)
    let names = lines[0].split(separator: ",").map(String.init)
    let rows = lines.dropFirst().map { line in
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      #expect(fields.count == names.count, "\(line)")
      return Dictionary(uniqueKeysWithValues: zip(names, fields))
    }
    return (lines[0], rows)
  }

  @Test("the histogram has every exact size as the snapshot has it", arguments: [0, 1, 2, 5])
  func histogram(fixture: Int) {
    let snapshot = ReportFixtures.all[fixture].report.snapshot
    var sink = MemorySink()
    CSVReports.writeHistogram(ReportFixtures.all[fixture].report, to: &sink)
    let (header, rows) = parsed(sink)
    #expect(
      header
        == "size,in_use_chunks,in_use_bytes,free_chunks,free_bytes,cached_chunks,cached_bytes")
    let sizes = rows.map { row in
      SizeClass(
        size: UInt64(row["size"] ?? "") ?? 0, inUse: Int(row["in_use_chunks"] ?? "") ?? -1,
        free: Int(row["free_chunks"] ?? "") ?? -1, cached: Int(row["cached_chunks"] ?? "") ?? -1)
    }
    #expect(sizes == snapshot.sizes)
    #expect(rows.map { UInt64($0["in_use_bytes"] ?? "") } == snapshot.sizes.map(\.inUseBytes))
  }

  @Test("chunks have the contract's header, hexadecimal addresses and mmap as an arena")
  func chunks() {
    var sink = MemorySink()
    CSVReports.writeChunks(ReportFixtures.chunks, filter: ChunkFilter(), limit: nil, to: &sink)
    let lines = sink.text.split(separator: "\n")
    #expect(lines.first == "address,size,usable,state,arena")
    #expect(lines[1] == "0x55d0c0ab0010,48,40,in_use,0")
    #expect(lines.last == "0x7f0000000010,266240,266224,in_use,mmap")
    #expect(
      parsed(sink).rows.map { $0["state"] } == [
        "in_use", "tcache", "fastbin", "binned", "top", "internal", "in_use",
      ])
  }

  @Test("digits are right at both ends of 64 bits")
  func extremeNumbers() {
    var report = ReportFixtures.python
    report.snapshot.chunks = [0, 9, 10, 16, 0xabcdef, .max].map {
      Chunk(
        userAddress: RemoteAddress($0), size: $0, usableSize: .max - $0, state: .top,
        arena: 1_048_574)
    }
    var sink = MemorySink()
    CSVReports.writeChunks(report, filter: ChunkFilter(), limit: nil, to: &sink)
    let expected = report.snapshot.chunks.map {
      "\($0.userAddress),\($0.size),\($0.usableSize),top,1048574\n"
    }
    #expect(sink.text.split(separator: "\n").dropFirst().map { $0 + "\n" } == expected)
  }

  @Test("arenas have a row each and one for mmapped chunks, empty where nothing is known")
  func arenas() {
    var report = ReportFixtures.server
    report.snapshot.arenas[3].attachedThreads = nil
    var sink = MemorySink()
    CSVReports.writeArenas(report, to: &sink)
    let rows = parsed(sink).rows
    #expect(rows.map { $0["arena"] } == (0..<17).map(String.init) + ["mmap"])
    #expect(rows[3]["attached_threads"] == "")
    #expect(rows[4]["attached_threads"] == "2")
    #expect(rows[4]["resident_bytes"] == "")
    #expect(rows[0]["address"] == "0x7f00deadbc60")
    let total = rows.reduce(0) { $0 + (UInt64($1["in_use_bytes"] ?? "") ?? 0) }
    #expect(total == report.snapshot.inUse.bytes)
  }

  @Test("a long table reaches the sink in pieces, and a sink's refusal ends it")
  func streaming() {
    var report = ReportFixtures.python
    report.snapshot.chunks = (0..<20_000).map {
      Chunk(
        userAddress: RemoteAddress(0x55d0_c0ab_0010 + UInt64($0) * 32), size: 32, usableSize: 24,
        state: .inUse, arena: 0)
    }
    var sink = CountingSink()
    #expect(throws: Never.self) {
      try CSVReports.writeChunks(report, filter: ChunkFilter(), limit: nil, to: &sink)
    }
    #expect(sink.writes > 5)
    #expect(sink.largest < 128 << 10)
    var refusing = CountingSink(refusesAfter: 2)
    #expect(throws: CountingSink.Refusal.self) {
      try CSVReports.writeChunks(report, filter: ChunkFilter(), limit: nil, to: &refusing)
    }
    #expect(refusing.writes == 2)
  }
}
