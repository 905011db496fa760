// How much more a process can have before a limit ends it: looked at before anything is allocated.

/// How many bytes a process may still allocate before the kernel ends it, or another in its place.
///
/// A statement about one moment, and an estimate: others allocate too. Reading it makes the kernel add
/// up its counters, so it belongs before a stop, not into one.
package struct MemoryHeadroom: Hashable, Sendable {
  /// What would be hit first.
  package enum Bound: Hashable, Sendable {
    /// The machine's memory.
    case machine
    /// A control group's limit; `path` is the group's directory.
    case cgroup(path: String)
  }

  /// What can be had, in bytes.
  package var available: UInt64
  /// What bounds it.
  package var bound: Bound
  /// Whether the kernel ends all processes of a control group, not one, if a limit is hit
  /// (`memory.oom.group`).
  package var endsWholeGroup: Bool

  /// Makes a headroom.
  package init(available: UInt64, bound: Bound, endsWholeGroup: Bool = false) {
    self.available = available
    self.bound = bound
    self.endsWholeGroup = endsWholeGroup
  }

  /// Finds out what the process `pid`, which may be ourselves, can still have.
  ///
  /// What counts: the limits of its control groups and of all their ancestors that can be seen, in
  /// either version, and the machine's `MemAvailable`. Free swap does not count. A limit that only slows
  /// down (`memory.high`) is none. Pages of files that are not in active use make room. What cannot be
  /// read does not bound; nil if nothing can. `files` is where mount points are looked up.
  package static func of(
    _ pid: Int32, proc: ProcFileSystem = ProcFileSystem(), files: String = ""
  ) -> MemoryHeadroom? {
    var endsWholeGroup = false
    var least = (try? proc.text("\(proc.root)/meminfo")).flatMap(availableMemory)
      .map { MemoryHeadroom(available: $0, bound: .machine) }
    for group in ControlGroup.all(of: pid, limiting: "memory", proc: proc, files: files) {
      for (index, directory) in group.directories.enumerated() {
        if index > 0, group.version == .one,
          proc.line(directory + "/memory.use_hierarchy") == "0"
        {
          // What children have is not counted here, nor further up.
          break
        }
        if proc.line(directory + "/memory.oom.group") == "1" { endsWholeGroup = true }
        guard let available = available(in: directory, group.version, proc: proc) else { continue }
        if available < least?.available ?? .max {
          least = MemoryHeadroom(available: available, bound: .cgroup(path: directory))
        }
      }
    }
    least?.endsWholeGroup = endsWholeGroup
    return least
  }

  /// What `/proc/meminfo` calls available, in bytes; nil before Linux 3.14.
  static func availableMemory(_ text: String) -> UInt64? {
    number(of: "MemAvailable:", in: text).flatMap { kibibytes in
      let (bytes, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
      return overflow ? nil : bytes
    }
  }

  /// The number that follows `key` at the beginning of a line.
  static func number(of key: String, in text: String) -> UInt64? {
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count >= 2, fields[0] == key { return UInt64(fields[1]) }
    }
    return nil
  }

  /// What is left of the limits of one group, nil if it has none.
  private static func available(
    in directory: String, _ version: ControlGroup.Version, proc: ProcFileSystem
  ) -> UInt64? {
    func value(_ name: String) -> UInt64? { proc.limit("\(directory)/\(name)") }
    var left: UInt64?
    func bound(_ limit: UInt64?, _ usage: UInt64?) {
      guard let limit, let usage else { return }
      left = min(left ?? .max, limit - min(limit, usage))
    }
    let reclaimable: String
    switch version {
    case .one:
      bound(value("memory.limit_in_bytes"), value("memory.usage_in_bytes"))
      // Memory and swap together, where the kernel counts that.
      bound(value("memory.memsw.limit_in_bytes"), value("memory.memsw.usage_in_bytes"))
      reclaimable = "total_inactive_file"
    case .two:
      bound(value("memory.max"), value("memory.current"))
      reclaimable = "inactive_file"
    }
    guard let left else { return nil }
    let statistics =
      (try? proc.text(directory + "/memory.stat", limit: ProcFileSystem.longestGroupFile)) ?? ""
    let (sum, overflow) = left.addingReportingOverflow(
      number(of: reclaimable, in: statistics) ?? 0)
    return overflow ? .max : sum
  }
}

/// How many processes and threads a process may still start before the limit of a control group.
package struct TaskHeadroom: Hashable, Sendable {
  /// How many more.
  package var available: UInt64
  /// The limit that would be hit first.
  package var limit: UInt64
  /// The directory of the group whose limit that is.
  package var cgroup: String

  /// Makes a headroom.
  package init(available: UInt64, limit: UInt64, cgroup: String) {
    self.available = available
    self.limit = limit
    self.cgroup = cgroup
  }

  /// Finds out how many more tasks the process `pid` may have; nil if none of its groups that can be
  /// seen has a limit.
  ///
  /// A clone counts as one task. Its user's own limit (setrlimit(2), RLIMIT_NPROC) is another matter.
  package static func of(
    _ pid: Int32, proc: ProcFileSystem = ProcFileSystem(), files: String = ""
  ) -> TaskHeadroom? {
    var least: TaskHeadroom?
    for group in ControlGroup.all(of: pid, limiting: "pids", proc: proc, files: files) {
      for directory in group.directories {
        guard let limit = proc.limit(directory + "/pids.max"),
          let current = proc.limit(directory + "/pids.current")
        else { continue }
        let available = limit - min(limit, current)
        if available < least?.available ?? .max {
          least = TaskHeadroom(available: available, limit: limit, cgroup: directory)
        }
      }
    }
    return least
  }
}

extension ProcFileSystem {
  /// The number in a file of a control group, nil if it cannot be read or is no limit: version 2 writes
  /// `max`, version 1 a number of pages that no machine has.
  func limit(_ path: String) -> UInt64? {
    guard let line = line(path), let value = UInt64(line), value < 1 << 62 else { return nil }
    return value
  }
}
