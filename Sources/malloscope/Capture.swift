// The main job: from a process to a report, with the target stopped in between.

import CPtrace
import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import StopControl
import Symbols

/// What a verb needs from a capture.
struct CaptureRequest {
  /// What part of the heap to look at.
  var scope = WalkOptions.Scope.everything
  /// Whether every chunk is needed, not only their counts.
  var collectsChunks = false
  /// Whether it matters which pages are in memory.
  var wantsResidency = false
  /// Whether notes go to standard error.
  var isQuiet = false
}

/// Captures the heap of `process` in one stop.
///
/// Everything that can be known before is known before: which files are mapped, where malloc is, where
/// its mmapped chunks were a moment ago. In the stop, the memory is read and walked; afterwards
/// everything else is done. A process that is just starting a program is given two more tries.
///
/// - Throws: a failure; the target runs on in any case.
func capture(
  _ process: LinuxProcess, _ request: CaptureRequest
) throws(Failure) -> HeapReport {
  if process.requestedID != process.pid, !request.isQuiet {
    StandardError.write(
      "note: \(process.requestedID) is a thread of process \(process.pid); showing the process")
  }
  do throws(Failure) {
    for _ in 1..<3 {
      do throws(Failure) {
        return try captureWhileItLives(process, request)
      } catch  where error.isTransient {
        cpt_pause(5_000_000)
      }
    }
    return try captureWhileItLives(process, request)
  } catch {
    // A process on its way out loses its files, its maps and its memory, one after the other.
    guard error.code == .unsupported || error.code == .inputOutput else { throw error }
    let hasMemory = (try? process.mappings())?.isEmpty == false
    if hasMemory, process.isStillTheSame() { throw error }
    throw Failure(TargetError.ended(pid: process.pid))
  }
}

private func captureWhileItLives(
  _ process: LinuxProcess, _ request: CaptureRequest
) throws(Failure) -> HeapReport {
  let clock = ContinuousClock()
  let start = clock.now
  let mappings = try targetFailure(process) { () throws(TargetError) in try process.mappings() }
  let reader = LiveMemoryReader(process)
  let options = WalkOptions(
    pageSize: process.pageSize, collectsChunks: request.collectsChunks, scope: request.scope)
  // The few pages without which nothing can be told are brought back now, and none in the stop.
  reader.readsSwapped = true
  let target = try MallocTarget(process, mappings: mappings, reader: reader)
  try readFailure(process) { () throws(ReadFault) in
    try HeapWalk.bringBackStructures(
      of: target.instance, reader: reader, mappings: mappings, options: options)
  }
  reader.readsSwapped = false
  var surveyOptions = options
  // A TiB: nobody waits for it but the user.
  surveyOptions.searchedPages = 1 << 28
  let hints = try readFailure(process) { () throws(ReadFault) in
    try HeapWalk.survey(
      of: target.instance, reader: reader, mappings: mappings, options: surveyOptions)
  }

  let stopped = try TracerThread.run { () throws(Failure) -> StoppedCapture in
    try StoppedCapture(
      process, target, reader: reader, options: options, hints: hints,
      wantsResidency: request.wantsResidency)
  }
  var snapshot = stopped.heap.snapshot()
  snapshot.findings = target.findings + stopped.findings + snapshot.findings
  if case .arena(let index) = request.scope, snapshot.arenas.isEmpty {
    throw Failure(code: .usage, fact: "process \(process.pid) has no arena \(index)")
  }
  return HeapReport(
    target: TargetFacts(
      pid: process.pid, namespacedPid: process.namespacedPid, command: process.command,
      executable: process.executable + (process.isExecutableDeleted ? " (deleted)" : ""),
      threads: stopped.threadCount,
      glibcVersion: target.instance.glibcVersion,
      arenaLayout: target.instance.arenaLayout.name, container: process.container),
    capture: CaptureFacts(
      mode: .stop, consistency: .atomic, stops: 1, longestStop: stopped.pause,
      totalStop: stopped.pause,
      elapsed: clock.now - start, copiedBytes: stopped.copiedBytes),
    snapshot: snapshot, residency: stopped.residency)
}

/// What one stop of the target yields.
private struct StoppedCapture {
  /// The heap as it was read.
  var heap: CollectedHeap
  var residency: ResidencyMap?
  /// What of the threads is not known.
  var findings: [Finding]
  var threadCount: Int
  var copiedBytes: UInt64
  /// How long the target was stopped.
  var pause: Duration

  /// Stops `process`, walks its heap, and lets it go.
  ///
  /// To be run on a thread that ends afterwards: the kernel then lets go even of threads that did not
  /// stop in time.
  ///
  /// - Throws: a failure, after the target was let go.
  init(
    _ process: LinuxProcess, _ target: MallocTarget, reader: LiveMemoryReader,
    options: WalkOptions, hints: HeapHints, wantsResidency: Bool
  ) throws(Failure) {
    let copiedBefore = reader.copiedBytes
    let buffers = WalkBuffers()
    let window = try stop(process)
    let threads = window.threads
    let mappings = try targetFailure(process) { () throws(TargetError) in try process.mappings() }
    guard target.isMapped(in: mappings) else {
      throw Failure(
        code: .noInput,
        fact: "process \(process.pid) started another program while it was being looked at",
        hints: ["run malloscope again"], isTransient: true)
    }
    do throws(ReadFault) {
      heap = try HeapWalk.collect(
        of: target.instance, reader: reader, mappings: mappings, threads: threads, options: options,
        hints: hints, buffers: buffers)
    } catch {
      throw Failure(error, pid: process.pid)
    }
    if wantsResidency {
      let ranges = heap.memoryRanges
      residency = try targetFailure(process) { () throws(TargetError) in
        try process.residency(of: ranges)
      }
    }
    findings = window.findings
    threadCount = threads.count + window.notStopped.count + window.unreadable.count
    copiedBytes = reader.copiedBytes - copiedBefore
    pause = window.end()
  }
}

/// Stops every thread of `process`.
///
/// - Throws: a failure that says why attaching is not possible.
private func stop(_ process: LinuxProcess) throws(Failure) -> StopWindow {
  do throws(StopError) {
    return try StopWindow(process: process, deadline: .milliseconds(100))
  } catch {
    throw Failure(error, process: process)
  }
}

private func targetFailure<Value>(
  _ process: LinuxProcess, _ body: () throws(TargetError) -> Value
) throws(Failure) -> Value {
  do throws(TargetError) {
    return try body()
  } catch {
    throw Failure(error, of: process)
  }
}

private func readFailure<Value>(
  _ process: LinuxProcess, _ body: () throws(ReadFault) -> Value
) throws(Failure) -> Value {
  do throws(ReadFault) {
    return try body()
  } catch {
    throw Failure(error, pid: process.pid)
  }
}
