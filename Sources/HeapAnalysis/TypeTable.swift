// What chunks hold as it is shown: rows by type, size, binary or arena, in an order, cut off.

package import HeapModel

/// By what the rows of a table of types are made.
package enum TypeGrouping: String, Sendable, CaseIterable {
  /// One row for each type.
  case type
  /// One row for each range of sizes, or each size.
  case size
  /// One row for each file that implements types.
  case binary
  /// One row for each arena, and one for the mmapped chunks.
  case arena
}

/// Which rows of a table of types are wanted, and with what.
package struct TypeTableOptions: Hashable, Sendable {
  /// By what the rows are made.
  package var grouping: TypeGrouping
  /// The order of the rows; by size, the largest average comes first.
  package var order: HistogramOrder
  /// The types and sizes wanted, nil for all.
  package var pattern: TypePattern?
  /// How many rows are shown, nil for all.
  package var limit: Int?
  /// Whether rows by size are of one size each instead of a range.
  package var isExact: Bool
  /// How many of its sizes each row has, those with most bytes; nil for none.
  package var sizeLimit: Int?
  /// How many of its chunks each row has, those with the lowest addresses; nil for none.
  package var addressLimit: Int?

  /// Makes options, by default those of a plain run.
  package init(
    grouping: TypeGrouping = .type, order: HistogramOrder = .bytes, pattern: TypePattern? = nil,
    limit: Int? = nil, isExact: Bool = false, sizeLimit: Int? = nil, addressLimit: Int? = nil
  ) {
    self.grouping = grouping
    self.order = order
    self.pattern = pattern
    self.limit = limit
    self.isExact = isExact
    self.sizeLimit = sizeLimit
    self.addressLimit = addressLimit
  }
}

/// One row of a table of types.
package struct TypeRow: Hashable, Sendable {
  /// What its chunks have in common.
  package enum Subject: Hashable, Sendable {
    /// Their type, with the strongest evidence for it.
    case type(HeldType)
    /// Their sizes.
    case sizes(ClosedRange<UInt64>)
    /// The path of the file that implements their types, nil for those of no file.
    case binary(String?)
    /// Their arena, nil for mmapped chunks.
    case arena(Int32?)
  }

  /// Its place in the order, from 1 on.
  package var rank: Int
  /// What its chunks have in common.
  package var subject: Subject
  /// Its chunks, all of them in use.
  package var held: Tally
  /// The sizes with most bytes among them, if they were asked for.
  package var sizes: [SizeClass] = []
  /// Chunks of it in ascending order of address, if they were asked for.
  package var chunks: [Chunk] = []
}

extension Tally {
  /// The mean size of the chunks, rounded down.
  package var average: UInt64 { count > 0 ? bytes / UInt64(count) : 0 }
}

/// What the chunks in use hold, in rows.
package struct TypeTable: Sendable {
  /// The rows shown.
  package private(set) var rows: [TypeRow]
  /// How many rows the limit left out.
  package let omittedRows: Int
  /// What those hold.
  package let rest: Tally
  /// What all rows hold.
  package let total: Tally
  /// What is known of all chunks in use, whatever was chosen.
  package let attribution: TypeShares

  /// Makes the rows of what `report` has in use.
  package init(_ report: HeapReport, options: TypeTableOptions = TypeTableOptions()) {
    var groups = TypeGroups(report, options)
    let all = HeldTallies(report)
    attribution = TypeShares(all, of: groups.types)
    let tallies = groups.tallies(report, all)
    let found = tallies.indices.filter { tallies[$0].count > 0 }
    let subjects = groups.subjects
    let limit = max(0, options.limit ?? found.count)
    let shown = Self.first(limit, of: found, tallies, subjects, by: options.order)
    rows = shown.enumerated().map {
      TypeRow(rank: $0 + 1, subject: subjects[$1], held: tallies[$1])
    }
    omittedRows = found.count - shown.count
    total = tallies.reduce(into: Tally()) { $0 += $1 }
    var rest = total
    for group in shown {
      rest.count &-= tallies[group].count
      rest.bytes &-= tallies[group].bytes
    }
    self.rest = rest
    guard options.sizeLimit != nil || options.addressLimit != nil else { return }
    var places = [Int?](repeating: nil, count: subjects.count)
    for (place, group) in shown.enumerated() { places[group] = place }
    addDetails(report, options, groups, places)
  }

  /// Adds sizes and chunks to the rows; `places` has the row of each group.
  private mutating func addDetails(
    _ report: HeapReport, _ options: TypeTableOptions, _ groups: TypeGroups, _ places: [Int?]
  ) {
    var groups = groups
    var sizes = [[UInt64: Int]](repeating: [:], count: rows.count)
    let most = options.addressLimit ?? 0
    // No more than that: all chunks twice is what we are sure to have memory for.
    for place in rows.indices {
      rows[place].chunks.reserveCapacity(max(0, min(most, rows[place].held.count)))
    }
    for chunk in report.snapshot.chunks {
      guard let group = groups.group(of: chunk), let place = places[group] else { continue }
      if options.sizeLimit != nil { sizes[place][chunk.size, default: 0] += 1 }
      if rows[place].chunks.count < most { rows[place].chunks.append(chunk) }
    }
    for place in rows.indices {
      let found = sizes[place].map { SizeClass(size: $0.key, inUse: $0.value) }
      let sorted = found.sorted {
        $0.inUseBytes == $1.inUseBytes ? $0.size < $1.size : $0.inUseBytes > $1.inUseBytes
      }
      rows[place].sizes = Array(sorted.prefix(max(0, options.sizeLimit ?? 0)))
    }
  }

  /// The first `limit` of `groups` in this order, sorted; names are only compared where figures are equal.
  private static func first(
    _ limit: Int, of groups: [Int], _ tallies: [Tally], _ subjects: [TypeRow.Subject],
    by order: HistogramOrder
  ) -> [Int] {
    var figures = groups.map { group in
      let figure: UInt64 =
        switch order {
        case .bytes: tallies[group].bytes
        case .count: UInt64(tallies[group].count)
        case .size: tallies[group].average
        case .name: 0
        }
      return (figure: figure, group: group)
    }
    // Of thousands few are shown, and comparing names takes longest.
    if limit > 0, limit < figures.count {
      let least = figures.map(\.figure).sorted(by: >)[limit - 1]
      figures.removeAll { $0.figure < least }
    }
    let sorted = figures.sorted { left, right in
      left.figure == right.figure
        ? subjects[left.group].precedes(subjects[right.group]) : left.figure > right.figure
    }
    return sorted.prefix(limit).map(\.group)
  }
}

extension TypeRow.Subject {
  /// Whether it comes first by its name, its sizes or its number.
  func precedes(_ other: TypeRow.Subject) -> Bool {
    switch (self, other) {
    case (.type(let left), .type(let right)):
      (left.name, left.binary ?? "", left.kind.rawValue)
        < (right.name, right.binary ?? "", right.kind.rawValue)
    case (.sizes(let left), .sizes(let right)): left.lowerBound < right.lowerBound
    case (.binary(let left), .binary(let right)): (left ?? "") < (right ?? "")
    // The mmapped chunks come last.
    case (.arena(let left), .arena(let right)): (left ?? .max) < (right ?? .max)
    default: false
    }
  }
}
