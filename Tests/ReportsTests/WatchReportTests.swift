// What a watch writes where there is no screen: text, JSON and CSV.

import Foundation
import HeapAnalysis
import HeapModel
import Reports
import TestKit
import Testing

@Suite("Watch reports")
struct WatchReportTests {
  private typealias Object = [String: Any]
  private let tool = ToolFacts(name: "malloscope", version: "0.1.0")

  private static let ascii = ReportOptions()
  private static let unicode = ReportOptions(style: TextStyle(usesUnicode: true))
  private static let exact = ReportOptions(showsExactBytes: true)

  /// A heap with numbers near what 64 bits hold, first small.
  private static let huge: GrowthHistory = {
    var history = GrowthHistory()
    for (second, count) in [1, 1 << 40, 1, Int.max, 0, -1, .min, .max].enumerated() {
      var heap = SyntheticReport([
        SizeClass(size: 1 << 22, inUse: count, free: count, cached: count),
        SizeClass(size: .max - 15, inUse: 1, free: count),
      ])
      heap.mmapped = [SizeClass(size: 1 << 62, inUse: count)]
      heap.topBytes = second.isMultiple(of: 2) ? .max : 0
      heap.outsideBytes = .max
      heap.stop = .seconds(Int64.max / 16)
      history.add(
        heap.report(),
        ProcessMemory(
          residentBytes: second.isMultiple(of: 2) ? 0 : .max, anonymousBytes: .max,
          swappedBytes: .max, group: GroupMemory(usedBytes: .max, limitBytes: .max),
          age: .seconds(Int64.max)), at: Double(second))
    }
    return history
  }()

  /// A name that would garble a terminal or break a document.
  private static let hostile = GrowthSeries.make(
    6, command: "a\"b\\c\u{1B}[2J\n\u{202E}\u{7F}é", executable: "/tmp/\u{1B}]0;x\u{7}, 漢字\"\r"
  ) { heap, _, sample in heap.arenas[0][1].inUse += 1_000 * sample }

  private static let all: [(name: String, history: GrowthHistory)] = [
    ("leak", GrowthSeries.leak), ("fragmentation", GrowthSeries.fragmentation),
    ("retention", GrowthSeries.retention), ("churn", GrowthSeries.churn),
    ("one sample", GrowthSeries.make(1) { _, _, _ in }), ("hostile", hostile), ("huge", huge),
    ("no sample", GrowthHistory()),
  ]

  private func text(
    _ history: GrowthHistory, _ growth: GrowthOptions = GrowthOptions(),
    _ options: ReportOptions = ReportOptions()
  ) -> String {
    var sink = MemorySink()
    if let report = history.latest {
      TextWatch.writeTarget(report, options: options, to: &sink)
    }
    TextWatch.writeSample(
      history, clock: "12:34:56", growth: growth, options: options, to: &sink)
    TextWatch.writeSummary(
      history, end: "the number of samples is reached", growth: growth, options: options,
      to: &sink)
    return sink.text
  }

  private func parsed(_ sink: MemorySink) throws -> Object {
    #expect(sink.bytes.last == UInt8(ascii: "\n"))
    #expect(sink.bytes.filter { $0 == UInt8(ascii: "\n") }.count == 1)
    return try #require(try JSONSerialization.jsonObject(with: Data(sink.bytes)) as? Object)
  }

  private func sample(
    _ history: GrowthHistory, _ growth: GrowthOptions = GrowthOptions()
  ) throws -> Object {
    var sink = MemorySink()
    JSONWatch.writeSample(history, growth: growth, tool: tool, to: &sink)
    return try parsed(sink)
  }

  private func summary(_ history: GrowthHistory, gate: GateResult? = nil) throws -> Object {
    var sink = MemorySink()
    JSONWatch.writeSummary(
      history, end: "the end", gate: gate, growth: GrowthOptions(), tool: tool, to: &sink)
    return try parsed(sink)
  }

  // MARK: Text

  @Test("a sample and the summary are the recorded text, in ASCII, Unicode and exact bytes")
  func recordedText() throws {
    try expectGolden(text(GrowthSeries.leak), "watch-leak")
    try expectGolden(
      text(GrowthSeries.leak, GrowthOptions(), Self.unicode), "watch-leak-unicode")
    try expectGolden(text(GrowthSeries.leak, GrowthOptions(), Self.exact), "watch-leak-exact-bytes")
    try expectGolden(text(GrowthSeries.retention), "watch-retention")
    try expectGolden(text(GrowthSeries.make(1) { _, _, _ in }), "watch-one-sample")
  }

