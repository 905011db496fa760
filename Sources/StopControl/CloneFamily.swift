// The clone of a process, from its birth to its end, seen from the process that keeps it.

import CPtrace
import HeapModel
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// What the target was made to give birth to.
///
/// All calls come from one thread, which traces it.
struct CloneFamily {
  /// A finished clone.
  struct Birth {
    /// The clone's id.
    var pid: Int32
    /// The threads of the target at that moment.
    var threads: [ThreadState]
    /// How many threads there were, with those whose registers could not be read.
    var threadCount: Int
    /// How long the target was stopped.
    var stop: Duration
    /// The lengths of earlier stops that were in vain.
    var earlierStops: [Duration]
    /// How long the registers of one of its threads were not its own.
    var changed: Duration
    /// What could not be had as it should be.
    var findings: [Finding]
  }

  /// How long threads may take to stop.
  private static let deadline = Duration.milliseconds(100)
  /// How long threads may take to be let go if it is tried once more, in nanoseconds.
  private static let grace: Int64 = 5_000_000_000
  /// How often the target is stopped if something passing comes in between.
  private static let tries = 20

  private let process: LinuxProcess
  /// What was born and has not been waited for by the target.
  private(set) var members: [Offspring] = []
  /// Those of them that we still have to end.
  private var living: [Int32] = []

  /// Takes a process that has no clone yet.
  init(_ process: LinuxProcess) {
    self.process = process
  }

  /// Clones the process.
  ///
  /// - Throws: `CloneError`; `end` is to be called then as well.
  mutating func give() throws(CloneError) -> Birth {
    let fallback = CallInstruction.find(in: process)
    var earlierStops: [Duration] = []
    while true {
      var window: StopWindow
      do throws(StopError) {
        window = try StopWindow(process: process, deadline: Self.deadline)
      } catch {
        throw .notStopped(error)
      }
      do throws(CloneError) {
        try window.refuseClone(of: process.pid)
        // A thread of the target is not its own for a moment: nobody else should have our processor
        // then, if we may say so.
        let hurries = cpt_hurry(1) == 0
        defer { if hurries { _ = cpt_hurry(0) } }
        var forker = try makeForker(&window, fallback)
        let (clone, sharesFiles) = try makeClone(&forker)
        let threads = window.threads
        let unread = window.unreadable.count
        var findings = window.findings
        let stop = window.end()
        findings += finish(clone, of: forker, sharesFiles: sharesFiles)
        return Birth(
          pid: clone, threads: threads, threadCount: threads.count + unread, stop: stop,
          earlierStops: earlierStops, changed: forker.changed, findings: findings)
      } catch {
        guard error.isPassing, members.isEmpty else { throw error }
        // What is not let go now stays attached to as long as we live.
        let (stop, isReleased) = window.end(grace: Self.grace)
        guard isReleased else { throw error }
        earlierStops.append(stop)
        guard earlierStops.count < Self.tries else {
          if case .threadNotStopped = error { throw error }
          throw .disturbed(pid: process.pid, stops: earlierStops.count)
        }
      }
      cpt_pause(1_000_000)
    }
  }

  private mutating func makeForker(
    _ window: inout StopWindow, _ fallback: UInt64?
  ) throws(CloneError) -> Forker {
    var born: [Offspring] = []
    defer {
      members += born
      living += born.map(\.pid)
    }
    return try window.makeForker(of: process, instruction: fallback, born: &born)
  }

  private mutating func makeClone(
    _ forker: inout Forker
  ) throws(CloneError) -> (pid: Int32, sharesFiles: Bool) {
    do throws(Forker.Refusal) {
      let made = try forker.makeClone()
      living.append(made.pid)
      return made
    } catch {
      throw .refused(pid: process.pid, errno: error.errno)
    }
  }

  /// Does what is left to do when the target runs on again: ends the forker, and has the clone be the
  /// first to be ended should memory run out.
  private mutating func finish(
    _ clone: Int32, of forker: Forker, sharesFiles: Bool
  ) -> [Finding] {
    members.append(Offspring(clone, proc: process.proc))
    end(forker.pid)
    _ = CallingThread.awaitStop(of: clone, proc: process.proc)
    var findings: [Finding] = []
    if let refusal = volunteer(clone) {
      findings.append(
        Finding(
          .clone, at: nil,
          "the clone \(clone) is not the first to be ended if memory runs out: writing its "
            + "oom_score_adj was refused (errno \(refusal))"))
    }
    if sharesFiles {
      findings.append(
        Finding(
          .clone, at: nil,
          "the clone \(clone) shares the target's table of descriptors, since this kernel has no "
            + "close_range: files that were open stay so until it ends if the target ends first"))
    }
    return findings
  }

  /// Makes a process the first choice of the kernel when memory runs out; returns the errno of a
  /// failure.
  private func volunteer(_ pid: Int32) -> Int32? {
    let file = unsafe open(process.proc.path(pid, "oom_score_adj"), O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return errno }
    let score = OwnedDescriptor(adopting: file)
    let written = unsafe write(score.number, "1000", 4)
    return written == 4 ? nil : errno
  }

  /// Notices members that were ended by others.
  ///
  /// What is dead and traced keeps its parent, and its PID namespace, from ending.
  mutating func look() {
    living.removeAll { pid in
      var stop = cpt_stop()
      return unsafe cpt_wait(pid, 0, &stop) == 2
    }
  }

  private mutating func end(_ pid: Int32) {
    kill(pid, SIGKILL)
    living.removeAll { $0 == pid }
    var stop = cpt_stop()
    while true {
      switch unsafe cpt_wait(pid, 0, &stop) {
      case 0: cpt_await_child_signal(5_000_000)
      case 1: continue
      default: return
      }
    }
  }

  /// Ends what lives, and has the target wait for all that was born.
  ///
  /// - Returns: how long the target was stopped for that, and whom it could not be made to wait for.
  mutating func end() -> (stop: Duration, left: [Int32]) {
    for pid in living { end(pid) }
    return CloneReaper(process).reap(members)
  }
}
