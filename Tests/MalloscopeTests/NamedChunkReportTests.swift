// The tool against programs with heap bugs: the finding names the chunk that went wrong.

import HeapModel
import TestKit
import Testing

@Suite("A heap bug is reported with the chunk that it went wrong with", .serialized)
struct NamedChunkReportTests {
  /// A bug of the scenario `damaged`, and the chunk that must be named.
  struct Bug: CustomTestStringConvertible {
    var kind: String
    var finding: String
    var size: UInt64
    var state: String
    var holds: String?
    var testDescription: String { kind }
  }

  static let bugs = [
    Bug(kind: "overflow", finding: "chain_break", size: 48, state: "in_use", holds: "text"),
    Bug(kind: "overflow-top", finding: "arena_damage", size: 48, state: "in_use", holds: "text"),
    Bug(kind: "nul", finding: "chain_break", size: 240, state: "in_use", holds: "text"),
    Bug(kind: "nul-in-size", finding: "chain_break", size: 240, state: "in_use", holds: "text"),
    Bug(kind: "twice", finding: "list_damage", size: 48, state: "tcache"),
    Bug(kind: "two-threads", finding: "list_damage", size: 48, state: "tcache"),
    Bug(kind: "two-lists", finding: "list_damage", size: 48, state: "tcache"),
    Bug(kind: "cached-text", finding: "list_damage", size: 48, state: "tcache"),
    Bug(kind: "fastbin-text", finding: "list_damage", size: 48, state: "fastbin"),
  ]

  @Test(
    "the one finding names the block that was overrun, freed twice or used after it was freed",
    arguments: bugs, ["stop", "slices"])
  func naming(bug: Bug, mode: String) throws {
    let (program, facts) = try start(bug)
    let run = try ToolRun(["\(program.pid)", "--json", "--capture", mode])
    #expect(run.ending == .exit(2), "\(run.error)")
    let findings = try HeapDocument(run.output).findings
    #expect(findings.map(\.kind) == [bug.finding])
    let chunk = HeapDocument.Finding.NamedChunk(
      address: try #require(facts["block"]), size: bug.size, state: bug.state, holds: bug.holds)
    #expect(findings.first?.chunk == chunk, "\(findings)")
    #expect(try program.close() == .exit(0))
  }

  @Test("an object that was filled too far is told by the table of functions that it points to")
  func object() throws {
    let bug = Bug(kind: "overflow-object", finding: "chain_break", size: 48, state: "in_use")
    let (program, facts) = try start(bug)
    let findings = try reportedHeap(program.pid, code: 2).findings
    #expect(findings.map(\.kind) == [bug.finding])
    let finding = try #require(findings.first)
    #expect(finding.chunk?.address == facts["block"])
    #expect(finding.chunk?.holds?.hasPrefix("a pointer to HeapScenario+0x") == true, "\(finding)")
    #expect(finding.detail.contains("it is one byte, 0xff, over and over"), "\(finding)")
    #expect(try program.close() == .exit(0))
  }

  @Test("the text says what happened to which chunk, and shows nothing that is in it")
  func text() throws {
    var report = ""
    for bug in Self.bugs {
      let (program, facts) = try start(bug)
      let run = try ToolRun(["\(program.pid)"])
      var lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
        .drop { $0 != "findings" }.prefix { !$0.isEmpty }
        .joined(separator: " ").split(separator: " ").joined(separator: " ")
      for (name, address) in facts {
        lines = lines.split(separator: Substring(address)).joined(separator: name.uppercased())
        if lines.hasSuffix(" ") { lines += name.uppercased() }
      }
      report += "\(bug.kind): \(Self.withoutNumbers(lines))\n"
      #expect(try program.close() == .exit(0))
    }
    try GoldenFile("heap-bugs.txt").check(report)
  }

  /// With addresses and the ids of threads, which differ in every run, as words.
  private static func withoutNumbers(_ text: String) -> String {
    var words = text.split(separator: " ").map(String.init)
    for index in words.indices {
      if words[index].hasPrefix("0x5") || words[index].hasPrefix("0x6b6") {
        words[index] = "ADDRESS"
      }
      if index > 0, words[index - 1] == "thread" {
        words[index] = words[index].hasSuffix(":") ? "TID:" : "TID"
      }
    }
    return words.joined(separator: " ")
  }

  /// Starts a program with `bug`, and returns it with the blocks that it names.
  private func start(_ bug: Bug) throws -> (TargetProgram, [String: String]) {
    let program = try TargetProgram(scenario: "damaged", [bug.kind])
    var facts: [String: String] = [:]
    for line in try program.waitReady() {
      let words = line.split(separator: " ")
      if words.count == 2 { facts[String(words[0])] = String(words[1]) }
    }
    return (program, facts)
  }
}
