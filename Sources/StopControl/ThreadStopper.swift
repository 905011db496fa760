// Attaching to threads, stopping them and letting them go: the ptrace part of a stop.

import CPtrace
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// The threads that we are attached to.
///
/// Every thread goes from running to stopped to released, or is gone at any point. All calls must
/// come from one thread of ours: the kernel knows that one as the tracer.
struct ThreadStopper: ~Copyable {
  /// Where a thread is on its way.
  enum Phase: UInt8 {
    /// Attached to and running.
    case running
    /// Asked to stop: it runs no user code from its next way into the kernel or out of it.
    case stopping
    /// Stopped: registers can be read.
    case stopped
    /// Let go, or ended: not ours any more.
    case gone
  }

  /// One thread that we attached to.
  struct Tracee {
    let tid: Int32
    var phase = Phase.running
    /// The signal that it was about to receive when it stopped: it must get it when it is let go.
    var signal: Int32 = 0
    /// Whether job control has stopped its process.
    var isStoppedByJobControl = false
    /// Whether it was asked to stop for an earlier stop, which it missed.
    var isLate = false

    /// Takes down why it stopped.
    mutating func note(_ stop: cpt_stop) {
      // At an event's stop (that of PTRACE_INTERRUPT, or a group-stop, which the kernel itself
      // resumes after detaching) no signal is under way.
      signal = stop.event == 0 ? stop.signal : 0
      isStoppedByJobControl =
        stop.event == Int32(cpt_event_stop) && stop.signal != SIGTRAP
    }
  }

  /// How long a release waits for threads that can be let go only when they stop.
  static let releaseGrace: Int64 = 20_000_000
  /// How long threads are waited for before they are looked at again, in nanoseconds, if no SIGCHLD
  /// says that one has stopped.
  ///
  /// Looking all the time, or giving the processor away in between, would
  /// take it from the very threads that need it to stop, or leave it to others for milliseconds.
  private static let patience: Int64 = 50_000
  /// How many looks in a row without news make the first thread's end worth a look.
  private static let idleLimit = 20

  let pid: Int32
  /// The threads in the order in which they were found.
  private(set) var tracees: [Tracee] = []
  /// The directory of its threads in `/proc`.
  let taskPath: String
  private let tasks: OwnedDescriptor
  private let proc: ProcFileSystem
  private let isOurChild: Bool
  private var known: Set<Int32> = []
  private var listed: [Int32]

  /// Prepares for a process without touching it; `late` are threads of it that could not be let go since
  /// an earlier stop.
  init(_ process: LinuxProcess, late: [Tracee] = []) throws(StopError) {
    let path = process.proc.path(process.pid, "task")
    do {
      tasks = try OwnedDescriptor(opening: path)
    } catch {
      throw Self.listingError(error, path: path, pid: process.pid)
    }
    pid = process.pid
    proc = process.proc
    taskPath = path
    isOurChild = process.status.parent == getpid()
    // Room for twice the threads, so that nothing grows while they are stopped.
    let room = max(256, process.threadCount * 2)
    listed = [Int32](repeating: 0, count: room)
    tracees.reserveCapacity(room)
    known.reserveCapacity(room)
    for tracee in late {
      tracees.append(tracee)
      tracees[tracees.count - 1].isLate = true
      known.insert(tracee.tid)
    }
  }

  deinit {
    // A deinitialiser may not change its own value.
    var remaining = tracees
    _ = Self.release(&remaining, ownLeader: ownLeader, grace: Self.releaseGrace)
  }

  /// Attaches to every thread of the process that is not ours yet, and returns how many those were.
  mutating func attachToNewThreads() throws(StopError) -> Int {
    let count: Int
    do {
      count = try tasks.listNumbers(into: &listed, path: taskPath)
    } catch {
      throw Self.listingError(error, path: taskPath, pid: pid)
    }
    var added = 0
    for index in 0..<count where !known.contains(listed[index]) {
      if try attach(to: listed[index]) { added += 1 }
    }
    return added
  }

  /// Attaches to one thread and returns whether it was there.
  mutating func attach(to tid: Int32) throws(StopError) -> Bool {
    let result = cpt_seize(tid)
    switch -result {
    case 0:
      known.insert(tid)
      tracees.append(Tracee(tid: tid))
      return true
    case ESRCH:
      return false
    case EPERM where hasEnded(tid):
      return false
    default:
      throw .attachRefused(pid: pid, tid: tid, errno: -result)
    }
  }

  /// Notes how thread number `index`, which was run in between, has stopped again; nil if it has been
  /// killed, and so is to be waited for.
  mutating func note(_ stop: cpt_stop?, of index: Int) {
    if let stop {
      tracees[index].note(stop)
    } else {
      tracees[index].phase = .stopping
    }
  }

  /// Asks all threads from number `first` on to stop.
  mutating func interrupt(from first: Int) {
    for index in first..<tracees.count where tracees[index].phase == .running {
      // A thread that has ended in the meantime shows that when it is waited for.
      _ = cpt_interrupt(tracees[index].tid)
      tracees[index].phase = .stopping
    }
  }