  @Test("grouping, order, filter and limit change the rows as recorded")
  func recordedChoices() throws {
    let choices: [(GrowthOptions, ReportOptions)] = [
      (GrowthOptions(grouping: .sizes, order: .size), Self.ascii),
      (GrowthOptions(grouping: .arenas, order: .bytes), Self.ascii),
      (GrowthOptions(filter: 40...64), Self.ascii),
      (GrowthOptions(filter: 1_000_000_000...1_000_000_001), Self.ascii),
      (GrowthOptions(order: .count), ReportOptions(limit: 2)),
    ]
    let blocks = choices.map { text(GrowthSeries.several, $0.0, $0.1) }
    try expectGolden(blocks.joined(separator: "\n=====\n"), "watch-choices")
  }

  @Test("no line of text is wider than 80 columns, and no control character is written")
  func plainText() {
    for (name, history) in Self.all {
      for options in [Self.ascii, Self.unicode] {
        let text = text(history, GrowthOptions(), options)
        for line in text.split(separator: "\n") {
          #expect(line.count <= 80 || name == "hostile", "\(name): \(line)")
        }
        let scalars = text.unicodeScalars.filter { $0 != "\n" }
        let hasControls = scalars.contains {
          [.control, .format].contains($0.properties.generalCategory)
        }
        #expect(!hasControls, "\(name)")
        if !options.style.usesUnicode, name != "hostile" {
          let isASCII = scalars.allSatisfy { $0.isASCII }
          #expect(isASCII, "\(name)")
        }
      }
    }
  }

  @Test("every grouping and order of numbers near 64 bits is written without a trap")
  func hugeText() {
    for grouping in GrowthGrouping.allCases {
      for order in GrowthOrder.allCases {
        let growth = GrowthOptions(grouping: grouping, order: order)
        #expect(!text(Self.huge, growth, Self.exact).isEmpty)
        #expect(!text(Self.huge, growth).isEmpty)
      }
    }
  }

  @Test("without a sample nothing is written for it")
  func noSample() {
    var sink = MemorySink()
    let history = GrowthHistory()
    TextWatch.writeSample(
      history, clock: "", growth: GrowthOptions(), options: Self.ascii, to: &sink)
    JSONWatch.writeSample(history, growth: GrowthOptions(), tool: tool, to: &sink)
    CSVWatch.writeSample(history, to: &sink)
    #expect(sink.bytes.isEmpty)
  }

  @Test("a mark is given only to rows that grew in every sample, or never shrank")
  func marks() {
    func mark(_ changes: [Int], _ style: TextStyle) -> String? {
      let history = GrowthSeries.make(changes.count) { heap, _, sample in
        heap.arenas[0][1].inUse += changes[sample]
      }
      let row = GrowthTable(history, .sizes, order: .size).rows.first {
        $0.key == .sizes(48...48)
      }
      return row.map { TextWatch.mark($0, style) }
    }
    let unicode = TextStyle(usesUnicode: true)
    #expect(mark([0, 1, 2, 3], unicode) == "▲")
    #expect(mark([0, 1, 1, 3], unicode) == "△")
    #expect(mark([0, 1, 0, 3], unicode) == "")
    #expect(mark([0, 1, 2, 3], TextStyle()) == "^")
    #expect(mark([0, 1, 1, 3], TextStyle()) == "'")
    #expect(mark([0, 0, 0], TextStyle()) == "")
    #expect(mark([0, 1], TextStyle()) == "")
  }

  // MARK: JSON

