// The few ranges of chunk sizes that a screen shows instead of thousands of exact sizes.

/// Chunk sizes divided into ranges, so that every size lies in exactly one.
///
/// A range reaches from above the bound before it up to its own bound. The bounds are every size up
/// to 64 bytes, 96 and 128, then powers of two up to 128 KiB (the largest request that glibc serves
/// from an arena unless it has learnt better), then every second power of two up to 2 GiB. The last
/// range has all that is larger. There are 24 ranges, so the table fits one screen.
package enum SizeRanges {
  /// The largest size of each range but the last, ascending.
  package static let bounds: [UInt64] =
    [16, 32, 48, 64, 96, 128] + (8...17).map { 1 << $0 }
    + stride(from: 19, through: 31, by: 2)
    .map { 1 << $0 }

  /// How many ranges there are.
  package static var count: Int { bounds.count + 1 }

  /// The number of the range that `size` lies in, ascending from 0.
  package static func index(of size: UInt64) -> Int {
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low + high) / 2
      if bounds[middle] < size { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The sizes of range number `index`.
  package static func range(at index: Int) -> ClosedRange<UInt64> {
    let first = index == 0 ? 0 : bounds[index - 1] + 1
    let last = index == bounds.count ? UInt64.max : bounds[index]
    return first...last
  }
}
