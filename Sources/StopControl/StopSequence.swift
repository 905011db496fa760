// Stop after stop of one process, each within a budget, with the process running in between.

import CPtrace
package import HeapModel
package import LinuxTarget

/// The stops of one process, of which at most one lasts at any time.
///
/// A class, since what it controls is one process. All its calls must come from one thread, that of a
/// `TracerThread`. Between two stops we are attached to no thread of the process, but to those that have
/// not stopped yet, which the kernel does not let us detach: they are let go as soon as they have.
package final class StopSequence {
  /// For how long a thread is waited for.
  package static let deadline = Duration.milliseconds(100)
  /// How long a thread is waited for that waits in the kernel, in state D, if the pauses have a budget:
  /// it runs none of the program's code before it stops.
  private static let blockedDeadline = Duration.milliseconds(1)
  /// How often threads that could not be let go are looked at while the process runs, in nanoseconds.
  private static let lateInterval: Int64 = 500_000
  /// The longest work for which we take precedence over all others.
  private static let longestHurry = Duration.seconds(1)
  /// How long a process is let run that was stopped at a bad moment.
  private static let retryPause: Int64 = 1_000_000

  private let process: LinuxProcess
  private let budget: StopBudget
  /// What each stop is expected to use of a processor, in nanoseconds.
  private let expectedWork: Int64
  /// What is left of our own processor quota, nil if there is none that matters.
  private var allowance: ProcessorAllowance?
  private var window: StopWindow?
  /// When the present stop began, of `CLOCK_MONOTONIC` in nanoseconds.
  private var began: Int64 = 0
  /// When work in the present stop should end, of `CLOCK_MONOTONIC` in nanoseconds.
  private var workEnd: Int64 = .max
  /// How long the target must run before it is stopped again, and since when it does.
  private var restLength: Int64 = 0
  private var restStart: Int64 = 0
  private var lastRelease: Int64 = 0
  /// Whether we take precedence over other processes in a stop, if we may: not for so long that they
  /// would suffer.
  package private(set) var takesPrecedence: Bool
  /// The threads that could not be let go.
  private var late: [ThreadStopper.Tracee] = []
  /// The threads of which was said that something is not known.
  private var told: Set<Int32> = []

  /// How often the process was stopped.
  package private(set) var stops = 0
  /// How many of the stops were ended at once, because it was a bad moment.
  package private(set) var retries = 0
  /// The longest stop.
  package private(set) var longestStop = Duration.zero
  /// All stops together.
  package private(set) var totalStop = Duration.zero
  /// What of the threads was not known in any of the stops, each told once.
  package private(set) var findings: [Finding] = []
  /// How many threads there were in the first stop.
  package private(set) var threadCount = 0

  /// Prepares for stopping `process`, of which all stops together are `expected` to take so long.
  ///
  /// With an `allowance` the process is not stopped before what a stop needs of it is there: the budget's
  /// longest pause should be no longer than what it has.
  package init(
    _ process: LinuxProcess, budget: StopBudget, expected: Duration? = nil,
    allowance: ProcessorAllowance? = nil
  ) {
    self.process = process
    self.allowance = allowance
    self.budget = budget
    let work = [budget.longestPause, expected].compactMap { $0 }.min()
    expectedWork = (work ?? allowance?.longestStop ?? .zero).wholeNanoseconds
    takesPrecedence =
      budget.longestPause != nil || expected.map { $0 <= Self.longestHurry } ?? false
  }

  /// Whether work in the present stop should end.
  package var isDue: Bool { cpt_now() >= workEnd }

  /// Whether half of the present stop's time for work is over.
  package var isHalfOver: Bool { workEnd != .max && cpt_now() >= began + (workEnd - began) / 2 }

  /// Says that what every stop needs is done, so that the stop's own work begins now.
  package func beginWork() {
    workEnd = budget.workEnd(began: began, now: cpt_now(), release: lastRelease)
  }

  /// Stops the process, after it has run as long as the budget has it, and returns its threads.
  ///
  /// At a moment for which `isGood` says no it is let run for a millisecond and stopped again, at most
  /// `attempts` times in all; the last moment is taken as it is.
  ///
  /// - Throws: `StopError`, and what `isGood` throws; the process runs then.
  package func stop<Fault: Error>(
    attempts: Int, isGood: ([ThreadState]) throws(Fault) -> Bool
  ) throws(StopFault<Fault>) -> [ThreadState] {
    letRun()
    for attempt in 1...max(1, attempts) {
      let threads: [ThreadState]
      do throws(StopError) {
        try rest()
        threads = try stopOnce()
      } catch {
        throw .stop(error)
      }
      if attempt >= attempts { return threads }
      do throws(Fault) {
        if try isGood(threads) { return threads }
      } catch {
        letRun()
        throw .other(error)
      }
      retries += 1
      letRun()
      restLength = max(restLength, Self.retryPause)
    }
    return []
  }

  /// Lets the process run, if it does not.
  package func letRun() {
    guard let window = window.take() else { return }
    let before = cpt_now()
    let (length, late) = window.endAtOnce()
    restStart = cpt_now()
    if takesPrecedence { _ = cpt_hurry(0) }
    self.late = late
    lastRelease = restStart - before
    longestStop = max(longestStop, length)
    totalStop += length
    restLength = budget.rest(after: length.wholeNanoseconds)
    workEnd = .max
  }

  /// Whether there are threads that did not stop in time and are to be let go when they do.
  package var hasLateThreads: Bool { !late.isEmpty }

  /// Lets those threads go that have stopped only now, while the process runs.
  package func attend() {
    if !late.isEmpty, window == nil { late = ThreadStopper.letGo(late, of: process) }
  }

  private func stopOnce() throws(StopError) -> [ThreadState] {
    let next = try StopWindow(
      process: process, deadline: Self.deadline,
      blockedDeadline: budget.longestPause == nil ? Self.deadline : Self.blockedDeadline,
      late: late)
    late = []
    // While the process stands still nobody else should have our processor, if we may say so.
    if takesPrecedence { takesPrecedence = cpt_hurry(1) == 0 }
    stops += 1
    began = next.began
    beginWork()
    let threads = next.threads
    findings += next.findings(exceptOf: told)
    told.formUnion(next.notStopped.map(\.tid) + next.unreadable)
    if stops == 1 {
      threadCount = threads.count + next.notStopped.count + next.unreadable.count
    }
    window = consume next
    return threads
  }

  /// Waits until the process has run long enough.
  private func rest() throws(StopError) {
    let quotaRest = allowance?.rest(before: expectedWork) ?? 0
    let end = max(restStart + restLength, quotaRest > 0 ? cpt_now() + quotaRest : 0)
    while true {
      let signal = cpt_interrupted()
      if signal != 0 { throw .interrupted(signal: signal) }
      let left = end - cpt_now()
      if left <= 0 { return }
      attend()
      // In pieces, so that an interruption is noticed.
      cpt_pause(min(left, late.isEmpty ? 20_000_000 : Self.lateInterval))
    }
  }
}

/// Why a stop of a sequence did not come about.
package enum StopFault<Fault: Error>: Error {
  /// The process could not be stopped.
  case stop(StopError)
  /// What was done in the stop failed.
  case other(Fault)
}
