// Memory that was put together from pieces: what tests walk, and what a core file becomes.

package import HeapModel

/// A reader over pieces of memory held by ourselves.
package struct MemoryImage: MemoryReader, Sendable {
  /// Consecutive bytes of the target.
  package struct Piece: Sendable {
    /// Where the first byte lies in the target.
    package var address: RemoteAddress
    /// The bytes.
    package var bytes: [UInt8]

    /// Makes a piece.
    package init(address: RemoteAddress, bytes: [UInt8]) {
      self.address = address
      self.bytes = bytes
    }

    /// Where it lies in the target.
    package var range: AddressRange {
      AddressRange(address, byteCount: UInt64(bytes.count))
    }
  }

  /// The pieces, ascending and disjoint.
  package let pieces: [Piece]

  /// Makes an image of `pieces`, which must not overlap.
  package init(_ pieces: [Piece]) {
    self.pieces = pieces.filter { !$0.bytes.isEmpty }.sorted { $0.address < $1.address }
  }

  package func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    var filled = 0
    while filled < bytes.byteCount {
      guard let next = address.advanced(by: UInt64(filled)), let piece = piece(containing: next)
      else { break }
      let start = Int(next.bits &- piece.address.bits)
      let count = min(bytes.byteCount - filled, piece.bytes.count - start)
      unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
          .copyBytes(from: piece.bytes[start..<start + count])
      }
      filled += count
    }
    if filled == 0, !bytes.isEmpty { throw .unmapped(address) }
    return filled
  }

  private func piece(containing address: RemoteAddress) -> Piece? {
    var low = 0
    var high = pieces.count
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].address <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, pieces[low - 1].range.contains(address) else { return nil }
    return pieces[low - 1]
  }
}
