// Programs for aarch64 under five glibcs, run by the user-mode emulator: every figure must be exact.

import HeapModel
import TestKit
import Testing

@Suite("Heaps of aarch64 programs, in the emulator", .serialized)
struct EmulatedHeapTests {
  static let obstacle = ArmGlibc.obstacle

  /// A scenario that is small enough for an emulator.
  struct Scenario: CustomTestStringConvertible, Sendable {
    var name: String
    var arguments: [String] = []
    /// How many of its threads were given a vector of thread-local storage of their own.
    var threadVectors = 0
    var testDescription: String { name }
  }

  static let scenarios = [
    Scenario(name: "main-only", arguments: ["6000"]),
    Scenario(name: "threads", arguments: ["2000"], threadVectors: 4),
    Scenario(name: "two-heaps", threadVectors: 1), Scenario(name: "mmaps"),
    Scenario(name: "foreign-sbrk"), Scenario(name: "blocked-brk"), Scenario(name: "trim"),
    Scenario(name: "fastbins", arguments: ["6000"]),
  ]

  @Test(
    "every chunk and every sum is as the program and its glibc say",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")),
    arguments: ArmGlibc.usable, scenarios)
  func truth(glibc: ArmGlibc, scenario: Scenario) throws {
    let program = try glibc.start(scenario: scenario.name, scenario.arguments)
    let oracle = try program.waitForOracle()
    let heap = try EmulatedHeap(program, oracle)
    #expect(heap.malloc.glibcVersion == glibc.version)
    let wrong = heap.disagreements(threadVectors: scenario.threadVectors)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "a program linked statically is exact, too: its thread-local variables follow the thread pointer",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")),
    arguments: ["-static", "-static-pie"])
  func staticProgram(flag: String) throws {
    let program = try ArmGlibc.startStatic(scenario: "main-only", ["3000"], flag: flag)
    let heap = try EmulatedHeap(program, try program.waitForOracle())
    let wrong = heap.disagreements(threadVectors: 0, loaderChunks: 5)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    #expect(heap.arenas.map(\.tcacheStructures.count) == [1])
  }

  @Test(
    "where malloc tags memory, chunks are found by what tagged pointers mean",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")),
    arguments: [ArmGlibc.v236, .v241].filter(ArmGlibc.usable.contains), scenarios)
  func taggedMemory(glibc: ArmGlibc, scenario: Scenario) throws {
    let program = try glibc.start(
      scenario: scenario.name, scenario.arguments, tagsMemory: true)
    let oracle = try program.waitForOracle()
    #expect(oracle.live.keys.contains { $0.bits >> 56 != 0 }, "the emulator does not tag")
    let heap = try EmulatedHeap(program, oracle)
    let wrong = heap.disagreements(threadVectors: scenario.threadVectors)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
  }

  @Test(
    "without the threads' registers that is said, and caches are told by what they hold",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")),
    arguments: ArmGlibc.usable)
  func unknownThreads(glibc: ArmGlibc) throws {
    let program = try glibc.start(scenario: "threads", ["2000"])
    let oracle = try program.waitForOracle()
    let exact = try EmulatedHeap(program, oracle)
    let heap = try EmulatedHeap(program, oracle, knowsThreads: false)
    let told = heap.findings.filter {
      $0.detail.contains("is code for aarch64, run by an emulator")
    }
    #expect(told.map(\.kind) == [.threadUnknown])
    #expect(heap.findings.count == 1, "\(heap.findings)")
    for (block, usable) in heap.untagged(oracle.live) {
      let chunk = heap.chunks[block]
      if chunk?.state != .inUse || chunk?.usableSize != usable {
        Issue.record(
          "the block at \(block) of \(usable) bytes is found as \(String(describing: chunk))")
      }
    }
    // The exited thread's cache was emptied; those of the others hold chunks.
    #expect(heap.arenas.map(\.cached) == exact.arenas.map(\.cached))
    #expect(heap.arenas.map(\.inUse) == exact.arenas.map(\.inUse))
    #expect(heap.checks.allSatisfy { $0.holds })
    #expect(heap.snapshot.coverage == 1)
  }
}
