// What a watch has shown in the end: what grew, how fast, and what kind of growth it is.

import HeapModel

/// What was seen since the baseline.
package struct GrowthSummary: Sendable {
  /// What kind of change was seen.
  package enum Kind: String, Sendable {
    /// The program holds more and more: a leak, or something of its own that has no bound.
    case inUse = "in_use"
    /// Free memory between chunks in use grows, what the program holds does not.
    case fragmentation
    /// Chunks that threads keep for themselves grow.
    case cached
    /// The program gave back memory that glibc still has from the kernel.
    case retention
    /// Memory that is not malloc's grows.
    case outside
  }

  /// One thing that was seen.
  package struct Change: Hashable, Sendable {
    /// What kind it is.
    package var kind: Kind
    /// How many bytes it is: the growth since the baseline, or what is kept now.
    package var bytes: Double
    /// How fast it grows; nil for retention, which is a state.
    package var trend: Trend?
  }

  /// A row that grew.
  package struct Grown: Sendable {
    /// The row.
    package var row: GrowthRow
    /// How fast.
    package var trend: Trend?
  }

  /// From the baseline to the latest sample, in seconds.
  package let seconds: Double
  /// How many samples there were in that time, the baseline's among them.
  package let samples: Int
  /// How many samples of the whole run were incomplete.
  package let incomplete: Int
  /// The totals at the baseline and now, nil before the first sample.
  package let baseline: HeapFigures?
  package let now: HeapFigures?
  /// The trend of what the program holds; nil with too few samples.
  package let inUse: Trend?
  /// What was seen, most bytes first; empty if nothing changed for good, or too little was seen.
  package let changes: [Change]
  /// The rows that grew in every sample, grew more than once and never shrank, or grew as their trend has it; fastest first.
  package let grown: [Grown]
  /// Whether there were enough samples to say anything.
  package let isTold: Bool

  /// How many rows that grew are kept.
  private static let grownLimit = 10
  /// How many rows, of those that grew most, are looked at.
  private static let candidateLimit = 64

  /// Sums up a history; of the rows, those that a table with this filter and pattern has.
  package init(
    _ history: GrowthHistory, grouping: GrowthGrouping = .ranges,
    filter: ClosedRange<UInt64>? = nil, pattern: TypePattern? = nil
  ) {
    seconds = max(0, history.latestTime - history.baselineTime)
    samples = history.sampleCount == 0 ? 0 : history.steps + 1
    incomplete = history.incompleteCount
    baseline = history.baseline
    now = history.figures
    inUse = history.trend(.inUse)
    isTold = inUse != nil
    changes = inUse == nil ? [] : Self.changes(history)
    let table = GrowthTable(history, grouping, order: .growth, filter: filter, pattern: pattern)
    let candidates = table.rows.prefix { $0.growth > 0 }.prefix(Self.candidateLimit)
    grown = Array(
      candidates.map { Grown(row: $0, trend: history.trend($0)) }
        .filter { grown in
          let row = grown.row
          // What grew once only was needed once.
          return row.grewInEverySample || row.neverShrank && row.rises > 1
            || grown.trend?.isGrowth == true
        }
        .sorted { ($0.trend?.perSecond ?? 0) > ($1.trend?.perSecond ?? 0) }
        .prefix(Self.grownLimit))
  }

  private static func changes(_ history: GrowthHistory) -> [Change] {
    var changes: [Change] = []
    func add(_ kind: Kind, _ figure: HeapFigure, atLeast least: Double) {
      // What has gone again by the end is not what is left to be told.
      guard let trend = history.trend(figure), trend.isGrowth,
        let growth = history.growth(figure), growth >= max(least, trend.rise / 2)
      else { return }
      changes.append(Change(kind: kind, bytes: growth, trend: trend))
    }
    add(.inUse, .inUse, atLeast: 0)
    // Beside a leak there is always some more of the others: told if it is a share of its own.
    let least = max(65_536, (changes.first?.bytes ?? 0) / 4)
    if history.trend(.heap)?.isGrowth == true { add(.fragmentation, .free, atLeast: least) }
    add(.cached, .cached, atLeast: least)
    add(.outside, .outside, atLeast: least)
    if let kept = retained(history) {
      changes.append(Change(kind: .retention, bytes: kept, trend: nil))
    }
    return changes.sorted { $0.bytes > $1.bytes }
  }

  /// How much of what the program gave back glibc still has from the kernel, nil if that is little.
  ///
  /// What was in use at most is compared with what is now, since the baseline.
  private static func retained(_ history: GrowthHistory) -> Double? {
    guard let now = history.figures else { return nil }
    let peak = Double(history.mostInUse)
    let given = peak - Double(now.inUse.bytes)
    let idle = Double(now.free.bytes) + Double(now.cached.bytes) + Double(now.topBytes)
    let kept = min(given, idle)
    return kept > max(1_048_576, peak / 10) ? kept : nil
  }
}
