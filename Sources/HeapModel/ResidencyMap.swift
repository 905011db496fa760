// Which pages of some address ranges occupy memory.

/// For each page of a set of ranges, whether it is in memory.
package struct ResidencyMap: Sendable {
  /// One run of consecutive pages.
  package struct Run: Sendable {
    /// The pages covered, aligned to `pageSize`.
    package var range: AddressRange
    /// One value a page: whether it is in memory (not absent, not swapped out).
    package var isResident: [Bool]

    /// Makes a run; `isResident` holds one value for each page of `range`.
    package init(range: AddressRange, isResident: [Bool]) {
      self.range = range
      self.isResident = isResident
    }
  }

  /// The target's page size in bytes, a power of two.
  package var pageSize: UInt64
  /// The runs, ascending and disjoint.
  package var runs: [Run]

  /// Makes a map of `runs`, which it sorts.
  package init(pageSize: UInt64, runs: [Run]) {
    self.pageSize = pageSize
    self.runs = runs.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }
}
