// Why a process cannot be looked at, before any question of permission to attach.

package import HeapModel

#if canImport(Glibc)
  import Glibc
#endif

/// Why `/proc` did not answer, or answered that the process is none that can be attached to.
package enum TargetError: Error, Equatable, Sendable {
  /// There is no `/proc` at `root`.
  case procNotMounted(root: String, errno: Int32)
  /// The `/proc` at `root` numbers processes otherwise than the kernel does for us.
  case procOfAnotherNamespace(root: String, ownPID: Int32, pidThere: String)
  /// No process or thread has this number.
  case noSuchProcess(pid: Int32)
  /// There is such a process, but this `/proc` hides it.
  case hidden(pid: Int32, hiding: ProcHiding)
  /// The process ended while it was being looked at.
  case ended(pid: Int32)
  /// It is this process.
  case ourselves(pid: Int32)
  /// It is a thread of the kernel.
  case kernelThread(pid: Int32, name: String)
  /// It has ended and waits for its parent to fetch its status.
  case zombie(pid: Int32, name: String, parent: Int32)
  /// Its program is a 32-bit one.
  case thirtyTwoBit(pid: Int32, executable: String)
  /// A file could not be opened or read.
  case unreadable(path: String, errno: Int32)
  /// A file did not hold what the kernel documents.
  case malformed(path: String, expected: String)
  /// A file went on beyond what we are ready to hold.
  case tooLarge(path: String, limit: Int)
  /// Residency was asked for more pages than we are ready to hold.
  case tooManyPages(range: AddressRange, limit: Int)

  /// One line: what was attempted, on what, what was observed.
  package var fact: String {
    switch self {
    case .procNotMounted(let root, let errno):
      "cannot read \(root): \(errorText(errno)); it must be a mounted proc file system"
    case .procOfAnotherNamespace(let root, let own, let there):
      "\(root) belongs to another PID namespace: it calls this tool \(there), its own id is \(own)"
    case .noSuchProcess(let pid):
      "cannot find process \(pid) in this PID namespace"
    case .hidden(let pid, let hiding):
      hiding.manner == .noAccess
        ? "process \(pid) exists but /proc gives no access to it (mounted with \(hiding.option))"
        : "process \(pid) exists but /proc hides it (mounted with \(hiding.option))"
    case .ended(let pid):
      "process \(pid) ended while it was being looked at"
    case .ourselves(let pid):
      "process \(pid) is this tool itself"
    case .kernelThread(let pid, let name):
      "process \(pid) (\(name)) is a kernel thread and has no heap"
    case .zombie(let pid, let name, let parent):
      "process \(pid) (\(name)) has ended and waits for its parent \(parent): its memory is gone"
    case .thirtyTwoBit(let pid, let executable):
      "process \(pid) runs a 32-bit program (\(executable)); only 64-bit ones are understood"
    case .unreadable(let path, let errno):
      "cannot read \(path): \(errorText(errno))"
    case .malformed(let path, let expected):
      "cannot understand \(path): expected \(expected)"
    case .tooLarge(let path, let limit):
      "cannot read \(path): longer than \(limit) bytes"
    case .tooManyPages(let range, let limit):
      "cannot look up the pages of \(range): more than \(limit) in all"
    }
  }

  /// Whether a file was not there: a process that ends takes its files with it, in two ways.
  var meansGone: Bool {
    guard case .unreadable(_, let number) = self else { return false }
    return number == ENOENT || number == ESRCH
  }

  /// Whether a file was there and may not be read.
  package var isRefusal: Bool {
    guard case .unreadable(_, let number) = self else { return false }
    return number == EACCES || number == EPERM
  }

  /// At most three actions that may help.
  package var hints: [String] {
    switch self {
    case .procNotMounted:
      ["mount it: mount -t proc proc /proc"]
    case .procOfAnotherNamespace:
      ["mount the /proc of this namespace (unshare --mount-proc), or run outside of it"]
    case .noSuchProcess:
      [
        "the number may be a host PID: share the target's PID namespace "
          + "(--pid=container:NAME, kubectl debug --target=CONTAINER) or run on the node",
        "list what can be seen with: ls /proc",
      ]
    case .hidden(let pid, let hiding):
      Self.hints(pid, hiding)
    case .kernelThread, .zombie, .ourselves, .thirtyTwoBit, .ended, .unreadable, .malformed,
      .tooLarge, .tooManyPages:
      []
    }
  }

  private static func hints(_ pid: Int32, _ hiding: ProcHiding) -> [String] {
    var hints = ["run it as root with CAP_SYS_PTRACE (sudo), or as the user of that process"]
    // proc(5): the group is not spared where tracing decides.
    if let group = hiding.group, hiding.manner != .notTraceable {
      hints.append("or with gid \(group), the mount's gid=, which sees every process")
    }
    hints.append(
      "or with a /proc of its own, as root: unshare --mount sh -c "
        + "'mount -t proc proc /proc && malloscope \(pid)'")
    return hints
  }
}

/// What an errno means, in the C library's words, with its number.
func errorText(_ errno: Int32) -> String {
  guard let text = unsafe strerror(errno) else { return "errno \(errno)" }
  return unsafe "\(String(cString: text)) (errno \(errno))"
}
