// One fuzzed input: a heap, what becomes of it, how it is walked, and what must hold for the result.

internal import GlibcHeap
internal import HeapModel
internal import RemoteMemory
internal import TestKit

/// A walk as a fuzzed input describes it.
///
/// The first bytes choose a sound heap and how it is walked, the others what is changed in it before, and, in
/// batches, while it is walked.
package struct FuzzedWalk {
  private let ground: FuzzGround
  private var input: FuzzBytes
  private let mode: UInt8
  private var options: WalkOptions
  private var behaviour = FuzzProcess.Behaviour()
  private let pages: UInt8

  private var isPaced: Bool { mode & 3 >= 2 }
  private var looksFirst: Bool { mode & 4 != 0 }
  /// Who is shown the first bytes of chunks, nil if nobody is.
  private var beginnings: ChunkBeginnings? {
    options.collectsChunks && mode & 32 != 0
      ? ChunkBeginnings(expected: 0, reader: ShownChunks()) : nil
  }

  /// Reads the first bytes of `input`; any bytes are an input.
  package init(_ input: [UInt8]) {
    var input = FuzzBytes(input)
    ground = FuzzGround.ground(shape: input.byte(), kind: input.byte())
    mode = input.byte()
    let scope = input.byte()
    let patience = input.byte()
    let change = input.byte()
    let end = input.byte()
    pages = input.byte()
    options = WalkOptions(
      pageSize: ground.heap.plan.pageSize, collectsChunks: mode & 8 == 0)
    options.searchedPages = mode & 16 == 0 ? 1 << 14 : Int(patience)
    switch scope >> 5 {
    case 5: options.scope = .arena(Int(scope & 3))
    case 6: options.scope = .mmapped
    case 7: options.sample = ChunkSample(sizes: 32...UInt64(scope) << 5, limit: Int(scope & 31))
    default: break
    }
    behaviour.stopsTarget = mode & 3 == 2
    behaviour.patience = 1 + Int(patience)
    behaviour.readsPerChange = Int(change)
    if end >= 192 {
      behaviour.readsLeft = Int(end - 192) * 4
      behaviour.isUnmappedThen = end & 1 == 0
    }
    self.input = input
  }

  /// Walks, and returns what must not be, a sentence each: none if all is well.
  package func failures() -> [String] {
    var input = input
    var edits = FuzzEdits(ground)
    edits.pageSeed = pages
    edits.apply(&input)
    let mappings = edits.heap.mappings
    let memory = edits.heap.memory.readableRanges.reduce(0) { $0 + $1.byteCount }
    let process = FuzzProcess(edits, isPaced ? input : FuzzBytes([]), behaviour)
    let snapshot: HeapSnapshot
    do {
      snapshot = try walk(process, edits)
    } catch {
      return error == .targetGone ? [] : ["a walk ends with \(error)"]
    }
    var failures =
      process.hasChanged || !options.collectsChunks
      ? histogramContradictions(in: snapshot, comparesChunks: keepsAll)
      : impossibilities(in: snapshot, comparesChunks: keepsAll)
    if !process.hasChanged { failures += strays(in: snapshot, mappings) }
    let stops = UInt64(process.stops)
    if process.bytes > (40 + 4 * stops) * memory + (4 << 20) {
      failures.append("\(process.bytes) bytes were read of \(memory), in \(stops) stops")
    }
    if process.calls > 500_000 { failures.append("\(process.calls) reads") }
    return failures
  }

  /// Whether the snapshot holds every chunk.
  private var keepsAll: Bool { options.collectsChunks && options.sample == nil }

  private func walk(
    _ process: FuzzProcess, _ edits: FuzzEdits
  ) throws(ReadFault) -> HeapSnapshot {
    var hints = HeapHints()
    if looksFirst {
      hints = try HeapWalk.survey(
        of: ground.instance, reader: process, mappings: edits.heap.mappings, options: options)
    }
    let threads = isPaced && !behaviour.stopsTarget ? [] : edits.heap.threads
    var collected = try HeapWalk.collect(
      of: ground.instance, reader: process, data: DataRanges(edits.heap.mappings),
      threads: threads, options: options, hints: hints,
      buffers: WalkBuffers(largestRead: 128 << 10, beginnings: beginnings),
      pacing: isPaced ? process : nil)
    return collected.snapshot()
  }

  /// What of the chunks begins where nothing is mapped, or is not in order.
  private func strays(in snapshot: HeapSnapshot, _ mappings: [MemoryMapping]) -> [String] {
    var failures: [String] = []
    let chunks = snapshot.chunks
    if zip(chunks, chunks.dropFirst()).contains(where: { $0.userAddress >= $1.userAddress }) {
      failures.append("chunks do not ascend")
    }
    var mapped: [AddressRange] = []
    for range in mappings.map(\.range) {
      if let last = mapped.last, last.upperBound == range.lowerBound {
        mapped[mapped.count - 1] = AddressRange(last.lowerBound, range.upperBound)
      } else {
        mapped.append(range)
      }
    }
    var index = 0
    for chunk in chunks {
      // What it says of itself may lead to where nothing is mapped any more.
      let header = AddressRange(chunk.range.lowerBound, byteCount: 16)
      while index < mapped.count, mapped[index].upperBound <= header.lowerBound { index += 1 }
      if index == mapped.count || !mapped[index].contains(header) {
        let near = mapped[max(0, index - 1)..<min(mapped.count, index + 2)]
        failures.append("\(chunk) at \(chunk.range) is not in mapped memory: \(near)")
        break
      }
    }
    return failures
  }
}

/// Looks at all bytes of the chunks that it is shown.
private final class ShownChunks: BeginningsReader {
  func tell(_ chunks: inout MutableSpan<Chunk>, records: RawSpan) {
    precondition(records.byteCount == chunks.count * ChunkBeginnings.recordSize)
    for index in chunks.indices { chunks[index].held = 1 }
  }
}
