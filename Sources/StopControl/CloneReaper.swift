// The second stop: the target waits for the children that it was made to have, so that nothing is left
// of them. They have no exit signal, hence no wait call of its own finds them.

import CPtrace
import LinuxTarget

/// A process that was made for us by another one, and is its child.
struct Offspring: Hashable, Sendable {
  /// Its id in our PID namespace.
  let pid: Int32
  /// Its id in its own, which is that of its parent.
  let namespacedPID: Int32

  /// Finds out the second id of a process that is there, be it alive or not.
  init(_ pid: Int32, proc: ProcFileSystem) {
    let text = try? proc.text(proc.path(pid, "status"))
    self.pid = pid
    namespacedPID = text.flatMap(ProcessStatus.init(parsing:))?.namespacedPIDs.last ?? pid
  }
}

/// Has a process wait for children of ours that have ended.
struct CloneReaper {
  /// How long a child may take to end, in nanoseconds.
  private static let patience: Int64 = 5_000_000_000
  /// How long a thread may take to stop, in nanoseconds.
  private static let deadline: Int64 = 100_000_000
  /// How many threads are tried each time.
  private static let choice = 16
  /// How often it is tried.
  private static let tries = 20

  private let process: LinuxProcess

  init(_ process: LinuxProcess) {
    self.process = process
  }

  /// Has the process wait for `children`.
  ///
  /// - Returns: how long a thread was stopped for it at most, and which children are left.
  func reap(_ children: [Offspring]) -> (stop: Duration, left: [Int32]) {
    for child in children { awaitEnd(of: child) }
    var longest = Duration.zero
    var left = children.filter(isLeft)
    for attempt in 0..<Self.tries where !left.isEmpty {
      if attempt > 0 { cpt_pause(Int64(attempt) * 1_000_000) }
      let fallback = CallInstruction.find(in: process)
      for tid in threads() {
        // On a thread of its own: with that, the kernel lets go even of what does not stop.
        let stop = TracerThread.run { reap(left, in: tid, fallback: fallback) }
        guard let stop else { continue }
        longest = max(longest, stop)
        break
      }
      left = left.filter(isLeft)
    }
    return (longest, left.map(\.pid))
  }

  /// The children without an exit signal that it has had since `start`, in clock ticks since the machine
  /// started: those that a keeper left which was killed.
  func remnants(since start: UInt64) -> [Offspring] {
    let proc = process.proc
    let end = cpt_now() + Self.patience
    while true {
      let found = ((try? proc.numbers(in: proc.root)) ?? []).filter { pid in
        guard let text = try? proc.text(proc.path(pid, "stat")),
          let stat = ProcessStat(parsing: text)
        else { return false }
        return stat.parent == process.pid && stat.exitSignal == 0 && stat.startTime >= start
      }
      let remnants = found.map { Offspring($0, proc: proc) }
      // Those that were killed with their keeper may not have ended yet.
      if remnants.allSatisfy(isLeft) || cpt_now() >= end { return remnants.filter(isLeft) }
      cpt_pause(2_000_000)
    }
  }

  /// Whether a child that has ended is still its parent's to wait for.
  private func isLeft(_ child: Offspring) -> Bool {
    guard let text = try? process.proc.text(process.proc.path(child.pid, "status")),
      let status = ProcessStatus(parsing: text)
    else { return false }
    // Should the target have ended, its children are another's, who waits for them by himself.
    return status.hasEnded && status.parent == process.pid
  }

  private func awaitEnd(of child: Offspring) {
    let end = cpt_now() + Self.patience
    while cpt_now() < end {
      guard let text = try? process.proc.text(process.proc.path(child.pid, "stat")),
        let stat = ProcessStat(parsing: text), stat.state != "Z", stat.state != "X"
      else { return }
      cpt_pause(500_000)
    }
  }

  /// The threads to try, those first that sleep.
  private func threads() -> [Int32] {
    let all = (try? process.threadIDs()) ?? []
    let states = all.prefix(Self.choice * 4).map { tid in
      let text = try? process.proc.text(process.proc.path(process.pid, "task/\(tid)/stat"))
      return (tid, text.flatMap(ProcessStat.init(parsing:))?.state)
    }
    let sleeping = states.filter { $0.1 == "S" }
    let others = states.filter { $0.1 == "R" || $0.1 == "T" }
    return (sleeping + others).prefix(Self.choice).map(\.0)
  }

  /// Has one thread wait for `children`; returns how long it was stopped, nil if that was not
  /// possible.
  private func reap(_ children: [Offspring], in tid: Int32, fallback: UInt64?) -> Duration? {
    guard var stopper = try? ThreadStopper(process), (try? stopper.attach(to: tid)) == true,
      process.isStillTheSame()
    else { return nil }
    let began = cpt_now()
    stopper.interrupt(from: 0)
    guard (try? stopper.awaitStops(from: 0, until: began + Self.deadline)) != nil,
      let tracee = stopper.tracees.first, tracee.phase == .stopped, tracee.signal == 0,
      var thread = CallingThread(tid, proc: process.proc),
      thread.obstacle(in: process, forBirth: false) == nil,
      let instruction = thread.instruction(fallback: fallback),
      cpt_set_options(tid, Int32(cpt_option_calls)) == 0
    else { return nil }
    // This thread of ours ends with it.
    _ = cpt_hurry(1)
    for child in children {
      switch thread.make(cpt_call_reap(child.namespacedPID), at: instruction) {
      case .returned: continue
      case .disturbed(let stop):
        thread.restore()
        stopper.note(stop, of: 0)
        return .nanoseconds(stopper.release() - began)
      case .gaveBirth, .gone:
        stopper.note(nil, of: 0)
        return nil
      }
    }
    stopper.note(thread.settle()?.stop, of: 0)
    _ = cpt_set_options(tid, 0)
    return .nanoseconds(stopper.release() - began)
  }
}
