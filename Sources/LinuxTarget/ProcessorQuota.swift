// How much of the processors a process may use before its control group has it wait.

/// The tightest limit on processor time that a process's control groups have.
///
/// A process that has used it up stands still until the next period begins, also while it keeps
/// another one stopped.
package struct ProcessorQuota: Hashable, Sendable {
  /// What all processes of the group may use in a period together.
  package var time: Duration
  /// How long a period is.
  package var period: Duration
  /// The directory of the group, nil if it is no group's limit but one that the user has set.
  package var cgroup: String?

  /// Makes a quota.
  package init(time: Duration, period: Duration, cgroup: String? = nil) {
    self.time = time
    self.period = period
    self.cgroup = cgroup
  }

  /// Which share of one processor it is; above 1 for more than one.
  package var processors: Double { time / period }

  /// Finds out what the process `pid` may use; nil if none of its groups that can be seen has a limit.
  ///
  /// cgroup v2's `cpu.max` and v1's `cpu.cfs_quota_us` and `cpu.cfs_period_us`, in microseconds.
  /// `files` is where mount points are looked up.
  package static func of(
    _ pid: Int32, proc: ProcFileSystem = ProcFileSystem(), files: String = ""
  ) -> ProcessorQuota? {
    var tightest: ProcessorQuota?
    for group in ControlGroup.all(of: pid, limiting: "cpu", proc: proc, files: files) {
      for directory in group.directories {
        guard let quota = quota(in: directory, group.version, proc: proc) else { continue }
        if quota.processors < tightest?.processors ?? .infinity { tightest = quota }
      }
    }
    return tightest
  }

  private static func quota(
    in directory: String, _ version: ControlGroup.Version, proc: ProcFileSystem
  ) -> ProcessorQuota? {
    let time: UInt64?
    let period: UInt64?
    switch version {
    case .one:
      // Without a limit it is -1, which is no such number.
      time = proc.limit(directory + "/cpu.cfs_quota_us")
      period = proc.limit(directory + "/cpu.cfs_period_us")
    case .two:
      let fields = (proc.line(directory + "/cpu.max") ?? "").split(separator: " ")
      guard fields.count == 2 else { return nil }
      // Without a limit it is the word max.
      time = UInt64(fields[0])
      period = UInt64(fields[1])
    }
    // The kernel takes 1 ms to 1 s for a period, and at least 1 ms of time.
    guard let time, let period, time > 0, time < 1 << 40, (1...1 << 30).contains(period) else {
      return nil
    }
    return ProcessorQuota(
      time: .microseconds(Int64(time)), period: .microseconds(Int64(period)), cgroup: directory)
  }
}
