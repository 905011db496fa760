// What bugs of programs leave in a heap, and the chunk that the finding about it names.

import GlibcHeap
import HeapModel
import TestKit
import Testing

/// Bugs, each with the kind of finding that it must lead to.
enum HeapBug: String, CaseIterable, CustomTestStringConvertible {
  case text
  case nul
  case nulInSize
  case twoThreads
  case cachedAndBinned
  case cachedText
  case fastbinText

  var testDescription: String { rawValue }

  var kind: Finding.Kind {
    switch self {
    case .text, .nul, .nulInSize: .chainBreak
    case .twoThreads, .cachedAndBinned, .cachedText, .fastbinText: .listDamage
    }
  }

  /// Whether a glibc can have it.
  func isPossible(in shape: GlibcShape) -> Bool {
    switch self {
    case .text, .nul, .nulInSize: true
    case .twoThreads, .cachedAndBinned, .cachedText: shape.tcache != .none
    case .fastbinText: shape.hasFastbins
    }
  }

  func apply(to heap: inout SyntheticHeap, using random: inout SyntheticRandom) -> SyntheticBug? {
    switch self {
    case .text: heap.overrunWithText(using: &random)
    case .nul: heap.overrunByNUL(shortening: false, using: &random)
    case .nulInSize: heap.overrunByNUL(shortening: true, using: &random)
    case .twoThreads: heap.cacheInTwoThreads(using: &random)
    case .cachedAndBinned: heap.cacheBinned(using: &random)
    case .cachedText: heap.writeToCached(using: &random)
    case .fastbinText: heap.writeToFastbin(using: &random)
    }
  }
}

@Suite("Findings about programs' bugs")
struct NamedChunkTests {
  @Test(
    "a finding names the chunk with which it went wrong", arguments: GlibcShape.classes,
    HeapBug.allCases)
  func naming(shape: GlibcShape, bug: HeapBug) throws {
    guard bug.isPossible(in: shape) else { return }
    var found = 0
    for seed in 0..<8 as Range<UInt64> {
      var heap = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: seed))
      var random = SyntheticRandom(seed: seed &+ 5)
      guard let done = bug.apply(to: &heap, using: &random) else { continue }
      found += 1
      let snapshot = try walk(heap)
      let comment = Comment(rawValue: "\(done), \(heap.plan): \(snapshot.findings)")
      let finding = snapshot.findings.first {
        $0.chunk?.userAddress == RemoteAddress(done.chunk.user)
      }
      #expect(finding?.kind == bug.kind, comment)
      #expect(finding?.chunk?.size == done.chunk.size || bug == .twoThreads, comment)
      if bug == .text {
        #expect(finding?.chunk?.holds == "text", comment)
        #expect(finding?.detail.contains("it is text") == true, comment)
      }
      expectSums(snapshot, heap)
    }
    #expect(found >= 2, "\(found) of 8 heaps could have the bug")
  }

  @Test(
    "a NUL past a chunk's end is one finding, and all chunks are what they were",
    arguments: GlibcShape.classes)
  func onlyFlagsLost(shape: GlibcShape) throws {
    for seed in 0..<8 as Range<UInt64> {
      var heap = SyntheticHeap(GlibcDamageTests.plan(shape: shape, seed: seed))
      var random = SyntheticRandom(seed: seed)
      guard let bug = heap.overrunByNUL(shortening: false, using: &random) else { continue }
      let snapshot = try walk(heap)
      #expect(snapshot.findings.map(\.kind) == [.chainBreak], "\(bug), \(heap.plan)")
      let differences = disagreements(of: snapshot, with: heap)
        .filter { !$0.hasPrefix("finding ") && !$0.contains(" in use ") && !$0.contains(" free ") }
      #expect(differences.isEmpty, "\(bug), \(heap.plan)\n\(differences)")
      // While a thread changes the arena, such a chunk can be on its way.
      for arena in heap.arenas.indices { heap.lock(arena: arena) }
      let locked = try walk(heap)
      #expect(Set(locked.findings.map(\.kind)).isSubset(of: [.inTransit]), "\(locked.findings)")
    }
  }
}
