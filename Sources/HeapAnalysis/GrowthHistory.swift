// What a watch remembers of all its samples, which is no more for being a long one.

package import HeapModel

/// How the heap is divided into rows.
package enum GrowthGrouping: Sendable, CaseIterable {
  /// By ranges of chunk sizes.
  case ranges
  /// By exact chunk sizes.
  case sizes
  /// By arenas, and the mmapped chunks.
  case arenas
  /// By what they hold, as far as samples say so.
  case types
}

/// The history of a heap, sample by sample.
///
/// However many samples there are, of each row at most `TimeAxis.capacity` moments are kept of the whole
/// watch and as many since the baseline, and at most 4,096 rows of exact sizes, 4,096 of arenas and 2,048
/// of types. Of the latest sample and the baseline's, what their 4,096 largest types had is kept, too,
/// and the latest report without its chunks and their types.
package struct GrowthHistory: Sendable {
  /// Of how many samples the latest change is told.
  private static let recentLimit = 6
  private static let sizeLimit = 4096
  private static let arenaLimit = 4096

  private var axis = TimeAxis()
  /// An axis of its own: of a long run's, few moments may be after the baseline.
  private var axisSinceBaseline = TimeAxis()
  private var recentTimes: [Double] = []
  private var series: [[Double]]
  private var seriesSinceBaseline: [[Double]]
  private var recent: [[Double]]
  private var isKnown = [Bool](repeating: false, count: HeapFigure.allCases.count)
  private var ranges = GrowthRows(limit: SizeRanges.count)
  private var sizes = GrowthRows(limit: sizeLimit)
  private var arenas = GrowthRows(limit: arenaLimit)
  private var types = GrowthTypes()

  /// How many samples there were.
  package private(set) var sampleCount = 0
  /// How many of them were not complete.
  package private(set) var incompleteCount = 0
  /// How many there were since the one at which the baseline was set.
  package private(set) var steps = 0
  /// The latest sample, without its chunks and their types: `held` says only whether it had any.
  package private(set) var latest: HeapReport?
  /// The latest totals.
  package private(set) var figures: HeapFigures?
  /// The totals when the baseline was set.
  package private(set) var baseline: HeapFigures?
  /// When the first sample, the baseline's and the latest were taken, in seconds of the caller's clock.
  package private(set) var firstTime = 0.0
  package private(set) var baselineTime = 0.0
  package private(set) var latestTime = 0.0
  /// The most bytes that were in use since the baseline.
  package private(set) var mostInUse: UInt64 = 0
  /// The longest stop of the target.
  package private(set) var longestStop = Duration.zero
  /// All its stops together.
  package private(set) var totalStop = Duration.zero

  /// Makes a history without samples.
  package init() {
    series = HeapFigure.allCases.map { _ in [] }
    seriesSinceBaseline = series
    recent = series
  }

  /// Adds what was found at `time`, in seconds of a clock that only goes on.
  package mutating func add(_ report: HeapReport, _ memory: ProcessMemory, at time: Double) {
    let figures = HeapFigures(report, memory)
    let (points, pointsSinceBaseline) = (axis.times.count, axisSinceBaseline.times.count)
    let moment = GrowthMoment(
      step: axis.add(time), stepSinceBaseline: axisSinceBaseline.add(time), points: points,
      pointsSinceBaseline: pointsSinceBaseline, recent: recentTimes.count,
      recentLimit: Self.recentLimit, steps: steps)
    recentTimes.append(time)
    if recentTimes.count > Self.recentLimit { recentTimes.removeFirst() }
    for figure in HeapFigure.allCases {
      if let value = figures[figure], !isKnown[figure.rawValue] { learn(figure, Double(value)) }
      // What is not known is where it was.
      let value = figures[figure].map { Double($0) } ?? recent[figure.rawValue].last ?? 0
      series[figure.rawValue].take(value, moment.step)
      seriesSinceBaseline[figure.rawValue].take(value, moment.stepSinceBaseline)
      recent[figure.rawValue].append(value)
      if recent[figure.rawValue].count > Self.recentLimit { recent[figure.rawValue].removeFirst() }
    }
    ranges.record(Self.byRange(report.snapshot), moment)
    sizes.record(Self.bySize(report.snapshot), moment)
    arenas.record(Self.byArena(report.snapshot), moment)
    types.record(report, moment)
    mostInUse = max(mostInUse, figures.inUse.bytes)
    self.figures = figures
    latest = report
    latest?.snapshot.chunks = []
    if report.held != nil { latest?.held = HeldTypes() }
    latestTime = time
    noteStops(report.capture)
    sampleCount += 1
    if report.snapshot.isIncomplete { incompleteCount += 1 }
    if sampleCount == 1 {
      firstTime = time
      setBaseline()
    } else {
      steps += 1
    }
  }

  /// Takes the first value that is known of a total for those before it: it is no growth from nothing.
  private mutating func learn(_ figure: HeapFigure, _ value: Double) {
    let place = figure.rawValue
    isKnown[place] = true
    for index in series[place].indices { series[place][index] = value }
    for index in recent[place].indices { recent[place][index] = value }
    for index in seriesSinceBaseline[place].indices { seriesSinceBaseline[place][index] = value }
  }

  /// Counts the stops of a capture, also of one that is no sample.
  package mutating func noteStops(_ capture: CaptureFacts) {
    longestStop = max(longestStop, capture.longestStop)
    totalStop += capture.totalStop
  }

  /// Growth counts from the latest sample on.
  package mutating func setBaseline() {
    baseline = figures
    baselineTime = latestTime
    steps = 0
    mostInUse = figures?.inUse.bytes ?? 0
    axisSinceBaseline = TimeAxis()
    if sampleCount > 0 { _ = axisSinceBaseline.add(latestTime) }
    seriesSinceBaseline = recent.map { Array($0.suffix(1)) }
    ranges.setBaseline()
    sizes.setBaseline()
    arenas.setBaseline()
    types.setBaseline()
  }

  // MARK: Asking

  /// The rows of a grouping, in no particular order.
  package func rows(_ grouping: GrowthGrouping) -> [GrowthRow] { table(grouping).rows }

  /// How many parts of the latest sample are too many to be followed.
  package func untracked(_ grouping: GrowthGrouping) -> Int {
    grouping == .types ? types.untracked : table(grouping).untracked
  }

  private func table(_ grouping: GrowthGrouping) -> GrowthRows {
    switch grouping {
    case .ranges: ranges
    case .sizes: sizes
    case .arenas: arenas
    case .types: types.rows
    }
  }

  /// The moments of which there are values, in seconds.
  package var times: [Double] { axis.times }

  /// The values of a total at these moments, in bytes.
  package func values(_ figure: HeapFigure) -> [Double] { series[figure.rawValue] }

  /// By how much a total changed since the baseline, in bytes; nil if it is not known.
  package func growth(_ figure: HeapFigure) -> Double? {
    guard let now = figures?[figure], let before = baseline?[figure] else { return nil }
    return Double(now) - Double(before)
  }

  /// The change per second over the latest samples, nil before there are two.
  package func rate(_ figure: HeapFigure) -> Double? {
    figures?[figure] == nil ? nil : rate(recent[figure.rawValue])
  }

  /// The change of a row per second over the latest samples, nil before there are two.
  package func rate(_ row: GrowthRow) -> Double? { rate(row.recent) }

  /// The trend of a total since the baseline.
  package func trend(_ figure: HeapFigure) -> Trend? { trend(seriesSinceBaseline[figure.rawValue]) }

  /// The trend of a row since the baseline.
  package func trend(_ row: GrowthRow) -> Trend? { trend(row.pointsSinceBaseline) }

  /// The share of the time that the target was stopped, from the first sample on; nil before there are
  /// two.
  package var stoppedShare: Double? {
    let seconds = latestTime - firstTime
    // The latest sample's own stops came after its time.
    guard seconds > 0, let last = latest?.capture.totalStop else { return nil }
    return (totalStop - last) / .seconds(seconds)
  }

  private func rate(_ values: [Double]) -> Double? {
    guard let first = recentTimes.first, let last = recentTimes.last, last > first,
      let from = values.first, let to = values.last, values.count == recentTimes.count
    else { return nil }
    return (to - from) / (last - first)
  }

  private func trend(_ values: [Double]) -> Trend? {
    Trend(times: axisSinceBaseline.times[...], values: values[...])
  }

  // MARK: Dividing

  private static func byRange(_ snapshot: HeapSnapshot) -> [GrowthEntry] {
    var entries = (0..<SizeRanges.count).map { GrowthEntry(.sizes(SizeRanges.range(at: $0))) }
    var isFound = [Bool](repeating: false, count: entries.count)
    for size in snapshot.sizes {
      let index = SizeRanges.index(of: size.size)
      entries[index].add(size)
      isFound[index] = true
    }
    return entries.indices.filter { isFound[$0] }.map { entries[$0] }
  }

  private static func bySize(_ snapshot: HeapSnapshot) -> [GrowthEntry] {
    snapshot.sizes.map { size in
      var entry = GrowthEntry(.sizes(size.size...size.size))
      entry.add(size)
      return entry
    }
  }

  private static func byArena(_ snapshot: HeapSnapshot) -> [GrowthEntry] {
    var entries = snapshot.arenas.map { arena in
      var entry = GrowthEntry(.arena(arena.address))
      entry.inUse = arena.inUse
      entry.free = arena.free
      entry.cached = arena.cached
      entry.arenaIndex = arena.index
      return entry
    }
    if snapshot.mmapped.count > 0 {
      var entry = GrowthEntry(.mmapped)
      entry.inUse = snapshot.mmapped
      entry.cached = snapshot.mmappedCached
      entry.inUse.count &-= entry.cached.count
      entry.inUse.bytes &-= entry.cached.bytes
      entries.append(entry)
    }
    return entries
  }
}
