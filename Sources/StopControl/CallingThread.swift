// One stopped thread of another process in which system calls are run.
//
// What the thread would do next is kept here meanwhile: its registers, and its signal mask, which is
// changed only if signals wait for it already. It gets both back before anything else is done with it.
//
// How a thread that sleeps in a system call comes back to its sleep: the kernel restarts an interrupted
// call when the thread runs on from the place where it looks for signals (a PTRACE_EVENT_STOP), not
// when it runs on from the exit of a system call. So the thread is led through one more such stop, with
// its own registers.

import CPtrace
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// A stopped thread that makes system calls for us.
struct CallingThread {
  /// How a call went on.
  enum Progress {
    /// It returned this; the thread is stopped at its exit.
    case returned(Int64)
    /// It made a process, which is attached to; the thread is stopped within the call.
    case gaveBirth(to: Int32)
    /// The thread stopped for something else before the call began.
    case disturbed(cpt_stop)
    /// It has been killed.
    case gone
  }

  /// A thread that is its own again.
  struct Settled {
    /// Why it is stopped.
    var stop: cpt_stop
    /// How long its registers were not its own.
    var changed: Duration
  }

  /// How often a stop that means nothing is passed over.
  private static let indifference = 16
  /// How long to wait before looking whether the thread is still there, in nanoseconds.
  private static let patience: Int64 = 5_000_000
  /// How long a thread may take to stop by itself, in nanoseconds.
  private static let freezePatience: Int64 = 1_000_000_000

  /// Its thread id.
  let tid: Int32
  /// What its registers say.
  let place: cpt_place
  private let own: cpt_context
  /// Whether it would run into a signal as soon as it runs, or is to be spared them.
  var hasPendingSignal = false
  /// Since when its registers are not its own.
  private var changed: Int64 = 0
  let proc: ProcFileSystem

  /// Takes down the context of a stopped thread, nil if it cannot be had.
  init?(_ tid: Int32, proc: ProcFileSystem) {
    var context = cpt_context()
    guard unsafe cpt_save_context(tid, &context) == 0 else { return nil }
    var place = cpt_place()
    unsafe cpt_describe_context(&context, &place)
    self.tid = tid
    self.place = place
    self.proc = proc
    own = context
  }

  /// Has the thread make `call` by the instruction at `instruction`, with its signals blocked if some
  /// wait for it already.
  ///
  /// Unless it is gone, it must be restored, settled or ended afterwards.
  mutating func make(_ call: cpt_call, at instruction: UInt64) -> Progress {
    changed = cpt_now()
    var context = own
    var call = call
    guard unsafe cpt_set_call(tid, &context, instruction, &call, hasPendingSignal ? 1 : 0) == 0
    else { return .gone }
    return follow(hasEntered: false)
  }

  /// Whether `makeInstead` can be used.
  var canMakeInstead: Bool { place.restarts_call != 0 && !hasPendingSignal }

  /// Has a thread that is to begin its own call again make `call` in its stead.
  ///
  /// Its registers are its own up to the moment when it is about to begin, so that they are another's
  /// for one stop less than with `make`.
  mutating func makeInstead(_ call: cpt_call) -> Progress {
    for _ in 0..<Self.indifference {
      guard cpt_resume(tid, 1) == 0, let stop = awaitStop() else { return .gone }
      switch (stop.event, stop.signal) {
      case (0, Int32(cpt_signal_of_calls)):
        changed = cpt_now()
        var context = own
        var call = call
        guard unsafe cpt_replace_call(tid, &context, &call) == 0 else { return .gone }
        return follow(hasEntered: true)
      case (Int32(cpt_event_stop), _):
        break
      default:
        return .disturbed(stop)
      }
    }
    return .disturbed(cpt_stop(signal: SIGTRAP, event: Int32(cpt_event_stop)))
  }

  /// Runs the thread up to the exit from the call that it makes, or to a birth in it.
  private func follow(hasEntered: Bool) -> Progress {
    var hasEntered = hasEntered
    for _ in 0..<Self.indifference {
      guard cpt_resume(tid, 1) == 0, let stop = awaitStop() else { return .gone }
      switch (stop.event, stop.signal) {
      case (0, Int32(cpt_signal_of_calls)) where hasEntered:
        var result: Int64 = 0
        return unsafe cpt_get_result(tid, &result) == 0 ? .returned(result) : .gone
      case (0, Int32(cpt_signal_of_calls)):
        hasEntered = true
      case (Int32(cpt_event_birth), _):
        var born: UInt64 = 0
        guard unsafe cpt_get_message(tid, &born) == 0, let pid = Int32(exactly: born), pid > 0
        else { return .gone }
        return .gaveBirth(to: pid)
      case (Int32(cpt_event_stop), _):
        // A second stop after the one that was asked for, or of job control, which takes effect when
        // the thread is let go.
        break
      default:
        return .disturbed(stop)
      }
    }
    return .disturbed(cpt_stop(signal: SIGTRAP, event: Int32(cpt_event_stop)))
  }

  /// Gives the thread its own context back and leaves it in a stop from which the kernel restarts the
  /// call that it was in; nil if it has been killed.
  func settle() -> Settled? {
    // In the midst of a birth, all but the result register is its own again from here on.
    guard restore(), cpt_interrupt(tid) == 0, cpt_resume(tid, 0) == 0, let stop = awaitStop()
    else { return nil }
    guard restore() else { return nil }
    return Settled(stop: stop, changed: .nanoseconds(cpt_now() - changed))
  }

  /// Gives the thread its own context back where it is; returns whether that was possible.
  @discardableResult
  func restore() -> Bool {
    var context = own
    return unsafe cpt_restore_context(tid, &context) == 0
  }

  /// Waits until it stops, nil if it has been killed.
  private func awaitStop() -> cpt_stop? {
    Self.awaitStop(of: tid, proc: proc)
  }

  /// Waits until a thread that is attached to stops, nil if it has been killed.
  ///
  /// One that a control group has frozen stops only when it is asked to.
  static func awaitStop(of tid: Int32, proc: ProcFileSystem) -> cpt_stop? {
    var hasWaited = false
    var frozen = cpt_now() + freezePatience
    while true {
      var stop = cpt_stop()
      switch unsafe cpt_wait(tid, 0, &stop) {
      case 0: break
      case 1: return stop
      default: return nil
      }
      // A first thread is not reported as ended before the others have been waited for.
      if hasWaited, hasEnded(tid, proc: proc) {
        return unsafe cpt_wait(tid, 0, &stop) == 1 ? stop : nil
      }
      let before = cpt_now()
      if before >= frozen {
        _ = cpt_interrupt(tid)
        frozen = before + freezePatience
      }
      cpt_await_child_signal(patience)
      hasWaited = cpt_now() - before >= patience
    }
  }

  private static func hasEnded(_ tid: Int32, proc: ProcFileSystem) -> Bool {
    guard let text = try? proc.text(proc.path(tid, "stat")),
      let state = ProcessStat(parsing: text)?.state
    else { return true }
    return state == "Z" || state == "X"
  }
}
