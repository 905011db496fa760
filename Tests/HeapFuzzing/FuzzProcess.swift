// The process that a fuzzed walk reads: it counts what is read, and changes when it is let run.

internal import GlibcHeap
internal import HeapModel
internal import RemoteMemory
internal import TestKit

/// A process that changes as its input says.
///
/// A class, because reading it is counted and changes it.
final class FuzzProcess: MemoryReader, WalkPacing {
  /// How a fuzzed process behaves.
  struct Behaviour {
    /// Whether it stands still between two calls of `proceed`.
    var stopsTarget = true
    /// After how many questions a stop has lasted long enough.
    var patience = 1
    /// After how many reads it changes although nobody lets it run, 0 for never.
    var readsPerChange = 0
    /// After how many reads it is gone, and whether its memory is then only unmapped.
    var readsLeft = Int.max
    var isUnmappedThen = false
  }

  /// More stops are not made: then one lasts as long as the rest takes.
  private static let mostStops = 64

  private var edits: FuzzEdits
  private var input: FuzzBytes
  private var image: MemoryImage
  private var behaviour: Behaviour
  private var questions = 0
  private var isRunning = false
  private(set) var stops = 1
  private(set) var calls = 0
  private(set) var bytes: UInt64 = 0
  /// Whether it was changed after the walk had begun.
  private(set) var hasChanged = false

  init(_ edits: FuzzEdits, _ input: FuzzBytes, _ behaviour: Behaviour) {
    self.edits = edits
    self.input = input
    self.behaviour = behaviour
    image = edits.heap.image
  }

  private func change() {
    guard !input.isAtEnd else { return }
    edits.apply(&input)
    image = edits.heap.image
    hasChanged = true
  }

  // MARK: Reading

  func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    calls += 1
    if behaviour.readsPerChange > 0, calls % behaviour.readsPerChange == 0 { change() }
    if calls > behaviour.readsLeft {
      throw behaviour.isUnmappedThen ? .unmapped(address) : .targetGone
    }
    let count = try image.read(at: address, into: &bytes)
    self.bytes += UInt64(count)
    return count
  }

  func pageStates(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> [PageState]? {
    guard edits.pageSeed != 0 else { return nil }
    return (0..<UInt64(count)).map { state(ofPage: address.bits / pageSize &+ $0) }
  }

  private func state(ofPage page: UInt64) -> PageState {
    let mixed = (page &+ UInt64(edits.pageSeed)) &* 0x9e37_79b9_7f4a_7c15 >> 56
    return mixed < 24 ? .untouched : mixed < 48 ? .swapped : .resident
  }

  // MARK: Pacing

  var stopsTarget: Bool { behaviour.stopsTarget }

  var isDue: Bool {
    questions += 1
    return questions >= behaviour.patience && stops < Self.mostStops
  }

  var isHalfOver: Bool { questions * 2 >= behaviour.patience && stops < Self.mostStops }

  func beginWork() {}

  func letRun() {
    if !isRunning { change() }
    isRunning = true
  }

  func attend() {}

  func proceed() throws(ReadFault) -> [ThreadState] {
    letRun()
    isRunning = false
    questions = 0
    stops += 1
    return behaviour.stopsTarget ? edits.heap.threads : []
  }

  func mappings() throws(ReadFault) -> [MemoryMapping] { edits.heap.mappings }
}
