// A /proc that keeps the processes of others to itself.

#if canImport(Glibc)
  import Glibc
#endif

/// How a proc file system hides processes, by the option `hidepid` that it is mounted with (proc(5)).
///
/// It spares those who may trace the process, as root may.
package struct ProcHiding: Hashable, Sendable {
  /// What is hidden.
  package enum Manner: Hashable, Sendable {
    /// The files of others' processes, not that there are such processes.
    case noAccess
    /// The processes of others.
    case invisible
    /// The processes that one may not trace.
    case notTraceable
  }

  /// What is hidden.
  package var manner: Manner
  /// The option as the kernel writes it: a number before Linux 5.8.
  package var option: String
  /// The group that sees everything nevertheless, nil if there is none but root's.
  package var group: UInt32?

  /// Reads the options of a mounted proc file system, nil if they hide nothing.
  package init?(options: [String]) {
    func value(_ name: String) -> Substring? {
      options.last { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
    }
    guard let hidden = value("hidepid") else { return nil }
    switch hidden {
    case "1", "noaccess": manner = .noAccess
    case "2", "invisible": manner = .invisible
    case "4", "ptraceable": manner = .notTraceable
    default: return nil
    }
    option = "hidepid=\(hidden)"
    group = value("gid").flatMap { UInt32($0) }.flatMap { $0 == 0 ? nil : $0 }
  }
}

extension ProcFileSystem {
  /// How it hides processes, nil if it does not.
  package var hiding: ProcHiding? { ProcHiding(options: mountOptions) }

  /// Whether it has nothing but processes (`subset=pid`): no limits and no memory of the machine.
  package var hasOnlyProcesses: Bool { mountOptions.contains("subset=pid") }

  /// Whether, and how, it hides the process `pid`, so that reading a file of it failed with `error`;
  /// nil if there is no such process, or it is not hidden.
  func hiding(_ pid: Int32, behind error: TargetError) -> ProcHiding? {
    guard case .unreadable(_, let number) = error,
      [ENOENT, ESRCH, EPERM, EACCES].contains(number), let hiding
    else { return nil }
    // kill(2): signal 0 asks for existence and permission, and is not sent.
    return kill(pid, 0) == 0 || errno == EPERM ? hiding : nil
  }

  private var mountOptions: [String] {
    let text = (try? text(path(ownPID, "mountinfo"))) ?? ""
    // The last one covers those before it.
    return Mount.parse(text, types: ["proc"]).last { $0.mountPoint == root }?.options ?? []
  }
}
