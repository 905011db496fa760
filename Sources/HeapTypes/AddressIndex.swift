// Finds by address in what ascends by address.

import HeapModel

/// Where every 64th of a list's elements is: few enough to stay in the processor's cache.
struct AddressIndex {
  private static let step = 64

  private let starts: [UInt64]
  private let count: Int

  /// Takes a list of `count` elements, of which `address` tells the address by the number; they ascend by it.
  init(count: Int, _ address: (Int) -> UInt64) {
    self.count = count
    starts = stride(from: 0, to: count, by: Self.step).map(address)
  }

  /// The number of the last element of the list that begins at `place` or before, nil if none does.
  @inline(__always)
  func last(notAfter place: UInt64, _ address: (Int) -> UInt64) -> Int? {
    let step = starts.partitionPoint(before: { $0 <= place })
    guard step > 0 else { return nil }
    let elements = (step - 1) * Self.step..<min(step * Self.step, count)
    return elements.partitionPoint(before: { address($0) <= place }) - 1
  }
}

/// Finds chunks by addresses in them.
struct ChunkFinder {
  private let chunks: [Chunk]
  private let index: AddressIndex

  /// Takes `chunks`, which ascend by address.
  init(_ chunks: [Chunk]) {
    self.chunks = chunks
    index = AddressIndex(count: chunks.count) { chunks[$0].userAddress.bits }
  }

  /// The number of the chunk with `address` in what the program may use of it, nil if there is none.
  @inline(__always)
  func chunk(holding address: UInt64) -> Int? {
    guard let last = index.last(notAfter: address, { chunks[$0].userAddress.bits }),
      address &- chunks[last].userAddress.bits < chunks[last].usableSize
    else { return nil }
    return last
  }
}
