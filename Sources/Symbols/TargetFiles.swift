// Opening the files that a process has mapped, whatever mount namespace it lives in.

import Glibc
package import HeapModel
package import LinuxTarget

/// The files of one target process.
package struct TargetFiles: Sendable {
  private let processDirectory: String
  /// Where the target's root is, as the paths in its maps begin if it changed its root and is in another mount
  /// namespace than we; empty if it has not, or we may not know.
  private let changedRoot: String

  /// A file of the target, opened for reading.
  package struct OpenedFile: ~Copyable {
    /// The open file.
    package let descriptor: OwnedDescriptor
    /// The path that led to it, through the kernel's links or by its name.
    package let path: String
  }

  /// A way to the file behind a mapping.
  private struct Way {
    var path: String
    /// Whether the kernel itself resolves it within the target, so that an equal inode on another
    /// device number can only be the same file.
    var isTargets: Bool
  }

  /// The files of process `pid` as seen through the proc file system at `procRoot`.
  package init(pid: Int32, procRoot: String = "/proc") {
    processDirectory = "\(procRoot)/\(pid)"
    let root = (try? ProcFileSystem(root: procRoot).link("\(processDirectory)/root")) ?? "/"
    changedRoot = root == "/" ? "" : root
  }

  /// Opens the file behind `mapping`.
  ///
  /// Tried in this order: the kernel's own link for the mapping, which also leads to deleted files
  /// but needs more privilege; the path under the target's root, without that root's own path if it begins
  /// with it; the path under ours, for a target that changed its root; the target's executable. What is
  /// found must have the mapping's device and inode. On overlayfs and btrfs the device number in the maps
  /// is not that of `stat`, so an equal inode is enough for a way that the kernel resolves within the
  /// target.
  ///
  /// - Throws: `SymbolError.noWayToFile`.
  package func open(_ mapping: MemoryMapping) throws(SymbolError) -> OpenedFile {
    var attempts: [OpenAttempt] = []
    guard mapping.inode != 0 else { throw .noWayToFile(name: mapping.name, attempts: attempts) }
    for way in ways(to: mapping) {
      switch Self.check(FileStatus.of(path: way.path), against: mapping, way) {
      case .some(let outcome):
        attempts.append(OpenAttempt(path: way.path, outcome: outcome))
        continue
      case nil:
        break
      }
      let number = Self.open(way.path)
      guard number >= 0 else {
        attempts.append(OpenAttempt(path: way.path, outcome: .refused(errno: -number)))
        continue
      }
      let descriptor = OwnedDescriptor(adopting: number)
      if let outcome = Self.check(descriptor.status(), against: mapping, way) {
        attempts.append(OpenAttempt(path: way.path, outcome: outcome))
        continue
      }
      return OpenedFile(descriptor: descriptor, path: way.path)
    }
    throw .noWayToFile(name: mapping.name, attempts: attempts)
  }

  /// Opens the regular file to which one of the ways led although it is not the mapped one, nil if it is
  /// gone.
  ///
  /// The executable is no copy of anything that is mapped besides it.
  func openOther(_ attempt: OpenAttempt) -> OpenedFile? {
    guard case .otherFile = attempt.outcome, attempt.path != "\(processDirectory)/exe" else {
      return nil
    }
    let number = Self.open(attempt.path)
    guard number >= 0 else { return nil }
    let descriptor = OwnedDescriptor(adopting: number)
    guard case .success(let status) = descriptor.status(), status.isRegular else { return nil }
    return OpenedFile(descriptor: descriptor, path: attempt.path)
  }

  /// Opens a file for reading, and returns its number or minus the errno.
  ///
  /// Not blocking and not a controlling terminal, should the file have been replaced meanwhile.
  private static func open(_ path: String) -> Int32 {
    let number = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    return number >= 0 ? number : -errno
  }

  /// Which file the target executes, nil if we may not know.
  func executable() -> FileStatus? {
    try? FileStatus.of(path: "\(processDirectory)/exe").get()
  }

  private func ways(to mapping: MemoryMapping) -> [Way] {
    let start = String(mapping.range.lowerBound.bits, radix: 16)
    let end = String(mapping.range.upperBound.bits, radix: 16)
    var ways = [Way(path: "\(processDirectory)/map_files/\(start)-\(end)", isTargets: true)]
    if !changedRoot.isEmpty, mapping.name.hasPrefix(changedRoot + "/") {
      let below = mapping.name.dropFirst(changedRoot.count)
      ways.append(Way(path: "\(processDirectory)/root\(below)", isTargets: true))
    }
    if mapping.name.hasPrefix("/") {
      ways.append(Way(path: "\(processDirectory)/root\(mapping.name)", isTargets: true))
      ways.append(Way(path: mapping.name, isTargets: false))
    }
    ways.append(Way(path: "\(processDirectory)/exe", isTargets: true))
    return ways
  }

  /// Why `status` is not that of the mapped file; nil if it is.
  private static func check(
    _ status: Result<FileStatus, Errno>, against mapping: MemoryMapping, _ way: Way
  ) -> OpenAttempt.Outcome? {
    switch status {
    case .failure(let error):
      return .refused(errno: error.number)
    case .success(let status):
      guard status.isRegular else { return .notRegular }
      let isSameDevice =
        status.deviceMajor == mapping.deviceMajor && status.deviceMinor == mapping.deviceMinor
      guard status.inode == mapping.inode, isSameDevice || way.isTargets else {
        return .otherFile(
          deviceMajor: status.deviceMajor, deviceMinor: status.deviceMinor, inode: status.inode)
      }
      return nil
    }
  }
}
