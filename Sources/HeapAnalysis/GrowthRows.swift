// All parts of the heap under one way to divide it.

import HeapModel

/// The rows of one grouping, at most so many.
struct GrowthRows: Sendable {
  /// How many rows are followed; more sizes than that are rare, and their ranges have them too.
  let limit: Int
  /// Whether rows that a sample does not have go if there is no room for those that it has.
  let givesWay: Bool
  private(set) var rows: [GrowthRow] = []
  /// How many parts there were in the last sample that are not followed.
  private(set) var untracked = 0
  private var places: [GrowthKey: Int] = [:]

  init(limit: Int, givesWay: Bool = false) {
    self.limit = limit
    self.givesWay = givesWay
  }

  /// Whether there is a row of `key`.
  func follows(_ key: GrowthKey) -> Bool { places[key] != nil }

  /// Goes over a sample in which nothing was looked at.
  mutating func hold(_ moment: GrowthMoment) {
    for place in rows.indices { rows[place].hold(moment) }
  }

  /// Adds a sample; `makeRow` makes the rows that are new, if they held something before.
  mutating func record(
    _ entries: [GrowthEntry], _ moment: GrowthMoment, makeRow: ((GrowthEntry) -> GrowthRow)? = nil
  ) {
    // Only then: a row that comes back is to be known as one that went.
    if isFull(for: entries) { drop(where: \.isEmpty) }
    if givesWay, isFull(for: entries) {
      let keys = Set(entries.map(\.key))
      drop { !keys.contains($0.key) }
    }
    var isSeen = [Bool](repeating: false, count: rows.count)
    untracked = 0
    for entry in entries {
      let place: Int
      if let known = places[entry.key] {
        place = known
      } else {
        guard rows.count < limit else {
          untracked += 1
          continue
        }
        place = rows.count
        places[entry.key] = place
        rows.append(makeRow?(entry) ?? GrowthRow(entry, before: moment))
        isSeen.append(false)
      }
      isSeen[place] = true
      rows[place].record(entry, moment)
    }
    for place in rows.indices where !isSeen[place] {
      var empty = GrowthEntry(rows[place].key)
      empty.arenaIndex = rows[place].now.arenaIndex
      rows[place].record(empty, moment)
    }
  }

  mutating func setBaseline() {
    for place in rows.indices { rows[place].setBaseline() }
  }

  /// Whether there is no room for all rows and `entries`.
  private func isFull(for entries: [GrowthEntry]) -> Bool {
    rows.count + entries.count { places[$0.key] == nil } > limit
  }

  /// Forgets rows.
  private mutating func drop(where isUnwanted: (GrowthRow) -> Bool) {
    rows.removeAll(where: isUnwanted)
    places = [:]
    for (place, row) in rows.enumerated() { places[row.key] = place }
  }
}
