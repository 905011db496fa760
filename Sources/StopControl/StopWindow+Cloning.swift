// Cloning a stopped process.
//
// The one thread of the target whose registers are changed makes a process that shares the target's
// memory, which takes some microseconds, whatever the heap's size; then it is its own again. That
// process, the forker, is then made to clone itself, as often as it takes, while the target stands
// still: its clone is the copy of the target's memory. With CLONE_PARENT, the clone is a child of the
// target like the forker itself.
//
// What happens if we are killed (SIGKILL, or a crash) meanwhile:
// - Before the thread's registers are changed, or after they are its own again: the kernel lets all
//   threads go, and the target runs on. The forker and the clone are killed with us.
// - Up to the birth of the forker, two argument registers and the one with the call's number are
//   changed, so that the thread makes a forker and runs on with clone's result instead of its own
//   call's; from the birth on, only the result register is. A thread that sleeps on a futex, which is
//   preferred, takes such a result for a reason to look again; any other sees a wrong result of the
//   call that it slept in, and one that was computing may fail in any way. If signals were waiting for
//   the thread, it may keep all signals blocked.
// - The forker, if it exists by then, runs on from the same place with a stack that is nowhere, and dies
//   of SIGBUS at its first use. On kernels before 5.16, the target would die with it.
// Both together last for as long as `Forker.changed` says.

import CPtrace
import HeapModel
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// A process that shares the target's memory and is there only to be cloned in its stead.
struct Forker {
  /// Its process id.
  let pid: Int32
  /// How long the registers of a thread of the target were not its own.
  let changed: Duration
  private var thread: CallingThread
  private let instruction: UInt64

  /// How often a call is tried that a SIGSTOP gets in the way of.
  private static let tries = 8

  /// Takes over a forker that was just born; nil if it has been killed.
  fileprivate init?(
    _ pid: Int32, instruction: UInt64, changed: Duration, proc: ProcFileSystem
  ) {
    guard CallingThread.awaitStop(of: pid, proc: proc) != nil,
      cpt_set_options(pid, Self.options) == 0,
      var thread = CallingThread(pid, proc: proc)
    else { return nil }
    // Those for the target's process group are its own, too, and mean nothing to us.
    thread.hasPendingSignal = true
    self.pid = pid
    self.changed = changed
    self.thread = thread
    self.instruction = instruction
  }

  // Its clone has the same from birth on.
  private static var options: Int32 {
    Int32(
      cpt_option_births | cpt_option_calls | cpt_option_kill_with_us)
  }

  /// Makes the clone, which is stopped from its birth on, and says whether it shares the target's
  /// descriptors.
  ///
  /// - Throws: minus the errno of clone.
  mutating func makeClone() throws(Refusal) -> (pid: Int32, sharesFiles: Bool) {
    // Whatever the target closes from now on is closed, not held open by a copy.
    var sharesFiles = true
    if case .returned(0) = try call(cpt_call_leave_files()) { sharesFiles = false }
    switch try call(cpt_call_copy_memory(sharesFiles ? 1 : 0)) {
    case .gaveBirth(let pid): return (pid, sharesFiles)
    case .returned(let result): throw Refusal(errno: Int32(clamping: -result))
    case .disturbed: throw Refusal(errno: EINTR)
    case .gone: throw Refusal(errno: ESRCH)
    }
  }

  /// Why the kernel did not make the clone.
  struct Refusal: Error {
    let errno: Int32
  }

  private mutating func call(_ call: cpt_call) throws(Refusal) -> CallingThread.Progress {
    for _ in 0..<Self.tries {
      switch thread.make(call, at: instruction) {
      // SIGSTOP cannot be blocked.
      case .disturbed: continue
      case .returned(CloneKernel.restart): continue
      case let progress: return progress
      }
    }
    return .disturbed(cpt_stop())
  }
}

