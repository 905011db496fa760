// The rows of a history in the order, and of the kind, that is asked for.

import HeapModel

/// The order of a growth table's rows.
package enum GrowthOrder: String, Sendable, CaseIterable {
  /// What grew most since the baseline first.
  case growth
  /// Most bytes in use first.
  case bytes
  /// Most chunks in use first.
  case count
  /// Smallest chunks first; arenas by their number, types by their average.
  case size

  /// The one after it, and after the last the first.
  package var next: GrowthOrder {
    let all = Self.allCases
    let place = all.firstIndex(of: self) ?? 0
    return all[(place + 1) % all.count]
  }
}

/// Rows chosen and sorted.
package struct GrowthTable: Sendable {
  /// All rows that pass, in order.
  package let rows: [GrowthRow]
  /// How many rows the filter left out.
  package let filteredOut: Int

  /// Takes those rows of `history` that hold something, or did, and whose sizes overlap `filter`, or
  /// whose types `pattern` wants by their names; rows of arenas all pass.
  package init(
    _ history: GrowthHistory, _ grouping: GrowthGrouping, order: GrowthOrder,
    filter: ClosedRange<UInt64>? = nil, pattern: TypePattern? = nil
  ) {
    let all = history.rows(grouping).filter { !$0.isEmpty }
    let isWanted = grouping == .types ? pattern?.test() : nil
    let chosen = all.filter { row in
      switch row.key {
      case .sizes(let sizes): filter?.overlaps(sizes) ?? true
      case .type(let name, let kind, _): isWanted?(name, kind) ?? true
      case .arena, .mmapped: true
      }
    }
    filteredOut = all.count - chosen.count
    rows = chosen.sorted { left, right in
      switch order {
      case .growth where left.growth != right.growth: left.growth > right.growth
      case .growth, .bytes:
        left.now.inUse.bytes == right.now.inUse.bytes
          ? left.position < right.position : left.now.inUse.bytes > right.now.inUse.bytes
      case .count:
        left.now.inUse.count == right.now.inUse.count
          ? left.position < right.position : left.now.inUse.count > right.now.inUse.count
      case .size: left.position < right.position
      }
    }
  }
}

extension GrowthRow {
  /// Its place among all rows of its kind.
  fileprivate var position: UInt64 {
    switch key {
    case .sizes(let sizes): sizes.lowerBound
    case .arena: UInt64(now.arenaIndex ?? 0)
    case .mmapped: .max
    case .type: now.inUse.average
    }
  }
}
