// What is asked of an open file.

import Glibc
import LinuxTarget

extension OwnedDescriptor {
  /// What `fstat` says of the file, or the errno.
  func status() -> Result<FileStatus, Errno> {
    var raw = stat()
    guard unsafe fstat(number, &raw) == 0 else { return .failure(Errno(errno)) }
    return .success(FileStatus(raw))
  }

  /// Fills `bytes` from the file's `offset` on and returns how many leading bytes it filled: fewer
  /// than all at the file's end or where it cannot be read.
  func read(at offset: UInt64, into bytes: inout [UInt8]) -> Int {
    var filled = 0
    while filled < bytes.count {
      guard let position = off_t(exactly: offset &+ UInt64(filled)) else { break }
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe pread(
          number, buffer.baseAddress?.advanced(by: filled), buffer.count - filled, position)
      }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { break }
      filled += count
    }
    return filled
  }
}

/// An errno as an error.
struct Errno: Error, Hashable {
  var number: Int32

  init(_ number: Int32) {
    self.number = number
  }
}

/// The parts of `stat` that tell which file it is.
struct FileStatus: Hashable {
  var deviceMajor: UInt32
  var deviceMinor: UInt32
  var inode: UInt64
  var byteCount: UInt64
  var isRegular: Bool

  init(_ raw: stat) {
    // How glibc packs a device number: 12 + 20 bits of major, 8 + 24 bits of minor.
    let device = UInt64(raw.st_dev)
    deviceMajor = UInt32(truncatingIfNeeded: (device >> 8) & 0xfff | (device >> 32) & ~0xfff)
    deviceMinor = UInt32(truncatingIfNeeded: device & 0xff | (device >> 12) & ~0xff)
    inode = UInt64(raw.st_ino)
    byteCount = UInt64(max(0, raw.st_size))
    isRegular = raw.st_mode & S_IFMT == S_IFREG
  }

  /// What `stat` says of the file at `path`, or the errno.
  static func of(path: String) -> Result<FileStatus, Errno> {
    var raw = stat()
    guard unsafe fstatat(AT_FDCWD, path, &raw, 0) == 0 else { return .failure(Errno(errno)) }
    return .success(FileStatus(raw))
  }
}
