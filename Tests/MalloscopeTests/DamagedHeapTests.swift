// The tool against heaps that a bug has written over: findings and exit code 2, and the rest right.

import HeapModel
import TestKit
import Testing

@Suite("A damaged heap is reported, not stumbled over", .serialized)
struct DamagedHeapTests {
  /// One word that is wrong, what it must lead to, and how many live blocks may be wrong for it.
  struct Damage: CustomTestStringConvertible {
    var kind: String
    var finding: String
    var code: Int32 = 2
    var blocksLost: Int
    var testDescription: String { kind }
  }

  @Test(
    "one damaged place is one finding, and the blocks around it are right",
    arguments: [
      Damage(kind: "header", finding: "chain_break", blocksLost: 1),
      // A size that is too large would swallow the blocks behind, were they not seen inside of it.
      Damage(kind: "size", finding: "chain_break", blocksLost: 0),
      Damage(kind: "tcache", finding: "list_damage", blocksLost: 0),
      Damage(kind: "bin", finding: "list_damage", blocksLost: 0),
      // Where top ends is told by the arena; its own size is not needed.
      Damage(kind: "top", finding: "arena_damage", blocksLost: 0),
    ])
  func oneWord(damage: Damage) throws {
    let program = try TargetProgram(scenario: "damaged", [damage.kind])
    let oracle = try program.waitForOracle()
    let document = try reportedHeap(program.pid, code: damage.code)
    #expect(document.findings.map(\.kind) == [damage.finding])
    let first = try #require(oracle.damage.first)
    let place = try #require(document.findings.first?.address.flatMap(address))
    let distance = max(place.bits, first.bits) - min(place.bits, first.bits)
    #expect(distance <= 8192, "\(document.findings[0]) for damage at \(first)")
    #expect((document.coverage < 1) == (damage.kind == "header"))
    let wrong = try wrongBlocks(oracle, reportedChunks(program.pid, code: damage.code))
    #expect(wrong <= damage.blocksLost)
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "2,000 words overwritten at random leave most of the blocks to be found",
    arguments: 1...20)
  func randomWords(seed: Int) throws {
    let program = try TargetProgram(scenario: "damaged", ["random", "\(seed)"])
    let oracle = try program.waitForOracle()
    for verb in ["histogram", "arenas"] {
      let run = try ToolRun([verb, "\(program.pid)", "--json"], within: .seconds(20))
      // 0 only where glibc's own totals hold all the same.
      try #require(run.exitCode == 2 || run.exitCode == 0, "\(run.ending): \(run.error)")
      let document = try HeapDocument(run.output)
      if run.exitCode == 0 { #expect(document.checks.allSatisfy { $0.holds }) }
      #expect(!document.findings.isEmpty)
      #expect(document.coverage > 0.9 && document.coverage <= 1)
    }
    for format in ["text", "csv"] {
      let run = try ToolRun(["\(program.pid)", "--format", format, "-v"], within: .seconds(20))
      #expect(run.exitCode == 2 || run.exitCode == 0, "\(run.ending): \(run.error)")
    }
    let run = try ToolRun(["chunks", "\(program.pid)", "--format", "csv"], within: .seconds(20))
    let wrong = try wrongBlocks(oracle, chunkRows(run.output))
    #expect(wrong <= oracle.live.count / 10, "\(wrong) of \(oracle.live.count) blocks are wrong")
    #expect(try program.close() == .exit(0))
  }

  private func address(_ text: String) -> RemoteAddress? {
    UInt64(text.dropFirst(2), radix: 16).map(RemoteAddress.init)
  }
}
