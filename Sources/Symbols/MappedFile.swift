// The bytes of a loaded file as its process has them in memory: for a file that is gone.

import HeapModel
import LinuxTarget

/// The memory of a target process, opened anew by each who reads it.
struct TargetMemory: Sendable {
  /// The process, or one of its threads that has memory.
  let id: Int32
  /// Where the proc file system is.
  let procRoot: String

  /// What reads bytes at an address, nil if they cannot all be read.
  ///
  /// What is swapped out is brought back: a loaded file has a few pages that can be.
  func reader() -> (_ address: RemoteAddress, _ count: Int) -> [UInt8]? {
    let reader = LiveMemoryReader(pid: id, proc: ProcFileSystem(root: procRoot))
    reader.readsSwapped = true
    return { address, count in
      var buffer = [UInt8](repeating: 0, count: count)
      var span = buffer.mutableSpan
      var bytes = unsafe span.mutableBytes
      let filled = try? reader.read(at: address, into: &bytes)
      return filled == count ? buffer : nil
    }
  }
}

/// A loaded file's bytes, by their place in the file.
///
/// What the program may not write is as in the file. What it may write has the values of the moment.
struct MappedFile {
  /// The file's name in the maps.
  let path: String
  /// The mappings that can be read, ascending in address and in file offset.
  private let mappings: [MemoryMapping]
  private let read: (RemoteAddress, Int) -> [UInt8]?

  /// The file of `module`, one of `modules`; `read` reads the process's memory.
  init(
    _ module: LoadedModule, among modules: [LoadedModule] = [],
    read: @escaping (RemoteAddress, Int) -> [UInt8]?
  ) {
    path = module.name
    mappings = module.joined(with: module.continuations(among: modules)).mappings
      .filter(\.isReadable)
    self.read = read
  }

  /// Where the last mapping ends, in bytes of the file rounded up to a page.
  var byteCount: UInt64 {
    mappings.map { $0.fileOffset &+ $0.range.byteCount }.max() ?? 0
  }

  /// The bytes at `range`, nil if they are not all mapped and readable.
  ///
  /// Of a page that is mapped twice, as the end of one segment and the beginning of the next, the latter
  /// is read: the program can have changed only what belongs to that.
  func bytes(at range: FileRange) -> [UInt8]? {
    guard range.byteCount <= ElfHandle.pieceLimit else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(range.byteCount))
    var offset = range.offset
    while UInt64(bytes.count) < range.byteCount {
      guard let mapping = mappings.last(where: { $0.holds(offset) }) else { return nil }
      var end = mapping.fileOffset &+ mapping.range.byteCount
      for next in mappings where next.fileOffset > offset { end = min(end, next.fileOffset) }
      let count = min(end - offset, range.byteCount - UInt64(bytes.count))
      let distance = offset - mapping.fileOffset
      guard let start = mapping.range.lowerBound.advanced(by: distance),
        let piece = read(start, Int(count))
      else { return nil }
      bytes += piece
      offset += count
    }
    return bytes
  }
}

extension MemoryMapping {
  /// Whether it maps the byte of its file at `offset`.
  fileprivate func holds(_ offset: UInt64) -> Bool {
    fileOffset <= offset && offset - fileOffset < range.byteCount
  }
}

/// Where a file that is read from memory lies there, which its loader has written into it.
struct LoadedPlace: Hashable {
  /// What was added to its virtual addresses.
  var bias: UInt64
  /// Where its last segment ends, as a virtual address.
  var end: UInt64

  /// The virtual address that the file has where memory has `word`, if that is an address in it.
  ///
  /// The lowest pages of an address space are never mapped, so that what is less than the file's end was
  /// not relocated: loaders differ in whether they relocate the dynamic section.
  func fileAddress(_ word: UInt64) -> UInt64 {
    word < end ? word : word &- bias
  }
}
