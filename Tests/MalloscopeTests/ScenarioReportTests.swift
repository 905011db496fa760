// The tool against quiet programs that know their own heap: every figure must be exact.

import Foundation
import HeapModel
import TestKit
import Testing

@Suite("The tool's figures of a quiet heap are exact", .serialized)
struct ScenarioReportTests {
  /// A scenario, and how many of its threads were given a vector of thread-local storage of their own.
  struct Scenario: CustomTestStringConvertible {
    var name: String
    var threadVectors = 0
    var testDescription: String { name }
  }

  static let scenarios = [
    Scenario(name: "main-only"), Scenario(name: "threads", threadVectors: 4),
    Scenario(name: "two-heaps", threadVectors: 1), Scenario(name: "mmaps"),
    Scenario(name: "foreign-sbrk"), Scenario(name: "blocked-brk"), Scenario(name: "trim"),
    // The fifth thread was given the stack and the vector of the one that ended.
    Scenario(name: "everything", threadVectors: 4),
    Scenario(name: "small10"), Scenario(name: "fastbins"),
  ]

  @Test(
    "every live block is in use with its exact size, nothing else is, and every sum is glibc's own",
    arguments: scenarios)
  func figures(scenario: Scenario) throws {
    let program = try TargetProgram(scenario: scenario.name)
    let oracle = try program.waitForOracle()
    let comparison = try HeapComparison(
      program.pid, oracle, .init(threadVectors: scenario.threadVectors))
    #expect(comparison.differences.prefix(10) == [])
    #expect(comparison.document.schema == "malloscope/histogram/1")
    #expect(comparison.detailed.schema == "malloscope/arenas/1")
    #expect(try program.close() == .exit(0))
  }

  @Test("a million chunks are a million")
  func million() throws {
    let program = try TargetProgram(scenario: "million")
    let oracle = try program.waitForOracle()
    let document = try reportedHeap(program.pid)
    expectSound(document)
    let held = try #require(oracle.held)
    // And libc's own block, the stream that the figures were written through.
    let libc = try #require(oracle.libc.values.first)
    #expect(document.totals.inUseChunks == held.count + 1)
    // A chunk is 8 bytes larger than what the program may use of it.
    #expect(document.totals.inUseBytes == held.bytes + 8 * held.count + libc + 8)
    #expect(document.totals.systemBytes == oracle.mallInfo2?.arena)
  }

  @Test("more chunks than one block of a list holds are all listed")
  func listOfMillions() throws {
    let program = try TargetProgram(scenario: "million", ["1100000"])
    let held = try #require(try program.waitForOracle().held)
    struct List: Decodable {
      struct Accepted: Decodable { var chunks: Int }
      var accepted: Accepted
    }
    let arguments = ["chunks", "\(program.pid)", "--state", "in_use", "--limit", "1", "--json"]
    let run = try ToolRun(arguments, within: .seconds(120))
    #expect(run.exitCode == 0, "\(run.error)")
    let list = try JSONDecoder().decode(List.self, from: Data(run.output.utf8))
    #expect((held.count...held.count + 9).contains(UInt64(list.accepted.chunks)))
  }

  @Test(
    "fastbins that are too long for a list of candidates are followed, in one stop and in many",
    arguments: [CaptureChoice.stop, .auto])
  func longFastbins(choice: CaptureChoice) throws {
    let path = try CompiledProgram.path("LongFastbins.c", flags: ["-w", "-pthread"])
    let program = try TargetProgram(ChildProcess.Launch(path, ["600000"]))
    try program.waitReady()
    let document = try reportedHeap(program.pid, choice)
    #expect(document.findings.isEmpty, "\(document.findings)")
    // Each thread's own table of blocks has a mapping of its own; the rest is libc's and the loader's.
    #expect(document.totals.inUseChunks < 20 && document.totals.mmappedChunks == 2)
    #expect((1_199_900...1_200_000).contains(document.totals.cachedChunks))
    #expect(document.coverage == 1)
    #expect(try program.close() == .exit(0))
  }

  @Test("a process that never called malloc has an empty heap")
  func unused() throws {
    let program = try TargetProgram(scenario: "unused")
    try program.waitReady()
    let document = try reportedHeap(program.pid)
    expectSound(document)
    #expect(document.totals.systemBytes == 0)
    #expect(document.totals.inUseChunks == 0)
    #expect(document.histogram?.isEmpty == true)
    #expect(try reportedChunks(program.pid).isEmpty)
    for verb in ["histogram", "chunks", "arenas"] {
      #expect(try ToolRun([verb, "\(program.pid)"]).ending == .exit(0))
    }
  }

  @Test("the target and the capture are described")
  func facts() throws {
    let program = try TargetProgram(scenario: "threads")
    try program.waitReady()
    let document = try reportedHeap(program.pid)
    #expect(document.tool.name == "malloscope")
    #expect(document.target.pid == program.pid)
    #expect(document.target.command == "HeapScenario")
    #expect(document.target.executable.hasSuffix("/HeapScenario"))
    // Of four threads, one has ended.
    #expect(document.target.threads == 4)
    #expect(document.target.allocator == "glibc")
    // One stop, if it fitted.
    #expect(document.capture.mode == (document.capture.consistency == "atomic" ? "stop" : "slices"))
    #expect(document.capture.stops >= 1)
    #expect(document.capture.longestStopMs > 0)
    #expect(document.capture.totalStopMs >= document.capture.longestStopMs)
    #expect(document.capture.elapsedMs > document.capture.totalStopMs)
    #expect(document.capture.copiedBytes > 0)
    #expect(document.arenas.count == 5)
    #expect(document.arenas.map(\.attachedThreads).reduce(0, +) == 4)
  }

  private func expectSound(_ document: HeapDocument) {
    #expect(document.coverage == 1)
    #expect(document.findings.map(\.detail).isEmpty)
    #expect(!document.checks.isEmpty)
    #expect(document.checks.allSatisfy { $0.holds && $0.expected == $0.found })
  }
}
