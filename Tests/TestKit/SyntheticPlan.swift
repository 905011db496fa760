// What a synthetic heap shall contain: the choices apart from the glibc build.

package import HeapModel

/// The plan of one synthetic process.
package struct SyntheticPlan: Sendable, CustomStringConvertible {
  /// How the main arena got its memory.
  package enum MainArena: Hashable, Sendable {
    /// Nothing was ever allocated from it.
    case unused
    /// From the program break, with others' breaks of these sizes in between.
    case contiguous(foreignGaps: [UInt64])
    /// From mappings, after segments from the break with `gaps` between them if there were any.
    case moved(brkGaps: [UInt64]?, segments: Int)
  }

  /// How glibc got into the process.
  package enum Linkage: Sendable, CaseIterable {
    case sharedLibrary
    case staticProgram
    case staticPIE
  }

  /// Rare contents that a walk must not fall for.
  package enum Hazard: Sendable, CaseIterable {
    /// Thread heaps whose last 32 bytes before the terminator are a chunk that was given to nobody.
    case remnants
    /// Pages of user data that begin like a chunk with a mapping of its own, or like a segment.
    case misleadingPages
    /// Others' memory between segments that holds chains of headers like malloc's.
    case foreignChains
    /// Mmapped chunks that were resized: stale first headers, and `mmapped_mem` too large.
    case resizedMappings
  }

  /// One thread.
  package struct Thread: Hashable, Sendable {
    /// The arena that it uses, by its place in the ring.
    package var arena: Int?
    /// Whether it has a tcache structure, if the glibc has any.
    package var hasTcache: Bool
    /// Whether its structure lies in the main arena although it uses another.
    package var keepsTcacheInMain = false

    /// Makes a thread.
    package init(arena: Int?, hasTcache: Bool, keepsTcacheInMain: Bool = false) {
      self.arena = arena
      self.hasTcache = hasTcache
      self.keepsTcacheInMain = keepsTcacheInMain
    }
  }

  /// The glibc build.
  package var shape: GlibcShape
  /// What all random choices follow from.
  package var seed: UInt64
  /// The machine that it runs on.
  package var machine = ELFImage.Machine.amd64
  /// How glibc got into it.
  package var linkage = Linkage.sharedLibrary
  /// The kernel's page size in bytes.
  package var pageSize: UInt64 = 4096
  /// The explicit huge pages that a tunable asked for, in bytes (2.35 and later); 0 for none.
  package var hugePageSize: UInt64 = 0
  /// How far everything lies from where it else would, in bytes, so that two heaps fit into one process;
  /// a multiple of 4 GiB.
  package var distance: UInt64 = 0
  /// How the main arena got its memory.
  package var main = MainArena.contiguous(foreignGaps: [])
  /// How far the first break was from a multiple of 16.
  package var sbrkMisalignment: UInt64 = 0
  /// For each thread arena in ring order, how many heaps it has.
  package var threadArenas: [Int] = []
  /// Whether the newest of several heaps holds nothing but top.
  package var keepsNewestHeapsEmpty = false
  /// The threads, the main thread first.
  package var threads = [Thread(arena: 0, hasTcache: true)]
  /// How many chunks have mappings of their own.
  package var mmappedChunks = 0
  /// Which rare contents may occur.
  package var hazards = Set(Hazard.allCases)
  /// The longest segment or heap to make, in bytes.
  package var longestSegment: UInt64 = 0x21000

  /// How many chunks a tcache bin takes, if a tunable says so.
  package var tcacheFill: UInt64?
  /// Whether a tunable lets tcaches hold large chunks too (2.42 and later).
  package var cachesLargeChunks = false

  /// What is reserved for a heap of a thread arena: 64 MiB, but four huge pages in 2.35 to 2.41.
  package var heapMaximum: UInt64 {
    hugePageSize > 0 && shape.parameters == .glibc235 && shape.tcache != .slots
      ? 4 * hugePageSize : 64 << 20
  }

  /// How many chunks a tcache bin takes.
  package var fill: UInt64 { tcacheFill ?? shape.tcacheFill }

  /// Makes a plan of one thread with one segment in the main arena.
  package init(shape: GlibcShape, seed: UInt64) {
    self.shape = shape
    self.seed = seed
  }

  /// Everything that a failing test must tell to be repeated.
  package var description: String {
    "\(shape), seed \(seed): \(machine), \(linkage), main \(main), arenas \(threadArenas), "
      + "\(threads.count) threads, \(mmappedChunks) mmapped, pages of \(pageSize)"
  }

  /// A plan with everything chosen by `seed`; consecutive seeds cover the kinds of main arena.
  package static func random(shape: GlibcShape, seed: UInt64) -> SyntheticPlan {
    var random = SyntheticRandom(seed: seed &* 7919 &+ 5)
    var plan = SyntheticPlan(shape: shape, seed: seed)
    if random.chance(25) {
      plan.machine = .arm64
      plan.pageSize = random.pick([4096, 4096, 0x4000, 0x10000])
    }
    plan.linkage = random.pick([.sharedLibrary, .sharedLibrary, .staticProgram, .staticPIE])
    switch seed % 8 {
    case 0, 1: plan.main = .contiguous(foreignGaps: [])
    case 2: plan.main = .contiguous(foreignGaps: [100])
    case 3: plan.main = .contiguous(foreignGaps: [12_296, 0x1_0000, 24])
    case 4: plan.main = .moved(brkGaps: nil, segments: 1)
    case 5: plan.main = .moved(brkGaps: nil, segments: 3)
    case 6: plan.main = .moved(brkGaps: [], segments: 2)
    default: plan.main = .moved(brkGaps: [random.pick([4096, 100, 12_296])], segments: 2)
    }
    plan.sbrkMisalignment = random.chance(30) ? random.pick([8, 4, 1]) : 0
    plan.threadArenas = (0..<random.index(4)).map { _ in 1 + random.index(3) }
    for _ in 0..<random.index(5) {
      let arena = random.chance(10) ? nil : random.index(plan.threadArenas.count + 1)
      plan.threads.append(
        Thread(
          arena: arena, hasTcache: arena != nil && random.chance(85),
          keepsTcacheInMain: random.chance(10)))
    }
    plan.mmappedChunks = random.index(10)
    return plan
  }
}
