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

  @Test("every live block is in use with its exact size, and nothing else is", arguments: scenarios)
  func chunks(scenario: Scenario) throws {
    let program = try TargetProgram(scenario: scenario.name)
    let oracle = try program.waitForOracle()
    let rows = try reportedChunks(program.pid)
    #expect(rows.map(\.address) == rows.map(\.address).sorted())
    #expect(
      Set(rows.map(\.state)).isSubset(
        of: ["in_use", "tcache", "fastbin", "binned", "top", "internal"]))
    let table = try byAddress(rows)
    let held = oracle.live.merging(oracle.libc) { first, _ in first }
    for (address, usable) in held {
      guard let row = table[address] else {
        Issue.record("the live block at \(address) is missing")
        continue
      }
      if row.state != "in_use" || row.usable != usable {
        Issue.record("the live block at \(address) has \(usable) bytes, but is reported as \(row)")
      }
    }
    // pthread_create allocates the vector of thread-local storage: 288 bytes with its header.
    let others = rows.filter { $0.state == "in_use" && held[$0.address] == nil }
    #expect(others.map(\.size) == [UInt64](repeating: 288, count: scenario.threadVectors))
    #expect(others.allSatisfy { $0.arena == "0" })
    #expect(try program.close() == .exit(0))
  }

  @Test("totals and arenas are what mallinfo2 and malloc_info say", arguments: scenarios)
  func totals(scenario: Scenario) throws {
    let program = try TargetProgram(scenario: scenario.name)
    let oracle = try program.waitForOracle()
    let info = try #require(oracle.mallInfo2)
    let heaps = try #require(oracle.mallocInfo).heaps
    let document = try reportedHeap(program.pid)
    let rows = try reportedChunks(program.pid)
    let fastbins = rows.filter { $0.state == "fastbin" }
    expectSound(document)
    let totals = document.totals
    #expect(document.schema == "malloscope/histogram/1")
    #expect(totals.systemBytes == info.arena)
    #expect(totals.freeChunks + UInt64(document.arenas.count) == info.ordblks)
    #expect(UInt64(fastbins.count) == info.smblks)
    #expect(fastbins.reduce(0) { $0 + $1.size } == info.fsmblks)
    #expect(totals.mmappedChunks == info.hblks)
    #expect(document.checks.contains { $0.name == "n_mmaps" && $0.expected == info.hblks })
    #expect(document.checks.contains { $0.name == "mmapped_mem" && $0.found == info.hblkhd })
    #expect(totals.topBytes + totals.freeBytes + info.fsmblks == info.fordblks)
    #expect(totals.systemBytes - info.fordblks == info.uordblks)
    #expect(document.arenas.first?.topBytes == info.keepcost)

    #expect(document.arenas.map(\.index) == Array(heaps.indices))
    for (arena, heap) in zip(document.arenas, heaps) {
      #expect(arena.kind == (arena.index == 0 ? "main" : "thread"))
      #expect(arena.systemBytes == heap.system["current"])
      let rest = try #require(heap.totals["rest"])
      #expect(arena.freeChunks + 1 == rest.count)
      // malloc_info counts a binned chunk with its flag bit, and top without.
      #expect(arena.freeBytes + arena.freeChunks + arena.topBytes == rest.bytes)
      let ours = fastbins.filter { $0.arena == "\(arena.index)" }
      #expect(UInt64(ours.count) == heap.totals["fast"]?.count)
      #expect(ours.reduce(0) { $0 + $1.size } == heap.totals["fast"]?.bytes)
      if arena.kind == "thread" { #expect(arena.heaps == heap.addressSpace["subheaps"]) }
    }
  }

  @Test("chunks, histogram and arenas add up to the same", arguments: scenarios)
  func sums(scenario: Scenario) throws {
    let program = try TargetProgram(scenario: scenario.name)
    try program.waitReady()
    let document = try reportedHeap(program.pid)
    let detailed = try reportedHeap(program.pid, verb: "arenas")
    let rows = try reportedChunks(program.pid)
    expectSound(detailed)
    #expect(detailed.schema == "malloscope/arenas/1")

    let totals = document.totals
    expectSum(rows, ["in_use"], totals.inUseChunks, totals.inUseBytes)
    expectSum(rows, ["binned"], totals.freeChunks, totals.freeBytes)
    expectSum(rows, ["tcache", "fastbin"], totals.cachedChunks, totals.cachedBytes)
    let mmapped = rows.filter { $0.arena == "mmap" }
    expectSum(mmapped, ["in_use"], totals.mmappedChunks, totals.mmappedBytes)

    let histogram = try #require(document.histogram)
    #expect(histogram.map(\.size) == Set(histogram.map(\.size)).sorted())
    let bySize = Dictionary(grouping: rows) { $0.size }
    for size in histogram {
      let ours = bySize[size.size] ?? []
      expectSum(ours, ["in_use"], size.inUseChunks, size.inUseBytes)
      expectSum(ours, ["binned"], size.freeChunks, size.freeBytes)
      expectSum(ours, ["tcache", "fastbin"], size.cachedChunks, size.cachedBytes)
    }
    #expect(histogram.reduce(0) { $0 + $1.inUseBytes } == totals.inUseBytes)
    #expect(histogram.reduce(0) { $0 + $1.freeBytes } == totals.freeBytes)
    #expect(histogram.reduce(0) { $0 + $1.cachedBytes } == totals.cachedBytes)

    for arena in detailed.arenas {
      let ours = rows.filter { $0.arena == "\(arena.index)" }
      expectSum(ours, ["in_use"], arena.inUseChunks, arena.inUseBytes)
      expectSum(ours, ["binned"], arena.freeChunks, arena.freeBytes)
      expectSum(ours, ["tcache", "fastbin"], arena.cachedChunks, arena.cachedBytes)
      let held = arena.inUseBytes + arena.freeBytes + arena.cachedBytes + arena.topBytes
      let apart = [arena.tcacheStructureBytes, arena.headerBytes, arena.foreignBytes]
      // Not a byte of what the arena has from the system is unexplained.
      #expect(try held + apart.reduce(0) { $0 + (try #require($1)) } == arena.systemBytes)
      #expect(arena.unaccountedBytes == 0)
    }
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

  private func expectSum(
    _ rows: [ChunkRow], _ states: Set<String>, _ count: UInt64, _ bytes: UInt64,
    location: SourceLocation = #_sourceLocation
  ) {
    let ours = rows.filter { states.contains($0.state) }
    #expect(UInt64(ours.count) == count, sourceLocation: location)
    #expect(ours.reduce(0) { $0 + $1.size } == bytes, sourceLocation: location)
  }
}
