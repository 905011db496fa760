// What the kernel counts of a process's memory, and of its control group's.

package import HeapModel

#if canImport(Glibc)
  import Glibc
#endif

extension LinuxProcess {
  /// What it has of memory now.
  ///
  /// - Throws: `TargetError.ended`, or what reading its status throws.
  package func memory(files: String = "") throws(TargetError) -> ProcessMemory {
    // The kernel tells nothing of the memory of a thread that has ended.
    let path = proc.path(memoryID, "status")
    let text: String
    do {
      text = try proc.text(path)
    } catch {
      throw whileAlive(error)
    }
    let figures = ProcessStatus(parsing: text)?.memory
    return ProcessMemory(
      residentBytes: figures?.resident, anonymousBytes: figures?.anonymous,
      swappedBytes: figures?.swapped,
      group: GroupMemory.of(pid, proc: proc, files: files), age: age)
  }

  /// How long ago it was started, nil if that cannot be told.
  private var age: Duration? {
    // proc(5): starttime counts from the machine's start, of which CLOCK_BOOTTIME tells the age.
    var now = timespec()
    let ticksPerSecond = sysconf(Int32(_SC_CLK_TCK))
    guard ticksPerSecond > 0, unsafe clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return nil }
    let seconds =
      Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
      - Double(startTime) / Double(ticksPerSecond)
    return seconds.isFinite && seconds >= 0 ? .seconds(seconds) : nil
  }
}

extension GroupMemory {
  /// The figures of the control group that limits `pid` most, or of the innermost that is accounted
  /// for if none has a limit; nil without any.
  static func of(_ pid: Int32, proc: ProcFileSystem, files: String) -> GroupMemory? {
    var innermost: GroupMemory?
    var tightest: (left: UInt64, figures: GroupMemory)?
    for group in ControlGroup.all(of: pid, limiting: "memory", proc: proc, files: files) {
      let (usage, limit) =
        group.version == .one
        ? ("memory.usage_in_bytes", "memory.limit_in_bytes") : ("memory.current", "memory.max")
      for directory in group.directories {
        guard let used = proc.limit("\(directory)/\(usage)") else { continue }
        let figures = GroupMemory(
          usedBytes: used, limitBytes: proc.limit("\(directory)/\(limit)"))
        innermost = innermost ?? figures
        guard let limit = figures.limitBytes else { continue }
        let left = limit - min(limit, used)
        if left < tightest?.left ?? .max { tightest = (left, figures) }
      }
    }
    return tightest?.figures ?? innermost
  }
}
