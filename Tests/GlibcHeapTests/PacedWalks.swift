// A walk in many stops over a heap made by a test, which may change whenever it is let run.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

/// A process made by a test: its memory, mappings and threads, which are replaced while it runs.
final class ChangingProcess: MemoryReader {
  private(set) var mappings: [MemoryMapping]
  private(set) var threads: [ThreadState]
  private var image: MemoryImage
  /// Where the last read of a whole page or more ended, which is where the walk's window does.
  private(set) var windowEnd: UInt64 = 0
  /// Called before each read: what a running process does meanwhile.
  var beforeRead: ((AddressRange) -> Void)?

  init(_ heap: SyntheticHeap) {
    image = heap.image
    mappings = heap.mappings
    threads = heap.threads
  }

  /// Makes the process what `heap` is.
  func become(_ heap: SyntheticHeap) {
    image = heap.image
    mappings = heap.mappings
    threads = heap.threads
  }

  func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    beforeRead?(AddressRange(address, byteCount: UInt64(bytes.byteCount)))
    let count = try image.read(at: address, into: &bytes)
    if bytes.byteCount >= 4096 { windowEnd = address.bits + UInt64(count) }
    return count
  }
}

/// Stops a `ChangingProcess` as often as a test wants it.
final class TestPacing: WalkPacing {
  /// More stops than any walk may need.
  static let most = 100_000

  let stopsTarget: Bool
  private let process: ChangingProcess
  /// After how many questions a stop has lasted long enough.
  private let patience: Int
  private var questions = 0
  /// Called whenever the process is let run, with the number of the stop that has just ended, from 1
  /// on.
  private let change: (Int) -> Void
  private(set) var stops = 1
  /// Whether the process runs.
  private var isRunning = false

  init(
    _ process: ChangingProcess, stopsTarget: Bool = true, patience: Int = 1,
    change: @escaping (Int) -> Void = { _ in }
  ) {
    self.process = process
    self.stopsTarget = stopsTarget
    self.patience = patience
    self.change = change
  }

  var isDue: Bool {
    questions += 1
    return questions >= patience
  }

  var isHalfOver: Bool { questions * 2 >= patience }

  func beginWork() {}

  func letRun() {
    if !isRunning { change(stops) }
    isRunning = true
  }

  func attend() {}

  func proceed() throws(ReadFault) -> [ThreadState] {
    letRun()
    isRunning = false
    questions = 0
    stops += 1
    if stops > Self.most { throw .targetGone }
    return stopsTarget ? process.threads : []
  }

  func mappings() throws(ReadFault) -> [MemoryMapping] { process.mappings }
}

/// A walk's result, with how often its target was stopped.
struct PacedWalk {
  var snapshot: HeapSnapshot
  var stops: Int
}

/// Walks `heap` in many stops and returns what was found; `change` makes another heap of it when it
/// is let run, with the number of the stop that has just ended and the process.
///
/// The first bytes of chunks are shown to `beginnings`.
/// With `looksFirst`, an unstopped look at the heap comes before, as the tool takes one.
func pacedWalk(
  _ heap: SyntheticHeap, stopsTarget: Bool = true, patience: Int = 1, looksFirst: Bool = true,
  lookingAt earlier: SyntheticHeap? = nil, collectsChunks: Bool = true,
  collectsReferences: Bool = false, beginnings: BeginningRecorder? = nil,
  change: @escaping (Int, ChangingProcess) -> Void = { _, _ in },
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> PacedWalk {
  let instance = try #require(
    try MallocInstance.find(in: heap.images).first, "\(heap.plan)", sourceLocation: sourceLocation)
  var options = WalkOptions(pageSize: heap.plan.pageSize, collectsChunks: collectsChunks)
  options.collectsReferences = collectsReferences
  var hints = HeapHints()
  if looksFirst {
    let seen = earlier ?? heap
    hints = try HeapWalk.survey(
      of: instance, reader: seen.image, mappings: seen.mappings, options: options)
  }
  let process = ChangingProcess(heap)
  let pacing = TestPacing(process, stopsTarget: stopsTarget, patience: patience) { stop in
    change(stop, process)
  }
  var collected = try HeapWalk.collect(
    of: instance, reader: process, data: DataRanges(process.mappings),
    threads: stopsTarget ? process.threads : [], options: options, hints: hints,
    buffers: WalkBuffers(
      largestRead: 128 << 10,
      beginnings: beginnings.map { ChunkBeginnings(expected: 0, reader: $0) }),
    pacing: pacing)
  return PacedWalk(snapshot: collected.snapshot(), stops: pacing.stops)
}
