// The table of types as text, JSON and CSV.

import Foundation
import HeapAnalysis
import HeapModel
import Reports
import Testing

@Suite("Reports of types")
struct TypeReportTests {
  private typealias Object = [String: Any]
  private let report = TypeFixtures.report
  private let tool = ToolFacts(name: "malloscope", version: "0.1.0")

  private func text(
    _ types: TypeTableOptions = TypeTableOptions(), _ options: ReportOptions = ReportOptions()
  ) -> String {
    var sink = MemorySink()
    TextTypes.write(report, types: types, options: options, to: &sink)
    return sink.text
  }

  private func json(_ types: TypeTableOptions = TypeTableOptions()) throws -> Object {
    var sink = MemorySink()
    JSONReports.writeTypes(report, types: types, tool: tool, to: &sink)
    return try #require(try JSONSerialization.jsonObject(with: Data(sink.bytes)) as? Object)
  }

  @Test("each way to make rows is the recorded screen", arguments: TypeGrouping.allCases)
  func screens(by: TypeGrouping) throws {
    try expectGolden(text(TypeTableOptions(grouping: by)), "types-by-\(by.rawValue)")
  }

  @Test("options change rows and figures as recorded")
  func options() throws {
    try expectGolden(
      text(
        TypeTableOptions(limit: 3, sizeLimit: 2, addressLimit: 2),
        ReportOptions(showsExactBytes: true, columns: 100)), "types-details")
    try expectGolden(text(TypeTableOptions(), ReportOptions(isVerbose: true)), "types-verbose")
    let pattern = try TypePattern(parsing: "^std::[2k+]")
    try expectGolden(
      text(
        TypeTableOptions(pattern: pattern),
        ReportOptions(style: TextStyle(usesColor: true, usesUnicode: true))), "types-color")
  }

  @Test("a terminal's width holds every row of the table, whole names go beyond it")
  func widths() {
    for columns in [72, 80, 132] {
      let lines = text(TypeTableOptions(), ReportOptions(columns: columns)).split(separator: "\n")
      #expect(lines.allSatisfy { $0.count <= max(80, columns) }, "\(columns)")
    }
    #expect(!text().contains(TypeFixtures.longName))
    #expect(text(.init(), ReportOptions(showsFullNames: true)).contains(TypeFixtures.longName))
  }

  @Test("no name moves the cursor")
  func hostileNames() {
    for options in [ReportOptions(), ReportOptions(isVerbose: true)] {
      let scalars = text(.init(), options).unicodeScalars
      #expect(scalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && $0 != "\u{202E}" })
    }
    var sink = MemorySink()
    TextChunks.write(
      report, filter: ChunkFilter(), showsTypes: true, options: ReportOptions(), to: &sink)
    #expect(!sink.text.contains("\u{1B}"))
  }

  @Test("a heap without chunks, and a filter that nothing passes, are said in words")
  func emptiness() throws {
    var sink = MemorySink()
    TextTypes.write(
      ReportFixtures.empty, types: TypeTableOptions(), options: ReportOptions(), to: &sink)
    #expect(sink.text.contains("The program holds no chunks."))
    let pattern = try TypePattern(parsing: "nothing")
    #expect(text(TypeTableOptions(pattern: pattern)).contains("No chunk in use is of such a type"))
  }

