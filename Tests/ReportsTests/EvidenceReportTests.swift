// Which evidence decided what: the end of a verbose report, and a part of every JSON document.

import Foundation
import HeapModel
import Reports
import TestKit
import Testing

@Suite("The evidence of a report")
struct EvidenceReportTests {
  private static let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6"

  private static let report: HeapReport = {
    var report = ReportFixtures.python
    report.target.evidence = [
      LayoutEvidence(
        file: libc, what: "main_arena", value: "0x7f00deadbc60",
        decidedBy: "its pointer to itself in the library's file",
        confirmedBy: ["symbol main_arena"]),
      LayoutEvidence(
        file: libc, what: "heap_info", value: "48 bytes",
        decidedBy: "the addresses of thread arenas",
        confirmedBy: ["mp_ with hp_pagesize", "debug information of heap_info"]),
      LayoutEvidence(
        file: libc, what: "list links", value: "masked", decidedBy: "decoding lists both ways"),
      LayoutEvidence(
        file: "/opt/odd\u{1B}[2Jname", what: "debug file", value: "ignored",
        decidedBy: "/debug/x\u{202E}y belongs to another build"),
    ]
    report.snapshot.findings.append(
      Finding(
        .layoutDisagreement, at: RemoteAddress(0x7f00_dead_bc60),
        "mp_ is at one place by the file, but at another by the symbol"))
    return report
  }()

  @Test("a verbose report ends with it; others do not have it")
  func text() throws {
    var sink = MemorySink()
    TextHistogram.write(Self.report, options: ReportOptions(isVerbose: true), to: &sink)
    try expectGolden(sink.text, "histogram-evidence-verbose")
    var plain = MemorySink()
    TextHistogram.write(Self.report, options: ReportOptions(), to: &plain)
    #expect(!plain.text.contains("evidence"))
    #expect(plain.text.contains("symbols that disagree"))
    #expect(!Self.report.snapshot.isIncomplete)
    for text in [sink.text, plain.text] {
      #expect(!text.contains("\u{1B}") && !text.contains("\u{202E}"))
    }
  }

  @Test("JSON has it with the target")
  func json() throws {
    var sink = MemorySink()
    JSONReports.writeHistogram(
      Self.report, tool: ToolFacts(name: "malloscope", version: "1"), to: &sink)
    let document = try JSONSerialization.jsonObject(with: Data(sink.text.utf8)) as? [String: Any]
    let target = try #require(document?["target"] as? [String: Any])
    let evidence = try #require(target["evidence"] as? [[String: Any]])
    #expect(evidence.count == 4)
    #expect(evidence.allSatisfy { Set($0.keys) == Self.keys })
    #expect(evidence[0]["file"] as? String == Self.libc)
    #expect(evidence[0]["what"] as? String == "main_arena")
    #expect(evidence[0]["value"] as? String == "0x7f00deadbc60")
    #expect(evidence[1]["decided_by"] as? String == "the addresses of thread arenas")
    #expect(
      evidence[1]["confirmed_by"] as? [String]
        == ["mp_ with hp_pagesize", "debug information of heap_info"])
    #expect(evidence[2]["confirmed_by"] as? [String] == [])
    let findings = try #require(document?["findings"] as? [[String: Any]])
    #expect(findings.last?["kind"] as? String == "layout_disagreement")
  }

  private static let keys: Set<String> = ["file", "what", "value", "decided_by", "confirmed_by"]
}
