// Counts by exact chunk size, made for being incremented in the hot loop.

import HeapModel

/// The chunks of one size.
struct SizeCounts: BitwiseCopyable {
  var inUse = 0
  var free = 0
  var cached = 0
}

/// Counts of chunks by exact size: a flat array for the sizes that matter, a dictionary beyond.
struct SizeTable {
  /// The sizes that the flat array covers, in bytes.
  static let flatLimit: UInt64 = 256 << 10

  /// One element for each multiple of 16 below `flatLimit`.
  var flat = [SizeCounts](repeating: SizeCounts(), count: Int(flatLimit >> 4))
  /// The other sizes.
  var large: [UInt64: SizeCounts] = [:]

  /// How many chunks of one size count as in use.
  func inUse(_ size: UInt64) -> Int {
    size < Self.flatLimit ? flat[Int(size >> 4)].inUse : large[size]?.inUse ?? 0
  }

  /// Changes the counts of one size.
  mutating func update(_ size: UInt64, _ change: (inout SizeCounts) -> Void) {
    if size < Self.flatLimit {
      change(&flat[Int(size >> 4)])
    } else {
      change(&large[size, default: SizeCounts()])
    }
  }

  /// The sizes that occur, ascending.
  var classes: [SizeClass] {
    let small = flat.enumerated().lazy.filter { $0.element.isUsed }
      .map { SizeClass(UInt64($0.offset) << 4, $0.element) }
    let big = large.filter { $0.value.isUsed }.map { SizeClass($0.key, $0.value) }
    return small + big.sorted { $0.size < $1.size }
  }
}

extension SizeCounts {
  fileprivate var isUsed: Bool { inUse != 0 || free != 0 || cached != 0 }
}

extension SizeClass {
  fileprivate init(_ size: UInt64, _ counts: SizeCounts) {
    self.init(size: size, inUse: counts.inUse, free: counts.free, cached: counts.cached)
  }
}