  @Test("the document has the contract's keys, and any name comes back as it was")
  func document() throws {
    let document = try json(TypeTableOptions(sizeLimit: 1, addressLimit: 1))
    #expect(document["schema"] as? String == "malloscope/types/1")
    #expect(
      Set(document.keys) == [
        "schema", "tool", "target", "capture", "totals", "by", "types", "omitted", "attribution",
        "binaries", "symbol_gaps", "checks", "findings", "coverage",
      ])
    #expect(document["by"] as? String == "type")
    let rows = try #require(document["types"] as? [Object])
    for row in rows {
      #expect(
        Set(row.keys) == [
          "name", "kind", "binary", "count", "bytes", "sizes", "addresses", "evidence",
        ])
      let evidence = try #require(row["evidence"] as? Object)
      #expect(Set(evidence.keys) == ["rule", "detail"])
    }
    #expect(
      Set(rows.compactMap { $0["name"] as? String }) == Set(TypeFixtures.types.map(\.name)))
    let plain = try #require((json()["types"] as? [Object])?.first)
    #expect(Set(plain.keys) == ["name", "kind", "binary", "count", "bytes", "evidence"])
    #expect(plain["name"] as? String == "text (ASCII)")
    #expect(plain["binary"] is NSNull)
  }

  @Test("attribution sums to what is in use, and files named have their build ids")
  func attribution() throws {
    let document = try json()
    let attribution = try #require(document["attribution"] as? [String: [String: UInt64]])
    #expect(Set(attribution.keys) == Set(TypeEvidence.Rule.allCases.map(\.rawValue)))
    let rows = try #require(document["types"] as? [Object])
    let bytes = rows.compactMap { $0["bytes"] as? UInt64 }.reduce(0, +)
    #expect(attribution.values.reduce(0) { $0 + ($1["bytes"] ?? 0) } == bytes)
    let binaries = try #require(document["binaries"] as? [Object])
    #expect(
      binaries.map { $0["path"] as? String } == [
        TypeFixtures.server, TypeFixtures.library, "/usr/lib/x86_64-linux-gnu/libc.so.6",
      ])
    #expect(binaries.map { $0["build_id"] as? String } == ["abcd01ef", "0011", nil])
    let gaps = try #require(document["symbol_gaps"] as? [Object])
    #expect(gaps.map { $0["build_id"] as? String } == ["1201", "1202", "1203", "1204"])
  }

  @Test("the histogram takes the rows of types, and has none unless asked")
  func histogram() throws {
    var sink = MemorySink()
    JSONReports.writeHistogram(
      report, types: TypeTableOptions(limit: 2), tool: tool, to: &sink)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(sink.bytes)) as? Object)
    #expect((document["types"] as? [Object])?.count == 2)
    #expect((document["omitted"] as? Object)?["rows"] as? Int == 8)
    #expect((document["histogram"] as? [Object])?.isEmpty == false)
    var screen = MemorySink()
    TextHistogram.write(
      report, types: TypeTableOptions(limit: 2), options: ReportOptions(), to: &screen)
    try expectGolden(screen.text, "histogram-by-type")
  }

  @Test("CSV is one line a row, with quotes where a name needs them")
  func table() {
    var sink = MemorySink()
    CSVReports.writeTypes(report, types: TypeTableOptions(), to: &sink)
    let lines = sink.text.split(separator: "\n")
    #expect(lines.first == "rank,count,bytes,average,type,kind,binary")
    #expect(lines.count == 11)
    #expect(lines.contains("4,50,4864,97,Session,C++,\(TypeFixtures.server)"))
    #expect(lines.contains { $0.contains(",\"a\"\"b;c,d\\u{1b}[2J\\u{a}\\u{202e}\\u{7f}é\",C,") })
    #expect(lines.contains { $0.contains("\"\(TypeFixtures.longName)\"") })
  }

  @Test("a quote with a combining mark, one character, is a quote and doubled as one")
  func combinedQuote() {
    var report = report
    report.held?.types[1].name = "\"\u{301},"
    var sink = MemorySink()
    CSVReports.writeTypes(report, types: TypeTableOptions(), to: &sink)
    let field = [UInt8](",".utf8) + [0x22, 0x22, 0x22, 0xCC, 0x81, 0x2C, 0x22] + ",C++,".utf8
    #expect(sink.bytes.firstRange(of: field) != nil, "\(sink.text)")
    sink = MemorySink()
    CSVReports.writeChunks(
      report, filter: ChunkFilter(sizes: 112...112), limit: 1, showsTypes: true, to: &sink)
    let end: [UInt8] = [0x2C, 0x22, 0x22, 0x22, 0xCC, 0x81, 0x2C, 0x22, 0x0A]
    #expect(Array(sink.bytes.suffix(end.count)) == end, "\(sink.text)")
  }

  @Test(
    "the addresses of very many chunks reach the sink in pieces, and a sink's refusal ends them")
  func streaming() {
    var report = report
    let first = report.snapshot.chunks[0]
    report.snapshot.chunks = [Chunk](repeating: first, count: 20_000)
    let types = TypeTableOptions(addressLimit: .max)
    var sink = CountingSink()
    #expect(throws: Never.self) {
      try TextTypes.write(report, types: types, options: ReportOptions(), to: &sink)
    }
    #expect(sink.writes > 5)
    #expect(sink.largest < 128 << 10)
    var refusing = CountingSink(refusesAfter: 2)
    #expect(throws: CountingSink.Refusal.self) {
      try TextTypes.write(report, types: types, options: ReportOptions(), to: &refusing)
    }
    #expect(refusing.writes == 2)
  }

  @Test("chunks have their types on request, those that are not in use none")
  func chunks() throws {
    let filter = ChunkFilter(sizes: 96...96)
    var csv = MemorySink()
    CSVReports.writeChunks(report, filter: filter, limit: nil, showsTypes: true, to: &csv)
    let lines = csv.text.split(separator: "\n")
    #expect(lines[0] == "address,size,usable,state,arena,type")
    #expect(lines[1] == "0x7f1000000010,96,88,in_use,0,Session")
    #expect(lines.last?.hasSuffix(",internal,0,") == true)
    var json = MemorySink()
    JSONReports.writeChunks(
      report, filter: ChunkFilter(), limit: nil, showsTypes: true, tool: tool, to: &json)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(json.bytes)) as? Object)
    let chunks = try #require(document["chunks"] as? [Object])
    for (chunk, row) in zip(report.snapshot.chunks, chunks) {
      let type = chunk.state == .inUse ? report.held?.type(of: chunk).name : nil
      #expect(row["type"] as? String == type)
    }
    var text = MemorySink()
    TextChunks.write(
      report, filter: ChunkFilter(sizes: 4000...(.max)), showsTypes: true, options: ReportOptions(),
      to: &text)
    try expectGolden(text.text, "chunks-types")
  }
}