/// Numbers of the kernel.
enum CloneKernel {
  /// The result of a call that a signal came before (ERESTARTNOINTR): seen by tracers only.
  static let restart: Int64 = -513
}

extension StopWindow {
  /// How many threads are looked at to find one that sleeps on a futex.
  private static let choice = 64
  /// In how many threads it is tried.
  private static let tries = 8

  /// Says why a clone of what is stopped here would be no copy of one moment, or do harm.
  func refuseClone(of pid: Int32) throws(CloneError) {
    if let thread = notStopped.first { throw .threadNotStopped(pid: pid, thread) }
    if isUnsettled { throw .threadsKeepAppearing(pid: pid) }
    if stopper.tracees.contains(where: \.isStoppedByJobControl) {
      throw .stoppedByJobControl(pid: pid)
    }
  }

  /// Has one of the threads make a forker; the thread is its own again afterwards.
  ///
  /// What was born is added to `born` even if that fails.
  mutating func makeForker(
    of process: LinuxProcess, instruction fallback: UInt64?, born: inout [Offspring]
  ) throws(CloneError) -> Forker {
    var obstacle = CloneError.Obstacle.signal
    for (index, candidate) in candidates(process.proc).prefix(Self.tries) {
      var thread = candidate
      if let found = thread.obstacle(in: process, forBirth: true) {
        obstacle = found
        continue
      }
      guard let instruction = thread.instruction(fallback: fallback) else {
        obstacle = .noInstruction
        continue
      }
      let forker = try makeForker(
        in: thread, number: index, process, instruction, born: &born)
      if let forker { return forker }
      obstacle = .signal
    }
    throw .noThread(pid: process.pid, obstacle)
  }

  /// The threads that may do it and their numbers, the best first.
  private func candidates(_ proc: ProcFileSystem) -> [(index: Int, thread: CallingThread)] {
    var found: [(index: Int, thread: CallingThread)] = []
    for (index, tracee) in stopper.tracees.enumerated()
    where tracee.phase == .stopped && tracee.signal == 0 {
      guard found.count < Self.choice, let thread = CallingThread(tracee.tid, proc: proc)
      else { continue }
      found.append((index, thread))
      if thread.rank == .sleepsOnFutex { break }
    }
    return found.sorted { $0.thread.rank < $1.thread.rank }
  }

  /// Has `thread` make a forker, nil if something came in between.
  private mutating func makeForker(
    in thread: CallingThread, number index: Int, _ process: LinuxProcess, _ instruction: UInt64,
    born: inout [Offspring]
  ) throws(CloneError) -> Forker? {
    let options = Int32(cpt_option_births | cpt_option_calls)
    guard cpt_set_options(thread.tid, options) == 0 else { return nil }
    var thread = thread
    let call = cpt_call_share_memory()
    let progress =
      thread.canMakeInstead
      ? thread.makeInstead(call) : thread.make(call, at: instruction)
    switch progress {
    case .gaveBirth(let pid):
      let settled = thread.settle()
      stopper.note(settled?.stop, of: index)
      born.append(Offspring(pid, proc: process.proc))
      let forker = Forker(
        pid, instruction: instruction, changed: settled?.changed ?? .zero, proc: process.proc)
      guard settled != nil, let forker else {
        throw .notStopped(.processEnded(pid: process.pid))
      }
      _ = cpt_set_options(thread.tid, 0)
      return forker
    case .returned(let result):
      stopper.note(thread.settle()?.stop, of: index)
      _ = cpt_set_options(thread.tid, 0)
      if result == CloneKernel.restart { return nil }
      throw .refused(pid: process.pid, errno: Int32(clamping: -result))
    case .disturbed(let stop):
      thread.restore()
      stopper.note(stop, of: index)
      _ = cpt_set_options(thread.tid, 0)
      return nil
    case .gone:
      stopper.note(nil, of: index)
      throw .notStopped(.processEnded(pid: process.pid))
    }
  }
}
