// Gauges for Prometheus, read by its own parser for Python.

import HeapAnalysis
import HeapModel
import Reports
import Testing

/// A family as it was read back.
private struct Family: Decodable {
  struct Sample: Decodable {
    var name: String
    var labels: [String: String]
    var value: Double
    var timestamp: Double?
  }

  var name: String
  var type: String
  var help: String
  var samples: [Sample]
}

@Suite("Metrics")
struct PrometheusTests {
  private let tool = ToolFacts(name: "malloscope", version: "0.1.0")
  private static let obstacle = OtherReader.exposition.obstacle

  private func written(_ report: HeapReport, typeLimit: Int = 20) -> MemorySink {
    var sink = MemorySink()
    PrometheusReport.write(report, typeLimit: typeLimit, tool: tool, to: &sink)
    return sink
  }

  private func families(_ report: HeapReport, typeLimit: Int = 20) throws -> [String: Family] {
    let families = try OtherReader.exposition.read(
      written(report, typeLimit: typeLimit).bytes, as: [Family].self)
    // A family in two pieces would be here twice.
    #expect(Set(families.map(\.name)).count == families.count)
    return Dictionary(families.map { ($0.name, $0) }) { $1 }
  }

  private func value(
    _ families: [String: Family], _ name: String, _ labels: [String: String] = [:]
  ) -> Double? {
    families[name]?.samples.first { sample in
      labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }?.value
  }

  @Test("the text is the recorded one, with types and without")
  func texts() throws {
    try expectGolden(written(TypeFixtures.report, typeLimit: 3).text, "metrics-types")
    try expectGolden(written(ReportFixtures.python).text, "metrics-python")
  }

  @Test(
    "every family is gauges with help, whose samples differ, have no time, and end in their unit",
    .enabled(if: obstacle == nil, obstacle ?? ""),
    arguments: ReportFixtures.all.map(\.name) + ["types"])
  func format(name: String) throws {
    let report =
      ReportFixtures.all.first { $0.name == name }?.report ?? TypeFixtures.report
    for family in try families(report).values {
      #expect(family.type == "gauge")
      #expect(!family.help.isEmpty)
      #expect(family.name.hasPrefix("malloscope_"))
      #expect(!family.name.contains("_ms") && !family.name.hasSuffix("_total"))
      #expect(Set(family.samples.map(\.labels)).count == family.samples.count)
      #expect(family.samples.allSatisfy { $0.timestamp == nil && $0.name == family.name })
      #expect(family.samples.allSatisfy { $0.labels["pid"] == "\(report.target.pid)" })
    }
  }

  @Test("figures are those of the snapshot", .enabled(if: obstacle == nil, obstacle ?? ""))
  func figures() throws {
    let report = ReportFixtures.damaged
    let families = try families(report)
    let snapshot = report.snapshot
    for (state, bytes) in [
      ("in_use", snapshot.inUse.bytes), ("free", snapshot.free.bytes),
      ("cached", snapshot.cached.bytes), ("top", snapshot.topBytes),
    ] {
      #expect(value(families, "malloscope_heap_bytes", ["state": state]) == Double(bytes))
    }
    #expect(value(families, "malloscope_findings", ["kind": "chain_break"]) == 7)
    #expect(value(families, "malloscope_findings", ["kind": "unreadable"]) == 0)
    #expect(value(families, "malloscope_findings", ["kind": "not_kept"]) == 1203)
    #expect(value(families, "malloscope_capture_longest_stop_seconds") == 0.002413)
    #expect(value(families, "malloscope_capture_stops") == 3)
    let coverage = try #require(value(families, "malloscope_coverage_ratio"))
    #expect(coverage < 1 && coverage > 0.9)
    #expect(families["malloscope_type_bytes"] == nil)
    #expect(value(try self.families(ReportFixtures.python), "malloscope_coverage_ratio") == 1)
  }

  @Test(
    "a container's ids are labels, and any name comes back as other reports show it",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func labels() throws {
    let server = try #require(families(ReportFixtures.server)["malloscope_heap_arenas"]?.samples)
    #expect(server[0].labels["pod_uid"] == "0f5c1d2e-3b4a-4c5d-8e9f-001122334455")
    #expect(server[0].labels["container_id"]?.hasPrefix("3f2a9c81d0e4") == true)
    let odd = try #require(families(ReportFixtures.oddNames)["malloscope_heap_arenas"]?.samples)
    #expect(odd[0].labels["command"] == "a\"b\\c\\u{1b}[2J\\u{a}\\u{202e}\\u{7f}é")
  }

  @Test(
    "arenas and types beyond a few are one, so that nothing is lost and their number is bounded",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func bounds() throws {
    var report = TypeFixtures.report
    report.snapshot.arenas += (17..<900).map { index in
      var arena = report.snapshot.arenas[1]
      arena.index = index
      return arena
    }
    let families = try families(report, typeLimit: 3)
    let arenas = try #require(families["malloscope_arena_system_bytes"]?.samples)
    #expect(arenas.count == PrometheusReport.arenaLimit + 1)
    #expect(arenas.last?.labels["arena"] == "other")
    #expect(
      arenas.reduce(0) { $0 + $1.value }
        == Double(report.snapshot.arenas.reduce(0) { $0 + $1.systemBytes }))
    let types = try #require(families["malloscope_type_bytes"]?.samples)
    #expect(
      types.map { $0.labels["type"]?.prefix(12) } == [
        "text (ASCII)", "std::string[", "std::unorder", "other",
      ])
    let total = Double(TypeTable(report).total.bytes)
    #expect(types.reduce(0) { $0 + $1.value } == total)
    let attributed = try #require(families["malloscope_attributed_bytes"]?.samples)
    #expect(attributed.reduce(0) { $0 + $1.value } == total)
    #expect(attributed.count == TypeEvidence.Rule.allCases.count)
  }

  @Test(
    "names that are alike once they are cut are one sample",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func longNames() throws {
    var report = TypeFixtures.report
    for index in [1, 2] {
      report.held?.types[index].name =
        String(repeating: "a", count: 300) + "\(index)" + String(repeating: "b", count: 300)
    }
    let types = try #require(families(report)["malloscope_type_bytes"]?.samples)
    let long = types.filter { $0.labels["type"]?.hasPrefix("aaa") == true }
    #expect(long.map(\.value) == [Double(40 * 96 + 4 * 112 + 9 * 4112)])
    #expect(long[0].labels["type"]?.count == 200)
  }
}