  /// Waits until the threads from number `first` on have stopped or ended, or until `deadline`; for those
  /// that wait in the kernel, in state D, only until `blockedDeadline`, and for late ones not at all.
  mutating func awaitStops(
    from first: Int, until deadline: Int64, blocked blockedDeadline: Int64 = .max
  ) throws(StopError) {
    var idle = 0
    while true {
      var waiting = 0
      var hasProgressed = false
      for index in first..<tracees.count where tracees[index].phase == .stopping {
        Self.poll(&tracees[index], ownLeader: ownLeader)
        switch tracees[index].phase {
        case .running, .stopping:
          if !tracees[index].isLate { waiting += 1 }
        case .stopped:
          hasProgressed = true
        case .gone:
          // Its number may come back as another thread's.
          known.remove(tracees[index].tid)
          hasProgressed = true
        }
      }
      if waiting == 0 { return }
      let signal = cpt_interrupted()
      if signal != 0 { throw .interrupted(signal: signal) }
      let now = cpt_now()
      if now >= deadline { return }
      if now >= blockedDeadline, areAllBlocked(from: first) { return }
      idle = hasProgressed ? 0 : idle + 1
      if idle == Self.idleLimit { dropEndedLeader() }
      cpt_await_child_signal(Self.patience)
    }
  }

  /// Whether all threads from number `first` on that are still waited for wait in the kernel themselves.
  private func areAllBlocked(from first: Int) -> Bool {
    tracees[first...].allSatisfy { $0.phase != .stopping || $0.isLate || state(of: $0.tid) == "D" }
  }

  /// Lets all threads go and returns when the last that was stopped went; waits for those that have
  /// not stopped yet at most `grace` nanoseconds.
  mutating func release(grace: Int64 = ThreadStopper.releaseGrace) -> Int64 {
    Self.release(&tracees, ownLeader: ownLeader, grace: grace)
  }

  /// Hands over the threads that could not be let go.
  mutating func surrender() -> [Tracee] {
    defer { tracees = [] }
    return tracees.filter { $0.phase != .gone }
  }

  /// Lets those of the `late` threads go that have stopped by now; returns the others.
  static func letGo(_ late: [Tracee], of process: LinuxProcess) -> [Tracee] {
    var late = late
    let isOurChild = process.status.parent == getpid()
    _ = release(&late, ownLeader: isOurChild ? process.pid : nil, grace: 0)
    return late.filter { $0.phase != .gone }
  }

  /// The process's first thread, if it is a child of ours.
  private var ownLeader: Int32? { isOurChild ? pid : nil }

  /// Whether all threads have been let go.
  var isReleased: Bool { tracees.allSatisfy { $0.phase == .gone } }

  /// The letter of a thread's state, nil if it is not there any more.
  func state(of tid: Int32) -> Character? {
    guard let text = try? proc.text("\(taskPath)/\(tid)/stat") else { return nil }
    return ProcessStat(parsing: text)?.state
  }

  /// The system call that a thread is blocked in, nil if it is in none or we may not know.
  func systemCall(of tid: Int32) -> Int? {
    guard let text = try? proc.text("\(taskPath)/\(tid)/syscall"),
      let number = text.split(separator: " ").first.flatMap({ Int($0) }), number >= 0
    else { return nil }
    return number
  }

  private func hasEnded(_ tid: Int32) -> Bool {
    guard let state = state(of: tid) else { return true }
    return state == "Z" || state == "X"
  }

  /// A first thread that ends before the others is not reported until they end too.
  private mutating func dropEndedLeader() {
    for index in tracees.indices
    where tracees[index].tid == pid && tracees[index].phase == .stopping && hasEnded(pid) {
      tracees[index].phase = .gone
    }
  }

  /// Looks at one thread without waiting.
  private static func poll(_ tracee: inout Tracee, ownLeader: Int32?) {
    var stop = cpt_stop()
    // A child's end is its launcher's to see, even if the launcher is this process.
    switch unsafe cpt_wait(tracee.tid, tracee.tid == ownLeader ? 1 : 0, &stop) {
    case 0:
      break
    case 1:
      tracee.phase = .stopped
      tracee.note(stop)
    default:
      tracee.phase = .gone
    }
  }

  private static func release(
    _ tracees: inout [Tracee], ownLeader: Int32?, grace: Int64
  ) -> Int64 {
    for index in tracees.indices where tracees[index].phase == .stopped {
      detach(&tracees[index])
    }
    let end = cpt_now()
    // What is left: threads that have not stopped yet, which the kernel does not let us detach, and
    // threads killed meanwhile, which must be reaped for their process to end.
    while true {
      var remaining = 0
      for index in tracees.indices where tracees[index].phase != .gone {
        if tracees[index].phase == .running {
          _ = cpt_interrupt(tracees[index].tid)
          tracees[index].phase = .stopping
        }
        poll(&tracees[index], ownLeader: ownLeader)
        if tracees[index].phase == .stopped { detach(&tracees[index]) }
        if tracees[index].phase != .gone { remaining += 1 }
      }
      let now = cpt_now()
      if remaining == 0 || now - end >= grace { return end }
      cpt_await_child_signal(Self.patience)
    }
  }

  private static func detach(_ tracee: inout Tracee) {
    // It fails only if the thread was killed while it was stopped.
    tracee.phase = cpt_detach(tracee.tid, tracee.signal) == 0 ? .gone : .stopping
  }

  private static func listingError(_ error: TargetError, path: String, pid: Int32) -> StopError {
    guard case .unreadable(_, let number) = error else {
      return .threadsUnreadable(path: path, errno: EIO)
    }
    return number == ENOENT || number == ESRCH
      ? .processEnded(pid: pid) : .threadsUnreadable(path: path, errno: number)
  }
}
