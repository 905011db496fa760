// What ties a walk to the stops of the process that it walks.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import StopControl

/// Stops a process for a walk, as often as the budget has it.
final class PacedStops: WalkPacing {
  /// How often the first stop, and each of the others, is tried for a moment in which no thread is
  /// inside malloc.
  ///
  /// What moves in a later one is at most what that stop's part of the heap shows.
  private static let firstAttempts = 4
  private static let laterAttempts = 2
  /// After how many stops in a row for which that was in vain it is not tried any more: the process is
  /// always inside malloc.
  private static let patience = 2
  /// How often it is tried for the next stop.
  private var attempts = PacedStops.firstAttempts
  private var failures = 0

  private let process: LinuxProcess
  private let instances: [MallocInstance]
  private let arenas: [RemoteAddress]
  private let reader: LiveMemoryReader
  /// The stops.
  let sequence: StopSequence
  /// Why the last stop did not come about.
  private(set) var failure: StopError?
  /// Whether the present stop has a budget.
  private let isPaced: Bool

  let stopsTarget = true
  var isDue: Bool { isPaced && sequence.isDue }
  var isHalfOver: Bool { isPaced && sequence.isHalfOver }
  var hasStragglers: Bool { sequence.hasLateThreads }

  init(
    _ process: LinuxProcess, _ instances: [MallocInstance], arenas: [RemoteAddress],
    reader: LiveMemoryReader, budget: StopBudget, expected: Duration?,
    allowance: ProcessorAllowance?
  ) {
    self.process = process
    self.instances = instances
    self.arenas = arenas
    self.reader = reader
    sequence = StopSequence(process, budget: budget, expected: expected, allowance: allowance)
    isPaced = budget.longestPause != nil
  }

  func beginWork() {
    sequence.beginWork()
  }

  func letRun() {
    sequence.letRun()
  }

  func attend() {
    sequence.attend()
  }

  func proceed() throws(ReadFault) -> [ThreadState] {
    let (instances, arenas, reader) = (instances, arenas, reader)
    let retriesBefore = sequence.retries
    do throws(StopFault<ReadFault>) {
      let threads = try sequence.stop(attempts: attempts) { threads throws(ReadFault) in
        try HeapWalk.isQuiet(instances, arenas: arenas, threads: threads, reader: reader)
      }
      let isInVain = attempts > 1 && sequence.retries - retriesBefore >= attempts - 1
      failures = isInVain ? failures + 1 : attempts > 1 ? 0 : failures
      attempts = failures >= Self.patience ? 1 : Self.laterAttempts
      // It may have called exec meanwhile.
      if reader.isAddressSpaceInUse() == false { throw StopFault.other(ReadFault.targetGone) }
      return threads
    } catch {
      switch error {
      case .other(let fault): throw fault
      case .stop(let error):
        failure = error
        throw .targetGone
      }
    }
  }

  func mappings() throws(ReadFault) -> [MemoryMapping] {
    try mappingsWhileReading(process)
  }
}

/// Lets a process run while it is walked.
final class LivePacing: WalkPacing {
  private let process: LinuxProcess
  private let reader: LiveMemoryReader
  private var allowance: ProcessorAllowance?

  let stopsTarget = false
  let isDue = true
  let isHalfOver = true

  init(_ process: LinuxProcess, reader: LiveMemoryReader, allowance: ProcessorAllowance?) {
    self.process = process
    self.reader = reader
    self.allowance = allowance
  }

  func beginWork() {}

  func letRun() {}

  func attend() {}

  func proceed() throws(ReadFault) -> [ThreadState] {
    do throws(StopError) {
      try allowance?.pause(before: .milliseconds(1))
    } catch {
      throw .interrupted
    }
    // It may have called exec meanwhile.
    if reader.isAddressSpaceInUse() == false { throw .targetGone }
    return []
  }

  func mappings() throws(ReadFault) -> [MemoryMapping] {
    try mappingsWhileReading(process)
  }
}

private func mappingsWhileReading(
  _ process: LinuxProcess
) throws(ReadFault) -> [MemoryMapping] {
  do throws(TargetError) {
    return try process.mappings()
  } catch {
    throw .targetGone
  }
}
