// Runs a walk over a synthetic heap and compares what it says with the truth.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

/// Walks `heap` with everything asked for.
func walk(
  _ heap: SyntheticHeap, options: WalkOptions? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> HeapSnapshot {
  let instances = try MallocInstance.find(in: heap.images)
  let instance = try #require(instances.first, "\(heap.plan)", sourceLocation: sourceLocation)
  return try HeapWalk.snapshot(
    of: instance, reader: heap.image, mappings: heap.mappings, threads: heap.threads,
    options: options ?? WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: true))
}

/// What in `snapshot` differs from what `heap` holds, a sentence each; at most a few.
func disagreements(of snapshot: HeapSnapshot, with heap: SyntheticHeap) -> [String] {
  var result: [String] = []
  let chunks = chunkDisagreements(found: snapshot.chunks, expected: heap.chunks)
  result += chunks.prefix(5)
  if chunks.count > 5 { result.append("\(chunks.count - 5) more chunks differ") }
  if snapshot.arenas.count != heap.arenas.count {
    result.append("\(snapshot.arenas.count) arenas instead of \(heap.arenas.count)")
  }
  for (found, arena) in zip(snapshot.arenas, heap.arenas) {
    result += summaryDisagreements(found: found, expected: arena.summary)
  }
  if snapshot.sizes.filter({ $0.inUse + $0.free + $0.cached > 0 }) != heap.sizes {
    result.append("the histogram differs")
  }
  let mmapped = heap.mmapped.reduce(into: Tally()) { $0.add(size: $1.size) }
  if snapshot.mmapped != mmapped {
    result.append("mmapped \(snapshot.mmapped) instead of \(mmapped)")
  }
  result += snapshot.checks.filter { !$0.holds }.map {
    "check \($0.name): \($0.expected) expected, \($0.found) found"
  }
  result += snapshot.findings.prefix(5).map {
    "finding \($0.kind) at \($0.address.map(\.description) ?? "-"), \($0.bytes) bytes: \($0.detail)"
  }
  if snapshot.coverage != 1 { result.append("coverage \(snapshot.coverage)") }
  return result
}

/// How two ascending lists of chunks differ.
func chunkDisagreements(found: [Chunk], expected: [Chunk]) -> [String] {
  guard found != expected else { return [] }
  var result: [String] = []
  let foundPlaces = Dictionary(found.map { ($0.userAddress, $0) }) { first, _ in first }
  let expectedPlaces = Dictionary(expected.map { ($0.userAddress, $0) }) { first, _ in first }
  if foundPlaces.count != found.count { result.append("a chunk is listed twice") }
  if zip(found, found.dropFirst()).contains(where: { $0.userAddress > $1.userAddress }) {
    result.append("the chunks do not ascend")
  }
  for chunk in expected {
    guard let other = foundPlaces[chunk.userAddress] else {
      result.append("missing \(text(chunk))")
      continue
    }
    var comparable = chunk
    // What may be written into top is not a question that malloc answers.
    if chunk.state == .top {
      comparable = Chunk(
        userAddress: chunk.userAddress, size: chunk.size, usableSize: other.usableSize,
        state: .top, arena: chunk.arena)
    }
    if other != comparable { result.append("\(text(other)) instead of \(text(chunk))") }
  }
  for chunk in found where expectedPlaces[chunk.userAddress] == nil {
    result.append("invented \(text(chunk))")
  }
  return result
}

private func text(_ chunk: Chunk) -> String {
  "\(chunk.userAddress) \(chunk.size) (\(chunk.usableSize)) \(chunk.state) "
    + "in \(chunk.arena.map(String.init) ?? "mmap")"
}

private func summaryDisagreements(found: ArenaSummary, expected: ArenaSummary) -> [String] {
  var result: [String] = []
  func compare<Value: Equatable>(_ name: String, _ found: Value, _ expected: Value) {
    if found != expected {
      result.append("arena \(index) \(name) \(found) instead of \(expected)")
    }
  }
  let index = expected.index
  compare("index", found.index, index)
  compare("address", found.address, expected.address)
  compare("kind", found.kind, expected.kind)
  compare("system", found.systemBytes, expected.systemBytes)
  compare("in use", found.inUse, expected.inUse)
  compare("free", found.free, expected.free)
  compare("cached", found.cached, expected.cached)
  compare("structures", found.tcacheStructures, expected.tcacheStructures)
  compare("top", found.topAddress, expected.topAddress)
  compare("top bytes", found.topBytes, expected.topBytes)
  // An alignment gap behind foreign memory may be counted with either.
  compare(
    "headers and foreign", found.headerBytes + found.foreignBytes,
    expected.headerBytes + expected.foreignBytes)
  compare("unaccounted", found.unaccountedBytes, 0)
  compare("threads", found.attachedThreads, expected.attachedThreads)
  compare("locked", found.isLocked, expected.isLocked)
  compare(
    "segment ends", found.segments.map(\.upperBound), expected.segments.map(\.upperBound))
  return result
}
