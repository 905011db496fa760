// Whether the control group of a process is frozen, as engines do to pause a container.

/// A frozen control group.
package struct Freezer: Hashable, Sendable {
  /// The version of its interface.
  ///
  /// In version 1 a frozen thread sleeps in the kernel and does not reach a ptrace stop before it is
  /// thawed; in version 2 it can be stopped and read as any other.
  package var version: ControlGroup.Version
  /// The directory of the group that was frozen: that of the process or an ancestor's.
  package var directory: String

  /// Makes a frozen group.
  package init(version: ControlGroup.Version, directory: String) {
    self.version = version
    self.directory = directory
  }

  /// Whether a stop would wait until it is thawed.
  package var preventsStops: Bool { version == .one }

  /// Finds the frozen control group that the process `pid` is in, nil if it is in none or none can be
  /// seen.
  ///
  /// A statement about one moment; it costs a few small reads. `files` is where mount points are looked
  /// up, a directory other than the root only in tests.
  package static func state(
    of pid: Int32, proc: ProcFileSystem = ProcFileSystem(), files: String = ""
  ) -> Freezer? {
    for group in ControlGroup.all(of: pid, limiting: "freezer", proc: proc, files: files) {
      func holds(_ directory: String, _ file: String, _ values: [String]) -> Bool {
        proc.line("\(directory)/\(file)").map(values.contains) ?? false
      }
      // Who is frozen with an ancestor does not say so of itself.
      let frozen: String?
      switch group.version {
      case .one:
        frozen =
          group.directories.first { holds($0, "freezer.self_freezing", ["1"]) }
          ?? group.directories.first.flatMap { own in
            holds(own, "freezer.state", ["FROZEN", "FREEZING"])
              || holds(own, "freezer.parent_freezing", ["1"]) ? own : nil
          }
      case .two:
        frozen =
          group.directories.first { holds($0, "cgroup.freeze", ["1"]) }
          ?? group.directories.first.flatMap { own in
            let events =
              (try? proc.text(own + "/cgroup.events", limit: ProcFileSystem.longestGroupFile)) ?? ""
            return MemoryHeadroom.number(of: "frozen", in: events) == 1 ? own : nil
          }
      }
      if let frozen { return Freezer(version: group.version, directory: frozen) }
    }
    return nil
  }
}
