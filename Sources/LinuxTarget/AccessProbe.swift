// Which ways into a process the kernel opens to us, tried without attaching.

import CPtrace

#if canImport(Glibc)
  import Glibc
#endif

/// What opening each way gave: an errno, 0 if it is open.
///
/// The kernel asks the same for opening a process's memory file as for attaching to it, but for tracers:
/// of those only attaching minds.
package struct AccessProbe: Hashable, Sendable {
  /// `/proc/PID/mem`.
  package var memoryFile: Int32
  /// `process_vm_readv`.
  package var copying: Int32
  /// `/proc/PID/root`, below which its files are.
  package var root: Int32

  /// Tries them on `pid`.
  package init(_ pid: Int32, proc: ProcFileSystem = ProcFileSystem()) {
    memoryFile = Self.attempt(proc.path(pid, "mem"))
    root = Self.attempt(proc.path(pid, "root") + "/")
    // Nothing is mapped at 8: what we may copy there ends with EFAULT.
    var word: UInt64 = 0
    let result = unsafe cpt_read_memory(pid, 8, &word, 8)
    copying = result >= 0 || result == -Int64(EFAULT) ? 0 : Int32(-result)
  }

  /// Whether its memory can be read in one way at least.
  package var isReadable: Bool { memoryFile == 0 || copying == 0 }

  /// What it says, way by way.
  package var checks: [AttachCheck] {
    let both =
      switch (memoryFile, copying) {
      case (0, 0): AttachCheck(.met, "memory", "its memory can be read")
      case (let refused, 0):
        AttachCheck(
          .noted, "memory",
          "its memory file cannot be opened (\(errorText(refused))), though it can be attached to; "
            + "process_vm_readv is used instead")
      case (0, let refused):
        AttachCheck(
          .noted, "memory",
          "process_vm_readv is refused (\(errorText(refused))); its memory file is used instead")
      case (let refused, _):
        AttachCheck(.failed, "memory", "its memory cannot be read: \(errorText(refused))")
      }
    return [
      both,
      root == 0
        ? AttachCheck(.met, "files", "its files can be opened through /proc/PID/root")
        : AttachCheck(
          .noted, "files",
          "its files cannot be opened through /proc/PID/root (\(errorText(root)))"),
    ]
  }

  private static func attempt(_ path: String) -> Int32 {
    let result = unsafe cpt_open(path)
    if result < 0 { return -result }
    close(result)
    return 0
  }
}
