// How types grow over the samples of a watch.

import Foundation
import HeapAnalysis
import HeapModel
import Reports
import TestKit
import Testing

@Suite("Growth of types")
struct GrowthTypesTests {
  private typealias Plan = [(name: String, size: UInt64, count: Int)]

  /// A history of samples 2 seconds apart; a sample without a plan has no types.
  private func history(_ plans: [Plan?], baselineAfter: Int? = nil) -> GrowthHistory {
    var history = GrowthHistory()
    for (index, plan) in plans.enumerated() {
      var report = SyntheticReport([SizeClass(size: 48, inUse: 1_000)]).report()
      if let plan { report.hold(plan) }
      history.add(report, ProcessMemory(), at: 2 * Double(index))
      if baselineAfter == index { history.setBaseline() }
    }
    return history
  }

  private func row(_ history: GrowthHistory, _ name: String) -> GrowthRow? {
    history.rows(.types).first {
      $0.key == .type(name: name, kind: .cxx, binary: "/srv/bin/server")
    }
  }

  /// Sessions leak, 10 a sample; caches are steady; a codec comes in the fourth sample.
  private func leak(_ sample: Int) -> Plan {
    [("Session", 96, 100 + 10 * sample), ("Cache", 4_112, 20)]
      + (sample >= 3 ? [("Codec", 64, 5)] : [])
  }

  @Test("a type that grows is told with its speed, one that is steady is not")
  func leak() throws {
    let history = history((0..<8).map { leak($0) })
    let session = try #require(row(history, "Session"))
    #expect(session.now.inUse == Tally(count: 170, bytes: 170 * 96))
    #expect(session.growthCount == 70)
    #expect(session.grewInEverySample)
    #expect(history.rate(session) == 480)
    #expect(history.trend(session)?.isGrowth == true)
    let cache = try #require(row(history, "Cache"))
    #expect(cache.growth == 0 && !cache.neverShrank)
    // What came later was not there before.
    let codec = try #require(row(history, "Codec"))
    #expect(codec.growthCount == 5 && !codec.grewInEverySample && codec.neverShrank)
    #expect(codec.points == [0, 0, 0, 320, 320, 320, 320, 320])
    let summary = GrowthSummary(history, grouping: .types)
    #expect(summary.grown.map { GrowthWords.label($0.row) } == ["Session"])
  }

  @Test("samples without types change nothing, and the first with types is no growth")
  func lateLook() throws {
    let plans: [Plan?] = [nil, nil, nil, leak(0), nil, leak(1), leak(2), nil]
    let history = history(plans)
    let session = try #require(row(history, "Session"))
    #expect(session.baseline.count == 100)
    #expect(session.growthCount == 20)
    #expect(session.grewInEverySample)
    let bytes = [100, 100, 100, 100, 100, 110, 120, 120].map { Double($0 * 96) }
    #expect(session.points == bytes)
    #expect(row(history, "Cache")?.growth == 0)
    // The totals go on meanwhile.
    #expect(history.rows(.sizes).first?.points.count == plans.count)
  }

  @Test("the baseline counts from the last sample with types")
  func baseline() throws {
    let history = history([leak(0), leak(1), nil, leak(2), leak(3)], baselineAfter: 2)
    let session = try #require(row(history, "Session"))
    #expect(session.baseline.count == 110)
    #expect(session.growthCount == 20)
    #expect(session.grewInEverySample)
  }

  @Test("of very many types the largest are followed, and those that were, even if they shrink")
  func bounds() throws {
    let small: Plan = (0..<500).map { ("Type\($0)", 32 + 16 * UInt64(500 - $0), 2) }
    var later = small
    later[0].count = 1
    later[0].size = 32
    // One that was there all the time comes among the largest as another leaves.
    let history = history([small, later, later])
    #expect(history.rows(.types).count == 201)
    #expect(history.untracked(.types) == 299)
    #expect(row(history, "Type0")?.now.inUse.bytes == 32)
    let entered = try #require(row(history, "Type200"))
    #expect(entered.growth == 0)
    #expect(row(history, "Type201") == nil)
    var churn = GrowthHistory()
    for sample in 0..<40 {
      var report = SyntheticReport([]).report()
      report.hold((0..<150).map { ("Type\(sample)x\($0)", 48, 1) })
      churn.add(report, ProcessMemory(), at: Double(sample))
    }
    #expect(churn.rows(.types).count <= 2_048)
    #expect(churn.rows(.types).contains { $0.now.inUse.count > 0 })
  }

