// A directory that looks like /proc, with processes made up by a test.

import Glibc
import LinuxTarget
import TestKit

/// A fake proc file system in a temporary directory; our own id in it is 10.
final class FakeProc {
  private let directory: TemporaryDirectory
  let proc: ProcFileSystem

  init() throws {
    directory = try TemporaryDirectory()
    proc = ProcFileSystem(root: directory.path, ownPID: 10)
    symlink("10", directory.file("self"))
    try add(10, name: "tool")
  }

  /// Adds a process that is alive unless `state` says otherwise.
  func add(
    _ pid: Int32, name: String, group: Int32? = nil, state: String = "S", threads: [Int32]? = nil,
    namespaced: String? = nil, flags: Int = 0, status: String = ""
  ) throws {
    let folder = directory.file(String(pid))
    mkdir(folder, 0o755)
    try write(
      """
      Name:\t\(name)
      State:\t\(state) (some state)
      Tgid:\t\(group ?? pid)
      Pid:\t\(pid)
      PPid:\t1
      Uid:\t0\t0\t0\t0
      Gid:\t0\t0\t0\t0
      NSpid:\t\(namespaced ?? String(pid))
      Threads:\t\(threads?.count ?? 1)
      \(status)
      """, toFile: folder + "/status")
    let stat = stat(pid, name: name, state: state, flags: flags)
    try write(stat, toFile: folder + "/stat")
    try write(name + "\n", toFile: folder + "/comm")
    mkdir(folder + "/task", 0o755)
    for thread in threads ?? [pid] {
      mkdir(folder + "/task/\(thread)", 0o755)
      // Only the first thread can have ended while the process has not.
      let state = thread == pid ? state : "S"
      try write(
        self.stat(thread, name: name, state: state, flags: flags),
        toFile: folder + "/task/\(thread)/stat")
    }
  }

  /// Writes one file of a process.
  func write(_ pid: Int32, _ name: String, _ text: String) throws {
    try TestKit.write(text, toFile: directory.file("\(pid)/\(name)"))
  }

  /// Removes one file of a process.
  func remove(_ pid: Int32, _ name: String) {
    unlink(directory.file("\(pid)/\(name)"))
  }

  private func write(_ text: String, toFile path: String) throws {
    try TestKit.write(text, toFile: path)
  }

  private func stat(_ pid: Int32, name: String, state: String, flags: Int) -> String {
    var fields = [String](repeating: "0", count: 50)
    fields[0] = state
    fields[9 - 3] = String(flags)
    fields[22 - 3] = "777"
    return "\(pid) (\(name)) " + fields.joined(separator: " ") + "\n"
  }
}
