// What no walk may say, whatever the memory holds.

package import HeapModel

/// Whatever the bytes are, no sum exceeds the memory that there is, and no two chunks overlap: what
/// in `snapshot` breaks that.
///
/// `comparesChunks` says that the snapshot holds every chunk.
package func impossibilities(
  in snapshot: HeapSnapshot, comparesChunks: Bool = true
) -> [String] {
  var result: [String] = []
  for summary in snapshot.arenas {
    let tallies = [
      summary.inUse, summary.free, summary.cached, summary.tcacheStructures,
      Tally(count: 1, bytes: summary.topBytes), Tally(count: 1, bytes: summary.headerBytes),
      Tally(count: 1, bytes: summary.foreignBytes),
      Tally(count: 1, bytes: summary.unaccountedBytes),
    ]
    if tallies.contains(where: { $0.count < 0 }) {
      result.append("arena \(summary.index) has fewer than no chunks of a kind")
    }
    let memory = summary.segments.reduce(0 as UInt64) { $0 &+ $1.byteCount }
    var rest = memory &+ summary.foreignBytes &+ summary.headerBytes
    for tally in tallies {
      let (difference, overflow) = rest.subtractingReportingOverflow(tally.bytes)
      if overflow {
        result.append("arena \(summary.index) has more in it than its \(memory) bytes")
        break
      }
      rest = difference
    }
  }
  let overlap = zip(snapshot.chunks, snapshot.chunks.dropFirst()).first { first, second in
    first.range.upperBound > second.range.lowerBound
  }
  if let overlap {
    result.append(
      "\(overlap.0) and \(overlap.1) overlap; segments \(snapshot.arenas.map(\.segments))")
  }
  return result + histogramContradictions(in: snapshot, comparesChunks: comparesChunks)
}

/// What in `snapshot` contradicts itself, whatever the memory was at whatever moment.
///
/// `comparesChunks` says that the snapshot holds every chunk.
package func histogramContradictions(
  in snapshot: HeapSnapshot, comparesChunks: Bool = true
) -> [String] {
  var result: [String] = []
  if !(0...1).contains(snapshot.coverage) { result.append("coverage \(snapshot.coverage)") }
  let chunks = snapshot.chunks.reduce(into: [ChunkState: Int]()) { $0[$1.state, default: 0] += 1 }
  let counts = snapshot.sizes.reduce(into: SizeClass(size: 0)) {
    $0.inUse += $1.inUse
    $0.free += $1.free
    $0.cached += $1.cached
  }
  if snapshot.sizes.contains(where: { $0.inUse < 0 || $0.free < 0 || $0.cached < 0 }) {
    result.append("the histogram counts fewer than no chunks")
  }
  let cached = (chunks[.tcache] ?? 0) + (chunks[.fastbin] ?? 0)
  let isCounted =
    counts.inUse == chunks[.inUse] ?? 0 && counts.free == chunks[.binned] ?? 0
    && counts.cached == cached
  if comparesChunks, !isCounted {
    result.append("the histogram counts \(counts), the chunks are \(chunks)")
  }
  let inUse = snapshot.inUse
  if inUse.count != counts.inUse || snapshot.free.count != counts.free
    || snapshot.cached.count != counts.cached
  {
    result.append("the totals are not those of the histogram")
  }
  if snapshot.findings.count > 1000 { result.append("\(snapshot.findings.count) findings") }
  return result
}
