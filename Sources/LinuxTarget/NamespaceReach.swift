// What we may do in the user namespace of another process.

import CPtrace

#if canImport(Glibc)
  import Glibc
#endif

/// How far our rights reach into a user namespace (user_namespaces(7)).
package enum NamespaceReach: Hashable, Sendable {
  /// It is ours.
  case same
  /// It was made within ours: our capabilities count in it.
  case within
  /// We made it, or one around it, from ours: we have all capabilities in it.
  case owned
  /// It is not within ours: none of our capabilities counts.
  case outside
  /// It cannot be told.
  case unknown

  /// More than the kernel ever nests (32).
  private static let deepest = 40

  /// Finds out about the namespace of the process `pid`; ours is called `ours`, and our effective user is
  /// `user`.
  static func into(
    _ pid: Int32, from ours: String?, user: UInt32, proc: ProcFileSystem
  ) -> NamespaceReach {
    let path = proc.path(pid, "ns/user")
    guard let ours, let theirs = try? proc.link(path) else { return .unknown }
    if theirs == ours { return .same }
    guard var namespace = try? OwnedDescriptor(opening: path) else { return .unknown }
    for _ in 0..<deepest {
      let owner = cpt_namespace_owner(namespace.number)
      let parent = cpt_namespace_parent(namespace.number)
      if parent == -EPERM { return .outside }
      guard owner >= 0, parent >= 0 else {
        if parent >= 0 { close(parent) }
        return .unknown
      }
      namespace = OwnedDescriptor(adopting: parent)
      let name = try? proc.link(proc.path(proc.ownPID, "fd/\(parent)"))
      // The kernel asks so at each step outwards (cap_capable).
      if name == ours { return owner == Int64(user) ? .owned : .within }
    }
    return .unknown
  }
}
