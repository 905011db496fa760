// An ELF file together with where a process has it in memory.

/// An ELF file that a process has mapped.
package struct LoadedImage: Sendable {
  /// What the file says of itself.
  package var image: ELFImage
  /// What is added to the file's virtual addresses to get addresses of the process, modulo 2^64.
  package var loadBias: UInt64
  /// The file's path as the process's maps name it.
  package var path: String

  /// Makes a loaded image.
  package init(image: ELFImage, loadBias: UInt64, path: String) {
    self.image = image
    self.loadBias = loadBias
    self.path = path
  }
}
