// The main job: from a process to a report, with the target stopped in between.

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
/// everything else is done.
///
/// - Throws: a failure; the target runs on in any case.
func capture(
  _ process: LinuxProcess, _ request: CaptureRequest
) throws(Failure) -> HeapReport {
  let clock = ContinuousClock()
  let start = clock.now
  if process.requestedID != process.pid, !request.isQuiet {
    StandardError.write(
      "note: \(process.requestedID) is a thread of process \(process.pid); showing the process")
  }
  let mappings = try targetFailure { () throws(TargetError) in try process.mappings() }
  let target = try MallocTarget(process, mappings: mappings)
  let options = WalkOptions(
    pageSize: process.pageSize, collectsChunks: request.collectsChunks, scope: request.scope)
  let reader = LiveMemoryReader(process)
  let hints = try readFailure(process) { () throws(ReadFault) in
    try HeapWalk.survey(
      of: target.instance, reader: reader, mappings: mappings, options: options)
  }

  let copiedBefore = reader.copiedBytes
  let window = try stop(process)
  let threads = window.threads
  let stopFindings = window.findings
  let stopped = try targetFailure { () throws(TargetError) in try process.mappings() }
  var snapshot = try readFailure(process) { () throws(ReadFault) in
    try HeapWalk.snapshot(
      of: target.instance, reader: reader, mappings: stopped, threads: threads, options: options,
      hints: hints)
  }
  var residency: ResidencyMap?
  if request.wantsResidency {
    let ranges = snapshot.pagedRanges
    residency = try targetFailure { () throws(TargetError) in try process.residency(of: ranges) }
  }
  let copied = reader.copiedBytes - copiedBefore
  let pause = window.end()

  if case .arena(let index) = request.scope, snapshot.arenas.isEmpty {
    throw Failure(code: .usage, fact: "process \(process.pid) has no arena \(index)")
  }
  snapshot.findings = target.findings + stopFindings + snapshot.findings
  return HeapReport(
    target: TargetFacts(
      pid: process.pid, namespacedPid: process.namespacedPid, command: process.command,
      executable: process.executable, threads: threads.count,
      glibcVersion: target.instance.glibcVersion,
      arenaLayout: target.instance.arenaLayout.name, container: process.container),
    capture: CaptureFacts(
      mode: .stop, consistency: .atomic, stops: 1, longestStop: pause, totalStop: pause,
      elapsed: clock.now - start, copiedBytes: copied),
    snapshot: snapshot, residency: residency)
}

/// Stops every thread of `process`.
///
/// - Throws: a failure that says why attaching is not possible.
private func stop(_ process: LinuxProcess) throws(Failure) -> StopWindow {
  do throws(StopError) {
    return try StopWindow(process: process, deadline: .milliseconds(250))
  } catch {
    throw Failure(error, process: process)
  }
}

private func targetFailure<Value: ~Copyable>(
  _ body: () throws(TargetError) -> Value
) throws(Failure) -> Value {
  do throws(TargetError) {
    return try body()
  } catch {
    throw Failure(error)
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

extension HeapSnapshot {
  /// The memory whose residency the arenas' table tells: segments, and mmapped chunks.
  fileprivate var pagedRanges: [AddressRange] {
    arenas.flatMap(\.segments) + chunks.filter { $0.arena == nil }.map(\.range)
  }
}
