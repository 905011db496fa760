// One mapping of the target's address space, as the walker needs to know it.

/// A mapping (VMA) of the target process.
package struct MemoryMapping: Hashable, Sendable {
  /// Where it is.
  package var range: AddressRange
  /// Whether the program may read it.
  package var isReadable: Bool
  /// Whether the program may write it.
  package var isWritable: Bool
  /// Whether the program may execute it.
  package var isExecutable: Bool
  /// Whether writes are shared with others.
  package var isShared: Bool
  /// Where in its file it begins, in bytes.
  package var fileOffset: UInt64
  /// The file's device, major number.
  package var deviceMajor: UInt32
  /// The file's device, minor number.
  package var deviceMinor: UInt32
  /// The file's inode, 0 for anonymous memory.
  package var inode: UInt64
  /// The name that the kernel prints: a path, `[heap]`, `[stack]`, `[anon:...]`, or empty; without
  /// the mark of a deleted file.
  package var name: String
  /// Whether the file was deleted or replaced since.
  package var isDeleted: Bool

  /// Makes a mapping.
  package init(
    range: AddressRange, isReadable: Bool, isWritable: Bool, isExecutable: Bool, isShared: Bool,
    fileOffset: UInt64, deviceMajor: UInt32, deviceMinor: UInt32, inode: UInt64, name: String,
    isDeleted: Bool
  ) {
    self.range = range
    self.isReadable = isReadable
    self.isWritable = isWritable
    self.isExecutable = isExecutable
    self.isShared = isShared
    self.fileOffset = fileOffset
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.inode = inode
    self.name = name
    self.isDeleted = isDeleted
  }

  /// Whether it is private memory that is no file's, whatever its protection.
  ///
  /// Explicit huge pages come from a file that was never in a directory.
  package var isPrivateAnonymous: Bool {
    guard !isShared else { return false }
    if inode == 0 { return name.isEmpty || name == "[heap]" || name.hasPrefix("[anon:") }
    return name == "/anon_hugepage" && isDeleted
  }

  /// Whether it could hold chunks: private, readable, writable memory that is no file's.
  package var isPrivateAnonymousData: Bool { isReadable && isWritable && isPrivateAnonymous }
}
