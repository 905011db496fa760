// Searching what ascends.

extension RandomAccessCollection {
  /// The first place whose element does not come before what is looked for, as `isBefore` tells; elements
  /// for which it does come first.
  @inlinable package func partitionPoint(before isBefore: (Element) -> Bool) -> Index {
    var low = startIndex
    var count = self.count
    while count > 0 {
      let middle = index(low, offsetBy: count / 2)
      if isBefore(self[middle]) {
        low = index(after: middle)
        count -= count / 2 + 1
      } else {
        count /= 2
      }
    }
    return low
  }
}
