// A library whose file is gone: what is said of it, and why it may not be read.

import GlibcHeap
import Symbols

extension FileSubstitute {
  /// What became of the file, and what was read instead.
  var text: String {
    let gone = isDeleted ? "was deleted" : "cannot be opened"
    return switch kind {
    case .memory: "\(gone); read from the process's memory"
    case .sameBuild(let path): "\(gone); \(path), with the same build id, was read"
    }
  }
}

extension Failure {
  /// The file of the target's library at `path` is gone, and `failure` is why its memory alone does not
  /// show its malloc: with threads inside malloc it may the next time.
  init(lostFile path: String, _ substitute: FileSubstitute, _ failure: Failure) {
    self.init(
      code: .notPermitted,
      fact: "the file of the target's libc, \(path), "
        + (substitute.isDeleted ? "was deleted and cannot be opened: " : "cannot be opened: ")
        + substitute.reason,
      circumstances: ["in the process's memory alone: \(failure.fact)"],
      hints: Self.lostFileHints, isTransient: true)
  }

  /// What opens a file that no path leads to any more.
  static let lostFileHints = [
    "a deleted file opens through /proc/PID/map_files: in a container add CAP_CHECKPOINT_RESTORE "
      + "(Linux 5.9, --cap-add CHECKPOINT_RESTORE) or CAP_SYS_ADMIN",
    "or run malloscope as root on the node, outside of containers",
    "or name a directory with the library's debug file (package libc6-dbg or glibc-debuginfo) "
      + "with --debuginfo",
  ]
}
