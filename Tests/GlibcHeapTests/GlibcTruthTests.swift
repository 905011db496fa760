// The walker against synthetic heaps of every glibc layout: it must find exactly what is there.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Walks of undamaged synthetic heaps")
struct GlibcTruthTests {
  @Test("exactly the library's malloc is found", arguments: GlibcShape.presets)
  func discovery(shape: GlibcShape) throws {
    for seed in 0..<24 as Range<UInt64> {
      let heap = SyntheticHeap(.random(shape: shape, seed: seed))
      let instances = try MallocInstance.find(in: heap.images)
      #expect(instances.count == 1, "\(heap.plan)")
      let instance = try #require(instances.first)
      #expect(instance.mainArena == heap.mainArena)
      #expect(instance.parameters == heap.parameters)
      #expect(instance.arenaLayout.name == shape.arena.rawValue, "\(heap.plan)")
      #expect(instance.path == heap.images[0].path)
      #expect(
        instance.glibcVersion == (heap.plan.linkage == .sharedLibrary ? shape.banner : nil))
    }
  }

  @Test("every chunk, sum and check is as it is in truth", arguments: GlibcShape.presets)
  func truth(shape: GlibcShape) throws {
    for seed in 0..<16 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      plan.hazards = []
      if case .moved(.some, let segments) = plan.main {
        plan.main = .moved(brkGaps: [], segments: segments)
        plan.sbrkMisalignment = 0
      }
      try expectTruth(plan)
    }
  }

  @Test(
    "pages of aarch64 may have 16 or 64 KiB, whatever the main arena is made of",
    arguments: GlibcShape.classes, [0x4000, 0x1_0000] as [UInt64])
  func largePages(shape: GlibcShape, pageSize: UInt64) throws {
    // Seeds go through the kinds of main arena.
    for seed in 0..<16 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      plan.machine = .arm64
      plan.pageSize = pageSize
      plan.hazards = []
      if case .moved(.some, let segments) = plan.main {
        plan.main = .moved(brkGaps: [], segments: segments)
        plan.sbrkMisalignment = 0
      }
      plan.threadArenas = Array((plan.threadArenas + [1, 3, 1]).prefix(3))
      plan.mmappedChunks = 6
      plan.longestSegment = 3 * pageSize
      try expectTruth(plan)
    }
  }

  @Test(
    "a chunk that the end of a heap left over is in use by nobody", arguments: GlibcShape.classes)
  func remnants(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = SyntheticPlan(shape: shape, seed: seed)
      plan.threadArenas = [4]
      plan.hazards = [.remnants]
      try expectTruth(plan)
    }
  }

  @Test("user data like a mapping's first header is no chunk", arguments: GlibcShape.classes)
  func misleadingPages(shape: GlibcShape) throws {
    for seed in 0..<8 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      plan.main = seed % 2 == 0 ? .contiguous(foreignGaps: []) : .moved(brkGaps: nil, segments: 2)
      plan.mmappedChunks = 3
      plan.hazards = [.misleadingPages]
      try expectTruth(plan)
    }
  }

  @Test(
    "others' memory within the break is not ours, whatever is in it", arguments: GlibcShape.classes)
  func foreignChains(shape: GlibcShape) throws {
    for seed in 0..<8 as Range<UInt64> {
      var plan = SyntheticPlan(shape: shape, seed: seed)
      plan.main = .contiguous(foreignGaps: [12_296, 0x6000, 0x1_0000])
      plan.hazards = [.foreignChains]
      try expectTruth(plan)
    }
  }

  @Test(
    "gaps within the break are accounted for after the move to mappings",
    arguments: GlibcShape.classes)
  func gapsBeforeMove(shape: GlibcShape) throws {
    for seed in 0..<6 as Range<UInt64> {
      var plan = SyntheticPlan(shape: shape, seed: seed)
      plan.hazards = []
      plan.sbrkMisalignment = seed % 2 == 0 ? 0 : 8
      plan.main = .moved(brkGaps: [[], [4096], [100], [12_296, 24]][Int(seed % 4)], segments: 2)
      try expectTruth(plan)
    }
  }

  @Test("resized mappings are found whole", arguments: GlibcShape.classes)
  func resizedMappings(shape: GlibcShape) throws {
    for seed in 0..<6 as Range<UInt64> {
      var plan = SyntheticPlan(shape: shape, seed: seed)
      plan.hazards = [.resizedMappings]
      plan.mmappedChunks = 8
      try expectTruth(plan)
    }
  }

  @Test("a main arena that nothing was allocated from is empty", arguments: GlibcShape.presets)
  func unusedMain(shape: GlibcShape) throws {
    for mmapped in [0, 3] {
      for linkage in SyntheticPlan.Linkage.allCases {
        var plan = SyntheticPlan(shape: shape, seed: 3)
        plan.main = .unused
        plan.linkage = linkage
        plan.mmappedChunks = mmapped
        plan.hazards = []
        try expectTruth(plan)
      }
    }
  }

  @Test("a tunable's tcache size is believed", arguments: GlibcShape.classes, [3, 100] as [UInt64])
  func tcacheFill(shape: GlibcShape, fill: UInt64) throws {
    var plan = SyntheticPlan(shape: shape, seed: 11)
    plan.tcacheFill = fill
    plan.threads += [.init(arena: 0, hasTcache: true), .init(arena: 0, hasTcache: true)]
    try expectTruth(plan)
  }

  @Test("tcaches may hold large chunks of mixed sizes", arguments: ["2.42", "2.43", "2.44"])
  func largeTcache(name: String) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = SyntheticPlan(shape: .named(name), seed: seed)
      plan.cachesLargeChunks = true
      plan.threadArenas = [1]
      plan.threads.append(.init(arena: 1, hasTcache: true))
      let heap = SyntheticHeap(plan)
      #expect(heap.arenaChunks.contains { $0.state == .tcache && $0.size > 0x410 })
      try expectTruth(plan)
    }
  }

  @Test("a held mutex is told and changes nothing else", arguments: GlibcShape.classes)
  func heldMutex(shape: GlibcShape) throws {
    var plan = SyntheticPlan(shape: shape, seed: 5)
    plan.threadArenas = [1, 1]
    plan.hazards = []
    var heap = SyntheticHeap(plan)
    heap.lock(arena: 1)
    var snapshot = try walk(heap)
    #expect(snapshot.findings.map(\.kind) == [.inTransit])
    #expect(snapshot.findings.first?.address == heap.arenas[1].summary.address)
    snapshot.findings = []
    let found = disagreements(of: snapshot, with: heap)
    #expect(found.isEmpty, "\(heap.plan)\n\(found.joined(separator: "\n"))")
  }

  private func expectTruth(
    _ plan: SyntheticPlan, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let heap = SyntheticHeap(plan)
    let found = disagreements(of: try walk(heap), with: heap)
    #expect(
      found.isEmpty, "\(plan)\n\(found.joined(separator: "\n"))", sourceLocation: sourceLocation)
  }
}
