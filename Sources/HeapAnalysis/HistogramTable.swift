// The histogram as it is shown: rows of exact sizes or of ranges, in an order, cut off at a limit.

package import HeapModel

/// The order of a histogram's rows.
package enum HistogramOrder: String, Sendable, CaseIterable {
  /// Smallest chunks first.
  case size
  /// Most chunks in use first.
  case count
  /// Most bytes in use first.
  case bytes
  /// By what a row is called, which for chunk sizes is the size.
  case name
}

/// One row of a histogram: the chunks whose sizes lie in a range.
package struct HistogramRow: Hashable, Sendable {
  /// The sizes that it covers; a single one in an exact histogram.
  package var sizes: ClosedRange<UInt64>
  /// How many different sizes were found in it.
  package var distinctSizes: Int
  /// Chunks held by the program.
  package var inUse = Tally()
  /// Chunks in bins.
  package var free = Tally()
  /// Chunks in tcaches and fastbins.
  package var cached = Tally()

  /// Makes a row without chunks.
  package init(sizes: ClosedRange<UInt64>) {
    self.sizes = sizes
    distinctSizes = 0
  }

  /// Makes the row of one exact size.
  package init(_ size: SizeClass) {
    self.init(sizes: size.size...size.size)
    add(size)
  }

  /// Adds the chunks of one exact size.
  package mutating func add(_ size: SizeClass) {
    distinctSizes += 1
    inUse += Tally(count: size.inUse, bytes: size.inUseBytes)
    free += Tally(count: size.free, bytes: size.freeBytes)
    cached += Tally(count: size.cached, bytes: size.cachedBytes)
  }

  /// Adds the chunks of another row, whose sizes it then covers too.
  package mutating func add(_ other: HistogramRow) {
    sizes =
      min(sizes.lowerBound, other.sizes.lowerBound)...max(sizes.upperBound, other.sizes.upperBound)
    distinctSizes += other.distinctSizes
    inUse += other.inUse
    free += other.free
    cached += other.cached
  }
}

/// A histogram's rows in the order asked for, and the sum of those that the limit left out.
package struct HistogramTable: Sendable {
  /// How exact sizes become rows.
  package enum Grouping: Sendable {
    /// One row for each exact size.
    case exact
    /// One row for each of `SizeRanges` in which a chunk was found.
    case ranges
  }

  /// The rows shown.
  package var rows: [HistogramRow]
  /// How many rows the limit left out.
  package var omittedRows: Int
  /// The sum of the rows left out, nil if there are none.
  package var rest: HistogramRow?
  /// The sum of all rows.
  package var total: HistogramRow
  /// The largest number of bytes in use of any row, shown or not.
  package var largestInUseBytes: UInt64

  /// Groups `sizes` (ascending), sorts the rows, and keeps the first `limit` of them.
  ///
  /// Rows of equal count or bytes stay in ascending order of size.
  package init(
    _ sizes: [SizeClass], grouping: Grouping, order: HistogramOrder = .size, limit: Int? = nil
  ) {
    let unsorted =
      switch grouping {
      case .exact: sizes.map { HistogramRow($0) }
      case .ranges: Self.rangeRows(sizes)
      }
    let all = Self.sorted(unsorted, by: order)
    let shown = min(all.count, max(0, limit ?? all.count))
    rows = Array(all.prefix(shown))
    omittedRows = all.count - shown
    rest = Self.sum(all.dropFirst(shown))
    largestInUseBytes = all.map(\.inUse.bytes).max() ?? 0
    total = Self.sum(all[...]) ?? HistogramRow(sizes: 0...0)
  }

  private static func rangeRows(_ sizes: [SizeClass]) -> [HistogramRow] {
    var rows = (0..<SizeRanges.count).map { HistogramRow(sizes: SizeRanges.range(at: $0)) }
    for size in sizes { rows[SizeRanges.index(of: size.size)].add(size) }
    return rows.filter { $0.distinctSizes > 0 }
  }

  private static func sorted(
    _ rows: [HistogramRow], by order: HistogramOrder
  ) -> [HistogramRow] {
    rows.sorted { left, right in
      let ascending = left.sizes.lowerBound < right.sizes.lowerBound
      switch order {
      case .size, .name:
        return ascending
      case .count:
        return left.inUse.count == right.inUse.count
          ? ascending : left.inUse.count > right.inUse.count
      case .bytes:
        return left.inUse.bytes == right.inUse.bytes
          ? ascending : left.inUse.bytes > right.inUse.bytes
      }
    }
  }

  private static func sum(_ rows: ArraySlice<HistogramRow>) -> HistogramRow? {
    guard let first = rows.first else { return nil }
    return rows.dropFirst().reduce(into: first) { $0.add($1) }
  }
}
