// The first bytes of chunks, as they are kept for whoever tells what chunks hold.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

/// Notes what it is shown; a chunk's type is its number among these, from 1 on.
final class BeginningRecorder: BeginningsReader {
  private(set) var seen: [(chunk: Chunk, bytes: [UInt8])] = []

  func tell(_ chunks: inout MutableSpan<Chunk>, records: RawSpan) {
    for index in chunks.indices {
      let start = index * ChunkBeginnings.recordSize + 8
      let usable = min(ChunkBeginnings.byteCount, Int(clamping: chunks[index].usableSize))
      let bytes = unsafe records.extracting(start..<start + usable).withUnsafeBytes { Array($0) }
      seen.append((chunks[index], bytes))
      chunks[index].held = UInt32(seen.count)
    }
  }

  /// What of `snapshot` was not shown as it stands in `memory`, in words.
  func mistakes(in snapshot: HeapSnapshot, _ memory: MemoryImage) throws -> [String] {
    var mistakes: [String] = []
    for chunk in snapshot.chunks {
      let shown = chunk.held > 0 ? seen[Int(chunk.held) - 1] : nil
      guard chunk.state == .inUse else { continue }
      guard let shown, shown.chunk.userAddress == chunk.userAddress, shown.chunk.size == chunk.size
      else {
        mistakes.append("\(chunk) was not shown")
        continue
      }
      let count = Int(min(UInt64(ChunkBeginnings.byteCount), chunk.usableSize))
      // Words on pages that are not there count as zeros.
      let expected = try (0..<count / 8).flatMap { word in
        try memory.bytes(at: RemoteAddress(chunk.userAddress.bits + UInt64(8 * word)), count: 8)
          ?? [UInt8](repeating: 0, count: 8)
      }
      if shown.bytes.count != count || !shown.bytes.starts(with: expected) {
        mistakes.append("\(chunk) was shown as \(shown.bytes) instead of \(expected)")
      }
    }
    return mistakes
  }
}

@Suite("The first bytes of chunks in use")
struct BeginningTests {
  /// `snapshot` without the types of its chunks.
  private func untyped(_ snapshot: HeapSnapshot) -> [Chunk] {
    snapshot.chunks.map { chunk in
      var chunk = chunk
      chunk.held = 0
      return chunk
    }
  }

  @Test(
    "in one stop and in many, every chunk in use is shown once with its own bytes",
    arguments: GlibcShape.presets)
  func everyChunk(shape: GlibcShape) throws {
    for seed in 0..<4 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      if seed % 2 == 0 { plan.longestSegment = 0x60000 }
      let heap = SyntheticHeap(plan)
      for (patience, stopsTarget) in [(Int.max, true), (1, true), (3, true), (2, false)] {
        // What is cached is told otherwise in a live walk, with or without first bytes.
        let plain = try pacedWalk(heap, stopsTarget: stopsTarget, patience: patience).snapshot
        let recorder = BeginningRecorder()
        let walk = try pacedWalk(
          heap, stopsTarget: stopsTarget, patience: patience, beginnings: recorder)
        let comment = Comment(rawValue: "\(plan), patience \(patience), stops \(stopsTarget)")
        #expect(untyped(walk.snapshot) == plain.chunks, comment)
        #expect(walk.snapshot.sizes == plain.sizes, comment)
        #expect(walk.snapshot.arenas == plain.arenas, comment)
        let mistakes = try recorder.mistakes(in: walk.snapshot, heap.image)
        #expect(mistakes.isEmpty, "\(comment): \(mistakes.prefix(3))")
        let addresses = recorder.seen.map(\.chunk.userAddress)
        #expect(Set(addresses).count == addresses.count, comment)
      }
    }
  }
}
