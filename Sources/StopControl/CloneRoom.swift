// Whether a clone can be had without driving the target into a limit: judged before anything is done.

package import LinuxTarget

/// What a clone takes while it lives, and what there is.
package struct CloneRoom: Hashable, Sendable {
  /// The bytes that it may take, 0 if the kernel tells too little.
  ///
  /// That is the page tables of a copy; what is swapped out, which comes back when it is read; and a
  /// quarter of the data, at least 64 MiB, to be written to by the target meanwhile. It is all of the data
  /// if the target would be ended with its clone, should there be too little.
  package let needed: UInt64
  /// How much memory there is, nil if that cannot be told.
  package let memory: MemoryHeadroom?
  /// How many tasks there may be, nil if nothing bounds them.
  package let tasks: TaskHeadroom?

  /// The tasks that cloning takes: the forker, and the clone.
  private static let neededTasks: UInt64 = 2

  /// Makes an estimate for a process with such memory.
  package init(_ figures: MemoryFigures, memory: MemoryHeadroom?, tasks: TaskHeadroom?) {
    let anonymous = figures.anonymous ?? 0
    let swapped = figures.swapped ?? 0
    let floor: UInt64 = 64 << 20
    let written =
      memory?.endsWholeGroup == true ? anonymous : min(anonymous, max(floor, anonymous / 4))
    // One entry of 8 bytes for a page of 4 KiB.
    needed = (anonymous / 512).addingSaturated((figures.file ?? 0) / 512)
      .addingSaturated(swapped / 512).addingSaturated(swapped).addingSaturated(written)
    self.memory = memory
    self.tasks = tasks
  }

  /// Looks at a live process and its surroundings.
  ///
  /// What its clone takes is on the account of its own control groups.
  package init(for process: LinuxProcess) {
    self.init(
      process.status.memory, memory: MemoryHeadroom.of(process.pid, proc: process.proc),
      tasks: TaskHeadroom.of(process.pid, proc: process.proc))
  }

  /// Says if there is too little room for a clone of the process `pid`.
  package func check(_ pid: Int32) throws(CloneError) {
    if let memory, memory.available < needed {
      throw .tooLittleMemory(pid: pid, needed: needed, memory)
    }
    if let tasks, tasks.available < Self.neededTasks { throw .tooManyTasks(pid: pid, tasks) }
  }
}

extension UInt64 {
  /// The sum, at most the largest number there is.
  fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
