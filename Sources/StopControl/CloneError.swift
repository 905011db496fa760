// Why a process could not be cloned, or not be rid of its clone.

package import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// Why there is no clone of a process; the process runs on as if nothing had happened.
package enum CloneError: Error, Equatable, Sendable {
  /// What stands in the way of running a system call in a thread.
  package enum Obstacle: String, Sendable {
    /// It executes 32-bit code.
    case thirtyTwoBit = "32-bit-code"
    /// It has its system calls turned into signals (as Wine does).
    case divertsCalls = "system-calls-turned-into-signals"
    /// It may be in a restartable sequence.
    case restartableSequence = "restartable-sequence"
    /// It was about to receive a signal.
    case signal = "signal-on-its-way"
    /// It waits with another signal mask, which this kernel does not let us keep.
    case otherMask = "wait-with-another-signal-mask"
    /// Its next child would begin a new PID namespace.
    case newPIDNamespace = "children-in-another-pid-namespace"
    /// Its next child would begin a new time namespace.
    case newTimeNamespace = "children-in-another-time-namespace"
    /// A filter judges its system calls.
    case filtered = "seccomp"
    /// No instruction that makes a system call was found for it.
    case noInstruction = "no-instruction"
    /// Its state could not be read.
    case unreadable = "unreadable"
    /// It has ended.
    case ended = "ended"

    /// Whether it may be otherwise a moment later.
    var isPassing: Bool {
      switch self {
      case .restartableSequence, .signal, .unreadable, .ended: true
      case .thirtyTwoBit, .divertsCalls, .otherMask, .newPIDNamespace, .newTimeNamespace,
        .filtered, .noInstruction:
        false
      }
    }
  }

  /// It could not be stopped.
  case notStopped(StopError)
  /// Another process has its id by now.
  case anotherProcess(pid: Int32)
  /// This is not written for the machine's processor.
  case unknownProcessor
  /// A thread did not stop, so that the clone would not be of one moment.
  case threadNotStopped(pid: Int32, UnstoppedThread)
  /// New threads kept appearing.
  case threadsKeepAppearing(pid: Int32)
  /// Job control has stopped it.
  case stoppedByJobControl(pid: Int32)
  /// A filter judges the system calls of one of its threads.
  case filtered(pid: Int32, tid: Int32)
  /// In none of its threads may a system call be run.
  case noThread(pid: Int32, Obstacle)
  /// Signals came in between, each time of so many stops.
  case disturbed(pid: Int32, stops: Int)
  /// The kernel refused to clone it.
  case refused(pid: Int32, errno: Int32)
  /// There may be too little memory for the clone's page tables and the pages that will differ.
  case tooLittleMemory(pid: Int32, needed: UInt64, MemoryHeadroom)
  /// It may not have two more processes.
  case tooManyTasks(pid: Int32, TaskHeadroom)
  /// The process that is to make the clone could not be started.
  case keeperNotStarted(call: String, errno: Int32)
  /// The process that was to make the clone ended before it said how that went.
  case keeperEnded(pid: Int32)
  /// The process that was to make the clone said something that is not understood.
  case keeperUnintelligible(line: String)
  /// Its children that were our clones have ended, but are still in its table of processes.
  case notReaped(pid: Int32, clones: [Int32])

  /// One line: what was attempted, on what, what was observed.
  package var fact: String {
    switch self {
    case .notStopped(.processEnded(let pid)):
      "process \(pid) ended while it was being stopped"
    case .notStopped(.attachRefused(let pid, _, let number)):
      "attaching to process \(pid) was refused: \(Self.text(number))"
    case .notStopped(.threadsUnreadable(let path, let number)):
      "cannot list the threads in \(path): \(Self.text(number))"
    case .notStopped(.interrupted):
      "interrupted; the target runs on"
    case .anotherProcess(let pid):
      "process \(pid) ended, and another one has its id"
    case .unknownProcessor:
      "cannot clone a process on this machine: that is written for x86-64 only"
    case .threadNotStopped(let pid, let thread):
      "process \(pid) was not cloned: its thread \(thread.tid) did not stop"
        + (thread.state.map { " (state \($0)" } ?? " (state unknown")
        + (thread.systemCall.map { ", in system call \($0))" } ?? ")")
    case .threadsKeepAppearing(let pid):
      "process \(pid) was not cloned: it kept starting threads while it was being stopped"
    case .stoppedByJobControl(let pid):
      "process \(pid) was not cloned: job control has stopped it"
    case .filtered(let pid, let tid):
      "process \(pid) was not cloned: a seccomp filter judges the system calls of its thread "
        + "\(tid), and may kill it for a clone"
    case .noThread(let pid, let obstacle):
      "process \(pid) was not cloned: none of its threads can make a system call for us "
        + "(\(obstacle.rawValue))"
    case .disturbed(let pid, let stops):
      "process \(pid) was not cloned: signals came in between in each of \(stops) stops"
    case .refused(let pid, let number):
      "the kernel refused to clone process \(pid): \(Self.text(number))"
    case .tooLittleMemory(let pid, let needed, let headroom):
      "process \(pid) was not cloned: that may take \(needed >> 20) MiB of memory, and "
        + "\(headroom.available >> 20) MiB are left " + Self.place(headroom.bound)
    case .tooManyTasks(let pid, let headroom):
      "process \(pid) was not cloned: that takes two processes for a moment, and its cgroup "
        + "\(headroom.cgroup) may have \(headroom.available) more (pids.max \(headroom.limit))"
    case .keeperNotStarted(let call, let number):
      "cannot start the process that clones: \(call): \(Self.text(number))"
    case .keeperEnded(let pid):
      "the process that was to clone process \(pid) ended before it was done"
    case .keeperUnintelligible(let line):
      "the process that clones said '\(line)', which is not understood"
    case .notReaped(let pid, let clones):
      "process \(pid) keeps what is left of its clones until it ends: "
        + clones.map(String.init).joined(separator: ", ")
    }
  }

  /// At most three actions that may help.
  package var hints: [String] {
    let otherwise = "--capture slices needs no clone"
    switch self {
    case .notStopped, .anotherProcess, .notReaped: return []
    case .threadNotStopped(_, let thread) where thread.state == "D":
      return ["try again: it waits for a device, or for the child of its vfork", otherwise]
    case .threadNotStopped, .threadsKeepAppearing, .disturbed:
      return ["try again", otherwise]
    case .stoppedByJobControl(let pid):
      return ["continue it first: kill -CONT \(pid)", otherwise]
    case .refused(let pid, EAGAIN):
      return [
        "the limit is that of its cgroup (pids.max, see /proc/\(pid)/cgroup) or of its user's "
          + "processes (see /proc/\(pid)/limits); two more must be allowed",
        otherwise,
      ]
    case .refused(_, ENOMEM):
      return [
        "the limit may be vm.overcommit_memory, or that of the kernel's memory in its cgroup",
        otherwise,
      ]
    case .tooLittleMemory, .tooManyTasks, .filtered, .noThread, .unknownProcessor, .refused:
      return [otherwise]
    case .keeperNotStarted, .keeperEnded, .keeperUnintelligible: return [otherwise]
    }
  }

  /// Whether another stop may succeed.
  var isPassing: Bool {
    switch self {
    case .noThread(_, let obstacle): obstacle.isPassing
    // It only had to wait for a processor.
    case .threadNotStopped(_, let thread): thread.state == "R" || thread.state == nil
    case .disturbed: true
    default: false
    }
  }

  private static func place(_ bound: MemoryHeadroom.Bound) -> String {
    switch bound {
    case .machine: "on this machine"
    case .cgroup(let path): "in its cgroup \(path)"
    }
  }

  private static func text(_ errno: Int32) -> String {
    guard let text = unsafe strerror(errno) else { return "errno \(errno)" }
    return unsafe "\(String(cString: text)) (errno \(errno))"
  }
}