  @Test("each sample is one line of valid JSON that has all of histogram/1, and a watch beside it")
  func sampleKeys() throws {
    for (name, history) in Self.all where history.latest != nil {
      let document = try sample(history)
      #expect(document["schema"] as? String == "malloscope/histogram/1", "\(name)")
      #expect(
        Set(document.keys) == [
          "schema", "tool", "target", "capture", "totals", "mallocs", "arenas", "histogram",
          "checks", "findings", "coverage", "watch",
        ], "\(name)")
      let watch = try #require(document["watch"] as? Object)
      #expect(
        Set(watch.keys) == [
          "sample", "elapsed_s", "resident_bytes", "anonymous_bytes", "swapped_bytes",
          "outside_malloc_bytes", "cgroup_bytes", "cgroup_limit_bytes", "growth", "per_second",
          "stopped_share", "growing",
        ], "\(name)")
      let followed: Set<String> = [
        "in_use_bytes", "free_bytes", "cached_bytes", "top_bytes", "mmapped_bytes",
        "outside_malloc_bytes", "resident_bytes", "cgroup_bytes",
      ]
      #expect(Set((watch["growth"] as? Object ?? [:]).keys) == followed)
      #expect(Set((watch["per_second"] as? Object ?? [:]).keys) == followed)
      #expect(watch["sample"] as? Int == history.sampleCount)
    }
  }

  @Test("the numbers of a sample are those of the series, and what is not known is null")
  func sampleValues() throws {
    let watch = try #require(try sample(GrowthSeries.leak)["watch"] as? Object)
    let growth = try #require(watch["growth"] as? Object)
    let expected = GrowthSeries.leak.growth(.inUse).map { Int($0) }
    #expect(growth["in_use_bytes"] as? Int == expected)
    #expect(watch["elapsed_s"] as? Double == 78)
    #expect(watch["cgroup_limit_bytes"] as? Int == 536_870_912)
    // 2 ms of 2 s.
    #expect(watch["stopped_share"] as? Double == 0.001)
    let growing = try #require(watch["growing"] as? [Object])
    #expect(growing.count == 1)
    #expect(growing.first?["largest_size"] as? Int == 48)
    #expect(growing.first?["in_every_sample"] as? Bool == true)

    var history = GrowthHistory()
    history.add(SyntheticReport([]).report(), ProcessMemory(), at: 0)
    let first = try #require(try sample(history)["watch"] as? Object)
    #expect(first["resident_bytes"] is NSNull)
    #expect((first["per_second"] as? Object)?["in_use_bytes"] is NSNull)
    #expect((first["growth"] as? Object)?["cgroup_bytes"] is NSNull)
  }

  @Test("rows of arenas and of mmapped chunks say which they are")
  func arenaRows() throws {
    let history = GrowthSeries.make(4) { heap, _, sample in
      heap.arenas.append([SizeClass(size: 64, inUse: 10 + sample)])
      heap.mmapped = [SizeClass(size: 1_052_672, inUse: 1 + sample)]
    }
    let watch = try #require(
      try sample(history, GrowthOptions(grouping: .arenas))["watch"] as? Object)
    let rows = try #require(watch["growing"] as? [Object])
    #expect(rows.map { $0["arena"] as? String } == ["mmap", "0x7f1004000030"])
    #expect(rows.last?["arena_index"] as? Int == 1)
  }

  @Test("the summary is one line of valid JSON with what changed, what grew and the gate")
  func summaryKeys() throws {
    for (name, history) in Self.all {
      let document = try summary(history)
      #expect(document["schema"] as? String == "malloscope/watch-summary/1", "\(name)")
      #expect(document["gate"] is NSNull, "\(name)")
      #expect((document["words"] as? [String] ?? []).isEmpty == false, "\(name)")
    }
    let gate = GateResult(limit: 1_000, trend: GrowthSeries.leak.trend(.inUse))
    let document = try summary(GrowthSeries.leak, gate: gate)
    #expect(
      Set(document.keys) == [
        "schema", "tool", "target", "end", "samples", "incomplete_samples", "seconds", "stops",
        "in_use", "changes", "grown", "words", "gate",
      ])
    #expect(document["samples"] as? Int == 40)
    #expect((document["gate"] as? Object)?["outcome"] as? String == "failed")
    #expect((document["gate"] as? Object)?["limit_bytes_per_minute"] as? Double == 60_000)
    let changes = try #require(document["changes"] as? [Object])
    #expect(changes.map { $0["kind"] as? String } == ["in_use"])
    let trend = try #require(document["in_use"] as? Object)
    #expect(trend["grows"] as? Bool == true)
    #expect(abs((trend["bytes_per_minute"] as? Double ?? 0) - 1_440_000) < 30_000)
    let kept = try #require(try summary(GrowthSeries.retention)["changes"] as? [Object])
    #expect(kept.first?["trend"] is NSNull)
  }

  @Test("a hostile name comes out of the JSON as it went in")
  func hostileNames() throws {
    for document in [try sample(Self.hostile), try summary(Self.hostile)] {
      let target = try #require(document["target"] as? Object)
      #expect(target["command"] as? String == Self.hostile.latest?.target.command)
      #expect(target["executable"] as? String == Self.hostile.latest?.target.executable)
    }
  }

  // MARK: CSV

  @Test("every row of CSV has the header's columns, and empty ones where nothing is known")
  func csv() throws {
    var sink = MemorySink()
    CSVWatch.writeHeader(to: &sink)
    for (_, history) in Self.all { CSVWatch.writeSample(history, to: &sink) }
    var unknown = GrowthHistory()
    unknown.add(SyntheticReport([SizeClass(size: 48, inUse: 2)]).report(), ProcessMemory(), at: 9)
    CSVWatch.writeSample(unknown, to: &sink)
    let lines = sink.text.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    #expect(lines.count == Self.all.count + 1)
    #expect(lines.allSatisfy { $0.count == lines[0].count })
    for line in lines.dropFirst() {
      #expect(line.allSatisfy { $0.isEmpty || Double($0) != nil }, "\(line)")
    }
    let last = try #require(lines.last)
    #expect(
      last == [
        "1", "0.000", "96", "2", "0", "0", "135168", "0", "135264", "", "", "", "2.000", "1",
      ])
    let leak = Dictionary(uniqueKeysWithValues: zip(lines[0], lines[1]))
    #expect(leak["sample"] == "40")
    #expect(leak["elapsed_s"] == "78.000")
    let inUse = GrowthSeries.leak.figures?.inUse.bytes ?? 0
    #expect(leak["in_use_bytes"] == String(inUse))
    #expect(leak["complete"] == "1")
  }
}
