// An address in the target process, kept apart from integers and from our own pointers.

/// An address in the target process's address space, in bytes.
package struct RemoteAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// The address as the target's own pointers store it.
  package var bits: UInt64

  /// Makes an address from the bits of a pointer of the target.
  package init(_ bits: UInt64) {
    self.bits = bits
  }

  /// The address `byteCount` bytes further, or nil if that leaves the address space.
  package func advanced(by byteCount: UInt64) -> RemoteAddress? {
    let (sum, overflow) = bits.addingReportingOverflow(byteCount)
    return overflow ? nil : RemoteAddress(sum)
  }

  /// The address `byteCount` bytes before, or nil if that leaves the address space.
  package func retreated(by byteCount: UInt64) -> RemoteAddress? {
    let (difference, overflow) = bits.subtractingReportingOverflow(byteCount)
    return overflow ? nil : RemoteAddress(difference)
  }

  /// The nearest multiple of `alignment` (a power of two) at or below this address.
  package func alignedDown(to alignment: UInt64) -> RemoteAddress {
    RemoteAddress(bits & ~(alignment &- 1))
  }

  /// The nearest multiple of `alignment` (a power of two) at or above this address, or the highest
  /// one that exists.
  package func alignedUp(to alignment: UInt64) -> RemoteAddress {
    (advanced(by: alignment &- 1) ?? RemoteAddress(.max)).alignedDown(to: alignment)
  }

  package static func < (left: RemoteAddress, right: RemoteAddress) -> Bool {
    left.bits < right.bits
  }
}

extension RemoteAddress: CustomStringConvertible {
  /// The address as `0x` and lower-case hexadecimal digits without padding.
  package var description: String {
    "0x" + String(bits, radix: 16)
  }
}

/// A half-open range of addresses in the target process.
package struct AddressRange: Hashable, Sendable, BitwiseCopyable {
  /// The first address inside.
  package let lowerBound: RemoteAddress
  /// The first address after the range.
  package let upperBound: RemoteAddress

  /// Makes the range, empty at `lowerBound` if `upperBound` lies below it.
  package init(_ lowerBound: RemoteAddress, _ upperBound: RemoteAddress) {
    self.lowerBound = lowerBound
    self.upperBound = max(lowerBound, upperBound)
  }

  /// Makes the range of `byteCount` bytes, cut off at the end of the address space.
  package init(_ lowerBound: RemoteAddress, byteCount: UInt64) {
    self.init(lowerBound, lowerBound.advanced(by: byteCount) ?? RemoteAddress(.max))
  }

  /// The length in bytes.
  package var byteCount: UInt64 { upperBound.bits &- lowerBound.bits }

  /// Whether the range holds no byte.
  package var isEmpty: Bool { lowerBound == upperBound }

  /// Whether `address` lies inside.
  package func contains(_ address: RemoteAddress) -> Bool {
    lowerBound <= address && address < upperBound
  }

  /// Whether all of `other` lies inside.
  package func contains(_ other: AddressRange) -> Bool {
    lowerBound <= other.lowerBound && other.upperBound <= upperBound
  }

  /// Whether the two ranges share a byte.
  package func overlaps(_ other: AddressRange) -> Bool {
    max(lowerBound, other.lowerBound) < min(upperBound, other.upperBound)
  }
}

extension AddressRange: CustomStringConvertible {
  /// Both bounds in hexadecimal, joined by two dots.
  package var description: String { "\(lowerBound)..\(upperBound)" }
}
