// Where the control groups of a process are as directories, of either version and in any namespace.

/// A directory of a control group that a process is in, with those of its ancestors.
package struct ControlGroup: Hashable, Sendable {
  /// Which version of the interface its files follow.
  package enum Version: Sendable {
    /// A hierarchy for some controllers.
    case one
    /// The unified hierarchy.
    case two
  }

  /// Which files to expect.
  var version: Version
  /// Its own directory first, then its ancestors' up to the one that is mounted.
  var directories: [String]

  /// The groups of `pid` that may limit what `controller` counts: of version 1, version 2 or both.
  ///
  /// A group is looked for below our own mounts, and else below the target's: with groups of their own
  /// namespaces, each sees only what is mounted for itself. What cannot be seen is left out. `files` is
  /// where the mount points are looked up, a directory other than the root only in tests.
  static func all(
    of pid: Int32, limiting controller: String, proc: ProcFileSystem, files: String
  ) -> [ControlGroup] {
    guard let text = try? proc.text(proc.path(pid, "cgroup")) else { return [] }
    let views = [(proc.ownPID, files), (pid, proc.path(pid, "root"))]
    // A node has thousands of mounts: the target's are read only if ours do not show its groups.
    var known: [Int32: [ControlGroupMount]] = [:]
    func mounts(seenBy viewer: Int32) -> [ControlGroupMount] {
      if let mounts = known[viewer] { return mounts }
      let text = (try? proc.text(proc.path(viewer, "mountinfo"))) ?? ""
      let mounts = ControlGroupMount.parse(text)
      known[viewer] = mounts
      return mounts
    }
    return ControlGroupMembership.parse(text).compactMap { membership in
      let isUnified = membership.controllers.isEmpty
      guard isUnified || membership.controllers.contains(controller) else { return nil }
      for (viewer, root) in views {
        let mounts = mounts(seenBy: viewer).filter {
          isUnified ? $0.isUnified : !$0.isUnified && $0.options.contains(controller)
        }
        if let directories = mounts.lazy.compactMap({ $0.directories(of: membership.path) })
          .max(by: { $0.count < $1.count })
        {
          return ControlGroup(
            version: isUnified ? .two : .one, directories: directories.map { root + $0 })
        }
      }
      return nil
    }
  }
}

/// One line of `/proc/PID/cgroup`.
package struct ControlGroupMembership: Hashable, Sendable {
  /// The controllers of a hierarchy of version 1; empty for version 2's.
  package var controllers: [String]
  /// The group, as seen from our cgroup namespace: it begins with `/..` if it is outside of that.
  package var path: String

  /// Reads the lines; what is none is passed over.
  package static func parse(_ text: String) -> [ControlGroupMembership] {
    text.split(separator: "\n").compactMap { line in
      // The path may hold colons itself.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3, fields[2].hasPrefix("/"), let number = Int(fields[0]) else {
        return nil
      }
      let controllers = fields[1].split(separator: ",").map(String.init)
      // A hierarchy without controllers that is not number 0 does not exist.
      guard controllers.isEmpty == (number == 0) else { return nil }
      return ControlGroupMembership(controllers: controllers, path: String(fields[2]))
    }
  }
}

/// A mounted control group file system: a line of `/proc/PID/mountinfo`.
package struct ControlGroupMount: Hashable, Sendable {
  /// Whether it is of version 2.
  package var isUnified: Bool
  /// The options of the file system, with a version-1 hierarchy's controllers among them.
  package var options: [String]
  /// The group that is mounted, as seen from our cgroup namespace.
  package var root: String
  /// Where it is mounted.
  package var mountPoint: String

  /// Finds the mounts; other file systems, and lines that are none, are passed over.
  package static func parse(_ text: String) -> [ControlGroupMount] {
    Mount.parse(text, types: ["cgroup", "cgroup2"]).map { mount in
      ControlGroupMount(
        isUnified: mount.type == "cgroup2", options: mount.options, root: mount.root,
        mountPoint: mount.mountPoint)
    }
  }

  /// The directories of the group at `path` and of its ancestors that this mount shows, the innermost
  /// first; nil if the group is not below what is mounted.
  package func directories(of path: String) -> [String]? {
    let mounted = root.split(separator: "/")
    let group = path.split(separator: "/")
    guard group.starts(with: mounted) else { return nil }
    var below = group.dropFirst(mounted.count)
    // Outside of our namespace, to where no directory leads.
    guard !below.contains("..") else { return nil }
    var directories: [String] = []
    while true {
      directories.append(
        ([mountPoint == "/" ? "" : mountPoint] + below.map(String.init))
          .joined(separator: "/"))
      if below.popLast() == nil { return directories }
    }
  }
}
