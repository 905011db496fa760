// An ELF file at its place in a process.

/// An ELF file with the place where the target has loaded it.
package struct LoadedImage: Sendable {
  /// What the file says of itself.
  package var image: ELFImage
  /// What is added to the file's virtual addresses to get the target's addresses.
  package var loadBias: UInt64
  /// The file's path as the target names it.
  package var path: String

  /// Makes an image.
  package init(image: ELFImage, loadBias: UInt64, path: String) {
    self.image = image
    self.loadBias = loadBias
    self.path = path
  }

  /// The target's address for a virtual address of the file.
  package func address(of virtualAddress: UInt64) -> RemoteAddress {
    RemoteAddress(virtualAddress &+ loadBias)
  }

  /// From the first to the last byte of its segments in the target.
  package var range: AddressRange {
    let first = image.segments.map(\.virtualAddress).min() ?? 0
    let last = image.segments.map { $0.virtualAddress &+ $0.memorySize }.max() ?? 0
    return AddressRange(address(of: first), address(of: last))
  }
}
