// A part of the heap as it changes over time.

package import HeapModel

/// What a row of a growth table stands for.
package enum GrowthKey: Hashable, Sendable {
  /// Chunks of a range of sizes, or of one.
  case sizes(ClosedRange<UInt64>)
  /// The chunks of an arena, by its address: the numbers of arenas change when one is added.
  case arena(RemoteAddress)
  /// The chunks with a mapping of their own.
  case mmapped
  /// The chunks in use that hold a type, by its name, its kind and the path of its file.
  case type(name: String, kind: HeldKind, binary: String?)

  /// Whether it is a type.
  package var isType: Bool {
    if case .type = self { true } else { false }
  }
}

/// The chunks that a row stands for at one moment.
package struct GrowthEntry: Hashable, Sendable {
  /// What they have in common.
  package var key: GrowthKey
  /// Chunks held by the program.
  package var inUse = Tally()
  /// Chunks in bins.
  package var free = Tally()
  /// Chunks in tcaches and fastbins.
  package var cached = Tally()
  /// The number of an arena, 0 being the main one.
  package var arenaIndex: Int?

  /// Makes an entry without chunks.
  package init(_ key: GrowthKey) {
    self.key = key
  }

  /// Adds the chunks of one exact size.
  mutating func add(_ size: SizeClass) {
    inUse += Tally(count: size.inUse, bytes: size.inUseBytes)
    free += Tally(count: size.free, bytes: size.freeBytes)
    cached += Tally(count: size.cached, bytes: size.cachedBytes)
  }
}

/// Where a sample stands among those before it.
struct GrowthMoment: Sendable {
  /// What to do with the points of the whole watch, and with those since the baseline.
  var step: TimeAxis.Step
  var stepSinceBaseline: TimeAxis.Step
  /// How many points of each there were before it, and how many of the latest samples.
  var points: Int
  var pointsSinceBaseline: Int
  var recent: Int
  /// How many of the latest samples are kept.
  var recentLimit: Int
  /// How many samples there were since the baseline.
  var steps: Int
}

/// A part of the heap, now and before.
package struct GrowthRow: Hashable, Sendable {
  /// What it holds now.
  package private(set) var now: GrowthEntry
  /// What the program held of it when the baseline was set.
  package private(set) var baseline: Tally
  /// The bytes in use at the moments of the history's axis.
  package private(set) var points: [Double]
  /// The bytes in use at the moments of the history's axis since the baseline.
  private(set) var pointsSinceBaseline: [Double]
  /// The bytes in use at the latest moments.
  private(set) var recent: [Double]
  /// How often the bytes in use rose, and fell, from one sample to the next since the baseline.
  package private(set) var rises = 0
  package private(set) var falls = 0
  /// How many samples there were since the baseline.
  package private(set) var steps = 0

  /// Makes a row that held `before`, by default nothing, until now; it is not known if it was not
  /// looked at.
  init(
    _ entry: GrowthEntry, before moment: GrowthMoment, held before: Tally = Tally(),
    wasLookedAt: Bool = true
  ) {
    now = GrowthEntry(entry.key)
    now.arenaIndex = entry.arenaIndex
    now.inUse = before
    baseline = before
    let value = Double(before.bytes)
    points = [Double](repeating: value, count: moment.points)
    pointsSinceBaseline = [Double](repeating: value, count: moment.pointsSinceBaseline)
    recent = [Double](repeating: value, count: moment.recent)
    // The sample that is recorded next is the first, and no step.
    steps = wasLookedAt ? moment.steps : -1
  }

  /// What it stands for.
  package var key: GrowthKey { now.key }

  /// By how many bytes in use it has grown since the baseline.
  package var growth: Double { Double(now.inUse.bytes) - Double(baseline.bytes) }
  /// By how many chunks in use it has grown since the baseline.
  package var growthCount: Int { now.inUse.count &- baseline.count }

  /// Whether it grew in every sample since the baseline, of which there must be two at least.
  package var grewInEverySample: Bool { steps >= 2 && rises == steps }
  /// Whether it grew and in no sample since the baseline shrank.
  package var neverShrank: Bool { steps >= 2 && rises > 0 && falls == 0 }

  /// Whether there is nothing of it, and was nothing at the baseline.
  var isEmpty: Bool {
    now.inUse.count == 0 && now.free.count == 0 && now.cached.count == 0 && baseline.count == 0
  }

  /// Keeps what it was in a sample in which it was not looked at.
  mutating func hold(_ moment: GrowthMoment) {
    let bytes = now.inUse.bytes
    points.take(Double(bytes), moment.step)
    pointsSinceBaseline.take(Double(bytes), moment.stepSinceBaseline)
    recent.append(Double(bytes))
    if recent.count > moment.recentLimit { recent.removeFirst() }
  }

  mutating func record(_ entry: GrowthEntry, _ moment: GrowthMoment) {
    let before = now.inUse.bytes
    now = entry
    hold(moment)
    let bytes = entry.inUse.bytes
    steps += 1
    if bytes > before { rises += 1 }
    if bytes < before { falls += 1 }
  }

  mutating func setBaseline() {
    baseline = now.inUse
    pointsSinceBaseline = [Double(now.inUse.bytes)]
    rises = 0
    falls = 0
    steps = 0
  }
}
