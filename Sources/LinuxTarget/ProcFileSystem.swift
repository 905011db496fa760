// Reading the files of /proc, or of a directory that a test made to look like it.

import CPtrace

#if canImport(Glibc)
  import Glibc
#endif

/// A proc file system and who we are in it.
package struct ProcFileSystem: Hashable, Sendable {
  /// The longest file that is read: 2 million mappings with long names.
  package static let longestFile = 512 << 20

  /// Where it is mounted.
  package let root: String
  /// Our own process id.
  package let ownPID: Int32

  /// Takes the proc file system at `root`; `ownPID` differs from our true id only in tests.
  package init(root: String = "/proc", ownPID: Int32 = getpid()) {
    self.root = root
    self.ownPID = ownPID
  }

  /// The path of a process's file.
  package func path(_ pid: Int32, _ name: String) -> String { "\(root)/\(pid)/\(name)" }

  /// The longest file of a control group, and the longest line: what is there may be the target's own.
  package static let longestGroupFile = 64 << 10

  /// Reads the whole of a file of at most `limit` bytes.
  package func bytes(
    _ path: String, limit: Int = longestFile
  ) throws(TargetError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try read(path, into: &buffer, limit: limit)
    buffer.removeLast(buffer.count - count)
    return buffer
  }

  /// Reads the whole of a file into the front of `buffer`, which grows if it must, and returns the
  /// number of bytes; only regular files are read, since others need not end.
  package func read(
    _ path: String, into buffer: inout [UInt8], limit: Int = longestFile
  ) throws(TargetError) -> Int {
    let file = try OwnedDescriptor(opening: path)
    guard file.isRegularFile else { throw .malformed(path: path, expected: "a regular file") }
    var filled = 0
    while true {
      if filled == buffer.count {
        guard filled < limit else { throw .tooLarge(path: path, limit: limit) }
        buffer += [UInt8](repeating: 0, count: max(4096, filled))
      }
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
        return unsafe cpt_read(file.number, rest.baseAddress, rest.count)
      }
      if count < 0 { throw .unreadable(path: path, errno: Int32(-count)) }
      if count == 0 { return filled }
      filled += Int(count)
    }
  }

  /// Reads the whole of a file as text; bytes that are not UTF-8 are replaced.
  package func text(_ path: String, limit: Int = longestFile) throws(TargetError) -> String {
    String(decoding: try bytes(path, limit: limit), as: UTF8.self)
  }

  /// The text of a file of one line without its end, or nil if it cannot be read.
  func line(_ path: String) -> String? {
    guard let text = try? text(path, limit: Self.longestGroupFile) else { return nil }
    return String(text.prefix { $0 != "\n" && $0 != "\0" })
  }

  /// What a symbolic link says.
  package func link(_ path: String) throws(TargetError) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
      unsafe cpt_read_link(
        path, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    if count < 0 { throw .unreadable(path: path, errno: Int32(-count)) }
    return String(decoding: buffer.prefix(Int(count)), as: UTF8.self)
  }

  /// The entries of a directory that are numbers: processes, or the threads of one.
  package func numbers(in path: String) throws(TargetError) -> [Int32] {
    let directory = try OwnedDescriptor(opening: path)
    var numbers = [Int32](repeating: 0, count: 256)
    let count = try directory.listNumbers(into: &numbers, path: path)
    numbers.removeLast(numbers.count - count)
    return numbers
  }

  /// The uid that owns a file, or nil if it cannot be told.
  func owner(of path: String) -> UInt32? {
    UInt32(exactly: unsafe cpt_owner(path))
  }
}

/// A file descriptor that is closed with its owner.
package struct OwnedDescriptor: ~Copyable, Sendable {
  /// The descriptor.
  package let number: Int32

  /// Opens a file or a directory for reading.
  package init(opening path: String) throws(TargetError) {
    let result = unsafe cpt_open(path)
    if result < 0 { throw .unreadable(path: path, errno: -result) }
    number = result
  }

  /// Takes over `number`, which must be open and no one else's.
  package init(adopting number: Int32) {
    self.number = number
  }

  deinit {
    close(number)
  }

  /// Whether it is a file that ends.
  var isRegularFile: Bool {
    var status = stat()
    return unsafe fstat(number, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Lists the numbers in a directory into the front of `buffer`, which grows only if they do not
  /// fit, and returns how many there are.
  package func listNumbers(
    into buffer: inout [Int32], path: @autoclosure () -> String
  ) throws(TargetError) -> Int {
    // Each round doubles the room, so the number of tasks that the kernel allows bounds them.
    while true {
      let found = unsafe buffer.withUnsafeMutableBufferPointer { room in
        unsafe cpt_list_numbers(number, room.baseAddress, room.count)
      }
      if found < 0 { throw .unreadable(path: path(), errno: Int32(-found)) }
      if found <= buffer.count { return Int(found) }
      buffer += [Int32](repeating: 0, count: Int(found))
    }
  }
}
