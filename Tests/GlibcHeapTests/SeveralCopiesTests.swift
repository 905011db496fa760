// Several copies of malloc in one synthetic process, and heaps of explicit huge pages.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Several copies of malloc in one process")
struct SeveralCopiesTests {
  /// A first heap as random as any, and others without break and without threads of their own.
  private func heaps(_ shapes: [GlibcShape], seed: UInt64, segments: Int) -> [SyntheticHeap] {
    shapes.enumerated().map { index, shape in
      var plan = SyntheticPlan.random(shape: shape, seed: 8 * seed + UInt64(index))
      plan.machine = .amd64
      plan.pageSize = 4096
      plan.distance = UInt64(index) << 40
      // What it holds may look like anything but another's segments.
      plan.hazards = [.remnants, .resizedMappings]
      if index > 0 {
        plan.linkage = .sharedLibrary
        plan.main = .moved(brkGaps: nil, segments: segments)
        plan.threads = [SyntheticPlan.Thread(arena: nil, hasTcache: false)]
      }
      return SyntheticHeap(plan)
    }
  }

  private struct Walked {
    var snapshot: HeapSnapshot
    var hints: [HeapHints]
  }

  private func walk(_ heaps: [SyntheticHeap], scope: WalkOptions.Scope = .everything) throws
    -> Walked
  {
    var memory = heaps[0].memory
    for heap in heaps.dropFirst() { memory.add(heap.memory) }
    let instances = try MallocInstance.find(in: heaps.flatMap(\.images))
    #expect(instances.map(\.mainArena) == heaps.map(\.mainArena))
    let options = WalkOptions(collectsChunks: true, scope: scope)
    let reader = memory.image
    let hints = try HeapWalk.survey(
      of: instances, reader: reader, mappings: memory.mappings, options: options)
    var collected = try HeapWalk.collect(
      of: instances, reader: reader, data: DataRanges(memory.mappings), threads: heaps[0].threads,
      options: options, hints: hints, buffers: WalkBuffers())
    return Walked(snapshot: collected.snapshot(), hints: hints)
  }

  /// The chunks of all heaps as one walk counts arenas.
  private func chunks(_ heaps: [SyntheticHeap]) -> [Chunk] {
    var firstArena: Int32 = 0
    var all: [Chunk] = []
    for (index, heap) in heaps.enumerated() {
      all += heap.chunks.map { chunk in
        var chunk = chunk
        chunk.arena = chunk.arena.map { $0 + firstArena }
        // Threads that are not there cache nothing.
        if index > 0, chunk.state == .tcache || chunk.state == .internal { chunk.state = .inUse }
        return chunk
      }
      firstArena += Int32(heap.arenas.count)
    }
    return all.sorted { $0.userAddress < $1.userAddress }
  }

  @Test(
    "every chunk is found, in the arena of its own copy",
    arguments: ["2.24", "2.31", "2.36", "2.42", "2.44"], [1, 3])
  func everyChunk(name: String, segments: Int) throws {
    for seed in 0..<6 as Range<UInt64> {
      let heaps = heaps([.named(name), .named(name), .named(name)], seed: seed, segments: segments)
      let walked = try walk(heaps)
      let snapshot = walked.snapshot
      let what = "\(heaps[0].plan)"
      let wrong = chunkDisagreements(found: snapshot.chunks, expected: chunks(heaps))
      #expect(wrong.isEmpty, "\(what): \(wrong.prefix(5).joined(separator: "\n"))")
      #expect(snapshot.checks.filter { !$0.holds }.isEmpty, "\(what)")
      #expect(snapshot.findings.isEmpty, "\(what): \(snapshot.findings.prefix(5))")
      #expect(snapshot.coverage == 1, "\(what)")
      #expect(snapshot.mallocs.map(\.index) == [0, 1, 2])
      #expect(snapshot.mallocs.map(\.mainArena) == heaps.map(\.mainArena))
      for (malloc, heap) in zip(snapshot.mallocs, heaps) {
        #expect(malloc.arenas.count == heap.arenas.count)
        #expect(malloc.mmapped.count == heap.mmapped.count)
        let system = snapshot.arenas(of: malloc).reduce(0) { $0 + $1.systemBytes }
        #expect(system == heap.arenas.reduce(0) { $0 + $1.summary.systemBytes }, "\(what)")
      }
    }
  }

  @Test("headers of both kinds in one process are told apart, each with its own count")
  func bothHeaders() throws {
    for seed in 0..<6 as Range<UInt64> {
      let heaps = heaps([.named("2.44"), .named("2.36")], seed: seed, segments: 2)
      let snapshot = try walk(heaps).snapshot
      let wrong = chunkDisagreements(found: snapshot.chunks, expected: chunks(heaps))
      #expect(wrong.isEmpty, "\(heaps[0].plan): \(wrong.prefix(5).joined(separator: "\n"))")
      let names = snapshot.checks.map(\.name).filter { $0.hasPrefix("n_mmaps") }
      #expect(names == ["n_mmaps of malloc 0", "n_mmaps of malloc 1"])
      #expect(snapshot.checks.filter { !$0.holds }.isEmpty)
    }
  }

  @Test(
    "one copy alone is as if the others were not there, but for mmapped chunks", arguments: 0..<3)
  func alone(index: Int) throws {
    let heaps = heaps([.named("2.36"), .named("2.36"), .named("2.36")], seed: 3, segments: 3)
    let snapshot = try walk(heaps, scope: .malloc(index)).snapshot
    #expect(snapshot.mallocs.map(\.index) == [index])
    let first = heaps[..<index].reduce(0) { $0 + $1.arenas.count }
    #expect(snapshot.arenas.map(\.index) == Array(first..<first + heaps[index].arenas.count))
    let expected = chunks(heaps).filter { chunk in
      chunk.arena.map { snapshot.arenas.map(\.index).contains(Int($0)) } ?? false
    }
    let wrong = chunkDisagreements(
      found: snapshot.chunks.filter { $0.arena != nil }, expected: expected)
    #expect(wrong.isEmpty, "\(wrong.prefix(5).joined(separator: "\n"))")
    let others = heaps.indices.filter { $0 != index }.reduce(0) { $0 + heaps[$1].mmapped.count }
    if others > 0 {
      #expect(snapshot.findings.map(\.kind) == [.allocator])
      #expect(snapshot.mmapped.count == 0)
    } else {
      #expect(snapshot.mmapped.count == heaps[index].mmapped.count)
    }
  }

  @Test(
    "arenas of explicit huge pages are found whole",
    arguments: ["2.35", "2.36", "2.41", "2.42", "2.43", "2.44"])
  func hugePages(name: String) throws {
    for (seed, main) in [
      SyntheticPlan.MainArena.moved(brkGaps: nil, segments: 2), .moved(brkGaps: [], segments: 1),
      .contiguous(foreignGaps: []),
    ].enumerated() {
      var plan = SyntheticPlan(shape: .named(name), seed: UInt64(seed))
      plan.hugePageSize = 2 << 20
      plan.main = main
      plan.threadArenas = [1, 2, 1]
      plan.threads += (0..<4).map { SyntheticPlan.Thread(arena: $0, hasTcache: true) }
      plan.mmappedChunks = 3
      let heap = SyntheticHeap(plan)
      let wrong = disagreements(of: try GlibcHeapTests.walk(heap), with: heap)
      #expect(wrong.isEmpty, "\(plan): \(wrong.joined(separator: "\n"))")
    }
  }
}
