// The time in which the target stands still: from the first thread's interruption to the last one's
// release.

import CPtrace
package import HeapModel
package import LinuxTarget

/// A thread that did not stop in time.
///
/// It is asked to stop and runs no user code before it does: it waits in the kernel, in state D for
/// a device or for the child of its vfork. So what it can change is only what the kernel writes for
/// it, and a capture may go on.
package struct UnstoppedThread: Hashable, Sendable {
  /// Its thread id in our PID namespace.
  package var tid: Int32
  /// The letter of its state, nil if it could not be read.
  package var state: Character?
  /// The number of the system call that it is in, nil if it is in none or that could not be read.
  package var systemCall: Int?

  /// Makes a description.
  package init(tid: Int32, state: Character?, systemCall: Int?) {
    self.tid = tid
    self.state = state
    self.systemCall = systemCall
  }
}

/// A stop of all threads of a process, for as long as this value lives.
///
/// A value belongs to the thread that made it. Threads that had not stopped when it ends are tried
/// again for 20 ms; the kernel releases those left when our thread ends, for which `TracerThread`
/// exists. Should this process die at any point, the kernel releases all threads: those that were
/// about to receive a signal receive it, and those stopped by job control stay stopped.
package struct StopWindow: ~Copyable {
  /// How often the threads are listed again while new ones appear.
  private static let rounds = 32

  /// The registers of all stopped threads.
  package let threads: [ThreadState]
  /// The threads that did not stop within the deadline.
  package let notStopped: [UnstoppedThread]
  /// The threads that stopped but whose registers could not be read.
  package let unreadable: [Int32]
  /// Whether new threads kept appearing until we gave up looking for more.
  package let isUnsettled: Bool

  /// The threads themselves, for those who run a system call in one of them.
  var stopper: ThreadStopper
  private let execGuard: ExecGuard
  /// When it began, of `CLOCK_MONOTONIC` in nanoseconds.
  let began: Int64

  /// Stops all threads of `process`, waiting for those that are slow at most `deadline` (and as
  /// long again for threads that they started meanwhile).
  ///
  /// - Throws: `StopError`, after all threads that had been stopped were let go.
  package init(process: LinuxProcess, deadline: Duration) throws(StopError) {
    try self.init(process: process, deadline: deadline, blockedDeadline: deadline, late: [])
  }

  /// The same, waiting for threads that wait in the kernel themselves at most `blockedDeadline`, and for
  /// the `late` ones, which were asked to stop for an earlier stop already, not at all.
  init(
    process: LinuxProcess, deadline: Duration, blockedDeadline: Duration,
    late: [ThreadStopper.Tracee]
  ) throws(StopError) {
    var stopper = try ThreadStopper(process, late: late)
    var threads: [ThreadState] = []
    threads.reserveCapacity(process.threadCount * 2)
    // It also takes care of exec while the last new threads are attached to, and ends with us.
    let execGuard = ExecGuard(pid: process.pid, taskPath: stopper.taskPath)
    for _ in 0..<Self.rounds where try stopper.attachToNewThreads() == 0 { break }
    // From now on its id cannot become another's, but it may have until now.
    guard !stopper.tracees.isEmpty, process.isStillTheSame() else {
      throw .processEnded(pid: process.pid)
    }

    // From here the target is held up.
    let began = cpt_now()
    let isUnsettled = try Self.stopAll(
      &stopper, patience: deadline.wholeNanoseconds,
      blockedPatience: blockedDeadline.wholeNanoseconds)
    execGuard.dismiss()
    var notStopped: [UnstoppedThread] = []
    var unreadable: [Int32] = []
    var isAlive = false
    for tracee in stopper.tracees {
      switch tracee.phase {
      case .stopped:
        isAlive = true
        Self.readRegisters(of: tracee.tid, into: &threads, unreadable: &unreadable)
      case .running, .stopping:
        isAlive = true
        notStopped.append(
          UnstoppedThread(
            tid: tracee.tid, state: stopper.state(of: tracee.tid),
            systemCall: stopper.systemCall(of: tracee.tid)))
      case .gone:
        break
      }
    }
    guard isAlive else { throw .processEnded(pid: process.pid) }
    self.threads = threads
    self.notStopped = notStopped
    self.unreadable = unreadable
    self.isUnsettled = isUnsettled
    self.stopper = stopper
    self.execGuard = execGuard
    self.began = began
  }

  /// How long the target has been stopped up to now.
  package var length: Duration { .nanoseconds(cpt_now() - began) }

  /// What of the threads is not known.
  package var findings: [Finding] { findings(exceptOf: []) }

  /// The same, but for what was not known of the threads `told` before.
  func findings(exceptOf told: Set<Int32>) -> [Finding] {
    var findings = notStopped.filter { !told.contains($0.tid) }.map { thread in
      let state = thread.state.map { "state \($0)" } ?? "state unknown"
      let call = thread.systemCall.map { ", in system call \($0)" } ?? ""
      return Finding(
        .threadNotStopped, at: nil,
        "thread \(thread.tid) did not stop in time (\(state)\(call))")
    }
    findings += unreadable.filter { !told.contains($0) }.map { tid in
      Finding(.threadUnknown, at: nil, "the registers of thread \(tid) could not be read")
    }
    if isUnsettled {
      findings.append(
        Finding(
          .threadNotStopped, at: nil,
          "new threads kept appearing through \(Self.rounds) looks at the list of threads"))
    }
    return findings
  }

  /// Lets all threads run on and returns how long the target was stopped.
  package consuming func end() -> Duration {
    .nanoseconds(stopper.release() - began)
  }

  /// Lets all threads run on and returns how long the target was stopped, and whether all are let go:
  /// waits for those that have not stopped yet at most `grace` nanoseconds.
  consuming func end(grace: Int64) -> (length: Duration, isReleased: Bool) {
    let length = Duration.nanoseconds(stopper.release(grace: grace) - began)
    return (length, stopper.isReleased)
  }

  /// Lets all threads run on and returns how long the target was stopped, and the threads that could not
  /// be let go, because they have not stopped yet: the kernel does that when our thread ends.
  consuming func endAtOnce() -> (length: Duration, late: [ThreadStopper.Tracee]) {
    let length = Duration.nanoseconds(stopper.release(grace: 0) - began)
    return (length, stopper.surrender())
  }

  /// Stops the attached threads and those that appear until they have stopped; returns whether new
  /// ones were still appearing at the end.
  private static func stopAll(
    _ stopper: inout ThreadStopper, patience: Int64, blockedPatience: Int64
  ) throws(StopError) -> Bool {
    stopper.interrupt(from: 0)
    try stopper.awaitStops(
      from: 0, until: later(patience), blocked: later(blockedPatience))
    let end = later(patience)
    for _ in 0..<rounds {
      let first = stopper.tracees.count
      // A list read while all known threads stand still, and without a new one, is complete.
      if try stopper.attachToNewThreads() == 0 { return false }
      stopper.interrupt(from: first)
      try stopper.awaitStops(from: first, until: end, blocked: later(blockedPatience))
    }
    return true
  }

  private static func later(_ nanoseconds: Int64) -> Int64 {
    let (sum, overflow) = cpt_now().addingReportingOverflow(nanoseconds)
    return overflow ? .max : sum
  }

  private static func readRegisters(
    of tid: Int32, into threads: inout [ThreadState], unreadable: inout [Int32]
  ) {
    var registers = cpt_registers()
    let result = unsafe cpt_get_registers(tid, &registers)
    guard result == 0, registers.is_32_bit == 0 else {
      unreadable.append(tid)
      return
    }
    let general = unsafe withUnsafeBytes(of: registers.general) { bytes in
      (0..<min(Int(registers.general_count), bytes.count / 8)).map {
        unsafe bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)
      }
    }
    threads.append(
      ThreadState(
        tid: tid, threadPointer: RemoteAddress(registers.thread_pointer),
        programCounter: RemoteAddress(registers.program_counter),
        stackPointer: RemoteAddress(registers.stack_pointer), registers: general,
        systemCall: systemCall(registers.call, argument: registers.argument)))
  }

  private static func systemCall(_ kind: Int32, argument: UInt64) -> ThreadState.SystemCall? {
    switch cpt_call_kind(UInt32(bitPattern: kind)) {
    case cpt_memory_call: .memory
    case cpt_futex_call: .futex(argument == 0 ? nil : RemoteAddress(argument))
    case cpt_other_call: .other
    default: nil
    }
  }
}