  @Test("however many types stay, those with most bytes have room")
  func room() throws {
    let all: Plan = (0..<3_000).map { ("Type\($0)", 32 + 16 * UInt64($0), 1) }
    // Each sample has 150 more, larger than all before.
    let history = history((1...20).map { Array(all.prefix(150 * $0)) })
    let rows = history.rows(.types)
    #expect((200...2_048).contains(rows.count))
    #expect(history.untracked(.types) == 3_000 - rows.count)
    for place in 2_800..<3_000 {
      let newest = try #require(row(history, "Type\(place)"))
      #expect(newest.now.inUse.count == 1 && newest.growthCount == 1)
    }
    let smallest = try #require(rows.map(\.now.inUse.bytes).min())
    #expect(smallest > 16 * UInt64(3_000 - rows.count))
  }

  @Test("what the largest 4,096 types had is remembered, and what was smaller counts from nothing")
  func remembered() throws {
    let many: Plan = (0..<5_000).map { ("Type\($0)", 32 + 16 * UInt64(5_000 - $0), 1) }
    var later = many
    for place in [4_095, 4_096] { later[place].count = 200 }
    let history = history([many, later])
    #expect(try #require(row(history, "Type4095")).growthCount == 199)
    #expect(try #require(row(history, "Type4096")).growthCount == 200)
  }

  @Test("a history keeps no chunks, of which there can be millions, and no types beside its rows")
  func memory() {
    let history = history([leak(0)])
    #expect(history.latest?.snapshot.chunks.isEmpty == true)
    #expect(history.latest?.held == HeldTypes())
    #expect(self.history([nil]).latest?.held == nil)
  }

  @Test("chunks of a type are found among all")
  func listing() {
    var report = SyntheticReport([]).report()
    report.hold(leak(3))
    let listing = ChunkListing(
      report.snapshot, of: .type(name: "Codec", kind: .cxx, binary: "/srv/bin/server"),
      held: report.held, limit: 3)
    #expect(listing.total == 5)
    #expect(listing.chunks.count == 3)
    #expect(listing.chunks.allSatisfy { $0.size == 64 })
    let other = ChunkListing(
      report.snapshot, of: .type(name: "Codec", kind: .cxx, binary: nil), held: report.held,
      limit: 3)
    #expect(other.total == 0)
  }

  @Test("a watch by type is the recorded text")
  func text() throws {
    let long = "std::map<std::string, std::vector<ingest::Record, std::allocator<ingest::Record>>>"
    let history = history((0..<6).map { leak($0) + [(long, 80, 3 + $0)] + [("\u{1B}[2J", 32, 1)] })
    var sink = MemorySink()
    let growth = GrowthOptions(grouping: .types)
    TextWatch.writeSample(
      history, clock: "12:34:56", growth: growth, options: ReportOptions(), to: &sink)
    TextWatch.writeSummary(
      history, end: "stopped", growth: growth, options: ReportOptions(showsFullNames: true),
      to: &sink)
    #expect(!sink.text.contains("\u{1B}"))
    try expectGolden(sink.text, "watch-types")
  }

  @Test("a sample's line of JSON has the types if they were looked at")
  func json() throws {
    func watch(_ history: GrowthHistory, _ growth: GrowthOptions) throws -> [String: Any] {
      var sink = MemorySink()
      JSONWatch.writeSample(
        history, growth: growth, tool: ToolFacts(name: "malloscope", version: "0.1.0"), to: &sink)
      let document = try JSONSerialization.jsonObject(with: Data(sink.bytes)) as? [String: Any]
      return try #require(document?["watch"] as? [String: Any])
    }
    let history = history((0..<4).map { leak($0) })
    let line = try watch(history, GrowthOptions(grouping: .types))
    let types = try #require(line["types"] as? [[String: Any]])
    #expect(types.map { $0["type"] as? String } == ["Cache", "Session", "Codec"])
    #expect(types[1]["kind"] as? String == "C++")
    #expect(types[1]["binary"] as? String == "/srv/bin/server")
    #expect(types[1]["growth_chunks"] as? Int == 30)
    #expect(types[1]["bytes_per_second"] as? Double == 480)
    let growing = try #require(line["growing"] as? [[String: Any]])
    #expect(growing.map { $0["type"] as? String } == ["Session", "Codec"])
    #expect(try watch(self.history([nil]), GrowthOptions())["types"] == nil)
  }
}
