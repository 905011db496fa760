// What a watch remembers of types, of which there can be very many.

import HeapModel

/// The rows of types: of each sample those with most bytes, and all that were one of them before, as
/// long as there is room.
///
/// Not every sample needs to have types. What one of them says first is no growth, whenever it comes;
/// neither is a type that was there before it was among the largest. Only one that even was smaller
/// than all that are remembered counts from nothing: less than one part in `remembered` of what was in
/// use then is too much.
struct GrowthTypes: Sendable {
  /// How many types of a sample become rows.
  static let newest = 200
  /// How many rows there are in all.
  private static let limit = 2048
  /// How many types of a sample are remembered with what they had, those with most bytes.
  private static let remembered = 4096

  private(set) var rows = GrowthRows(limit: limit, givesWay: true)
  /// How many types of the last sample are not followed, all of them smaller than the newest rows.
  private(set) var untracked = 0
  /// What types had in the last sample that had any, and when the baseline was set.
  private var latest: [GrowthKey: Tally]?
  private var baseline: [GrowthKey: Tally]?

  /// Adds a sample.
  mutating func record(_ report: HeapReport, _ moment: GrowthMoment) {
    guard report.held != nil else { return rows.hold(moment) }
    let found = Self.entries(report)
    let followed = found.enumerated().filter { place, entry in
      place < Self.newest || rows.follows(entry.key)
    }.prefix(Self.limit)
    let (before, isFirst) = (baseline, latest == nil)
    rows.record(followed.map(\.element), moment) { entry in
      GrowthRow(
        entry, before: moment, held: isFirst ? entry.inUse : before?[entry.key] ?? Tally(),
        wasLookedAt: !isFirst)
    }
    untracked = found.count - followed.count
    latest = Dictionary(
      uniqueKeysWithValues: found.prefix(Self.remembered).map { ($0.key, $0.inUse) })
    if isFirst { baseline = latest }
  }

  mutating func setBaseline() {
    rows.setBaseline()
    baseline = latest
  }

  /// All types of a report, those with most bytes first.
  private static func entries(_ report: HeapReport) -> [GrowthEntry] {
    TypeTable(report).rows.compactMap { row in
      guard case .type(let type) = row.subject else { return nil }
      var entry = GrowthEntry(.type(name: type.name, kind: type.kind, binary: type.binary))
      entry.inUse = row.held
      return entry
    }
  }
}
