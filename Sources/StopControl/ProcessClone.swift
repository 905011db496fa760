// A copy of a process that never runs: made in one short stop, read at leisure, gone afterwards.

package import HeapModel
package import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// The clone of a process, for as long as this value lives.
///
/// The dangerous part is done by another process, the keeper (see `CloneKeeper`), which ends the clone
/// and has the target wait for what is left of it: when `end` is called, when this value goes, or when
/// this process is killed. Should the keeper be killed, the kernel ends the clone with it, and a second
/// keeper does the rest; if both are killed at once, the target keeps two ended children without an
/// exit signal, of which it notices nothing, until it ends.
package struct ProcessClone: ~Copyable {
  /// The clone's process id.
  package let pid: Int32
  /// The registers of the target's threads at the moment that the clone is a copy of.
  package let threads: [ThreadState]
  /// What could not be had as it should be.
  package let findings: [Finding]
  /// How many threads the target had, with those whose registers could not be read.
  package let threadCount: Int
  /// How long the target was stopped to be cloned.
  package let firstStop: Duration
  /// The lengths of earlier stops that were in vain.
  package let earlierStops: [Duration]
  /// How long the registers of one thread of the target were not its own.
  package let registersChanged: Duration

  private var keeper: KeeperProcess
  private let program: KeeperProgram
  private let target: Int32
  private let startTime: UInt64

  /// Clones `process` by means of `program`, if there is `room`.
  ///
  /// - Throws: `CloneError`; the target then runs on, without a clone.
  package init(
    of process: LinuxProcess, keeper program: KeeperProgram, room: CloneRoom
  ) throws(CloneError) {
    try room.check(process.pid)
    let arguments = ["\(process.pid)", "\(process.startTime)"]
    var keeper = try KeeperProcess(program, arguments)
    var report = Report()
    while report.clone == nil {
      switch try keeper.next(mayGiveUp: true) {
      case .failed(let error):
        // It has the target wait for what was born before it failed.
        keeper.dismiss()
        while let message = try keeper.next(mayGiveUp: false) {
          if case .ended(_, let left) = message, !left.isEmpty {
            throw .notReaped(pid: process.pid, clones: left)
          }
        }
        throw error
      case let message?:
        report.add(message)
      case nil:
        _ = try Self.cleanUp(after: &keeper, program, arguments)
        throw .keeperEnded(pid: process.pid)
      }
    }
    pid = report.clone ?? 0
    threads = report.threads
    findings = report.findings
    threadCount = report.threadCount
    firstStop = report.stop
    earlierStops = report.earlierStops
    registersChanged = report.changed
    self.keeper = keeper
    self.program = program
    target = process.pid
    startTime = process.startTime
  }

  /// Ends the clone and returns how long the target was stopped for that, zero if it has ended itself.
  ///
  /// - Throws: `CloneError.notReaped` if the target was not to be made to wait for its ended clones.
  package consuming func end() throws(CloneError) -> Duration {
    keeper.dismiss()
    if let outcome = try Self.outcome(of: &keeper) {
      return try Self.judge(outcome, target)
    }
    let arguments = ["\(target)", "\(startTime)"]
    if let outcome = try Self.cleanUp(after: &keeper, program, arguments) {
      return try Self.judge(outcome, target)
    }
    throw .keeperEnded(pid: target)
  }

  /// Does what a keeper did not that was killed, and the clone with it; nil if that is not known to
  /// have been done.
  private static func cleanUp(
    after keeper: inout KeeperProcess, _ program: KeeperProgram, _ arguments: [String]
  ) throws(CloneError) -> (stop: Duration, left: [Int32])? {
    keeper.dismiss()
    keeper.waitForEnd()
    var second = try KeeperProcess(program, arguments + ["--after", "\(keeper.startTime)"])
    second.dismiss()
    return try outcome(of: &second)
  }

  /// How it ended with the clone, nil if the keeper did not live to say so.
  private static func outcome(
    of keeper: inout KeeperProcess
  ) throws(CloneError) -> (stop: Duration, left: [Int32])? {
    while let message = try keeper.next(mayGiveUp: false) {
      switch message {
      case .ended(let stop, let left):
        keeper.waitForEnd()
        return (stop, left)
      case .failed(.notStopped(.processEnded)), .failed(.anotherProcess):
        // Without the target, its children are another's, who waits for them by himself.
        return (.zero, [])
      case .failed(let error):
        throw error
      case .thread, .finding, .earlierStop, .ready:
        continue
      }
    }
    keeper.waitForEnd()
    return nil
  }

  private static func judge(
    _ outcome: (stop: Duration, left: [Int32]), _ target: Int32
  ) throws(CloneError) -> Duration {
    guard outcome.left.isEmpty else { throw .notReaped(pid: target, clones: outcome.left) }
    return outcome.stop
  }

  /// What a keeper says, as far as it has.
  private struct Report {
    var clone: Int32?
    var threads: [ThreadState] = []
    var findings: [Finding] = []
    var threadCount = 0
    var stop = Duration.zero
    var earlierStops: [Duration] = []
    var changed = Duration.zero

    mutating func add(_ message: KeeperMessage) {
      switch message {
      case .thread(let thread): threads.append(thread)
      case .finding(let finding): findings.append(finding)
      case .earlierStop(let stop): earlierStops.append(stop)
      case .ready(let clone, let threadCount, let stop, let changed):
        self.clone = clone
        self.threadCount = threadCount
        self.stop = stop
        self.changed = changed
      case .failed, .ended:
        break
      }
    }
  }
}
