// The main job: from a process to a report, with the target stopped in between.

import CPtrace
import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import StopControl
import Symbols

/// Captures the heap of `process`.
///
/// Everything that can be known before is known before: which files are mapped, where malloc is, where
/// its mmapped and its large chunks were a moment ago. In a stop, memory is read and walked; afterwards
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
  // Ctrl-Z would stop us with the target.
  _ = cpt_hold_suspension(1)
  defer { _ = cpt_hold_suspension(0) }
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
  let allowance = ProcessorAllowance(request.processorQuota(proc: process.proc))
  let mappings = try targetFailure(process) { () throws(TargetError) in try process.mappings() }
  let reader = LiveMemoryReader(process)
  var options = WalkOptions(
    pageSize: process.pageSize, collectsChunks: request.collectsChunks || request.tellsTypes,
    scope: request.scope)
  options.sample = request.sample
  options.collectsReferences = request.findsOwners
  options.tagsMemory = process.isToldToTagMemory
  // The few pages without which nothing can be told are brought back now, and none in the stop.
  reader.readsSwapped = true
  let target = try MallocTarget(process, mappings: mappings, reader: reader, request)
  if case .malloc(let index) = request.scope, index >= target.instances.count {
    throw Failure(
      code: .usage,
      fact: "process \(process.pid) has no copy \(index) of malloc: "
        + "\(target.instances.count == 1 ? "one holds" : "\(target.instances.count) hold") memory, "
        + "counted from 0 on")
  }
  try readFailure(process) { () throws(ReadFault) in
    for instance in target.instances {
      try HeapWalk.bringBackStructures(
        of: instance, reader: reader, mappings: mappings, options: options)
    }
  }
  reader.readsSwapped = false
  var surveyOptions = options
  // A TiB: nobody waits for it but the user.
  surveyOptions.searchedPages = 1 << 28
  let hints = try readFailure(process) { () throws(ReadFault) in
    try HeapWalk.survey(
      of: target.instances, reader: reader, mappings: mappings, options: surveyOptions)
  }

  let sample = CopySample(of: mappings, pageSize: process.pageSize, reader: reader)
  let allHints = HeapHints.joined(hints)
  let estimate = CaptureEstimate(allHints, sample)
  try estimate.checkMemory(request, process: process)
  if !request.isQuiet, let notice = estimate.notice(request, allowance: allowance) {
    StandardError.write(notice)
  }

  let subject = CaptureSubject(
    process: process, target: target, mappings: mappings, options: options, hints: hints,
    allHints: allHints, estimate: estimate, allowance: allowance,
    types: request.tellsTypes ? ChunkTypes(process, mappings: mappings, request) : nil)
  var captured = try subject.capture(request)
  var residency: ResidencyMap?
  if request.wantsResidency {
    do throws(TargetError) {
      residency = try process.residency(of: captured.heap.memoryRanges)
    } catch {
      guard error.isRefusal else { throw Failure(error, of: process) }
      captured.findings.append(
        Finding(
          .unreadable, at: nil,
          "which pages are in memory is not known: \(error.fact), which CAP_DAC_READ_SEARCH allows")
      )
    }
  }
  var facts = captured.facts
  var snapshot = snapshot(of: &captured, target)
  let held = subject.types?.finish(&snapshot)
  let seen = target.witnesses.compared(with: snapshot)
  snapshot.findings += seen.findings
  facts.resynchronisations = snapshot.resynchronisations
  facts.elapsed = clock.now - start
  if case .arena(let index) = request.scope, snapshot.arenas.isEmpty {
    throw Failure(code: .usage, fact: "process \(process.pid) has no arena \(index)")
  }
  var report = HeapReport(
    target: TargetFacts(
      pid: process.pid, namespacedPid: process.namespacedPid, command: process.command,
      executable: process.executable + (process.isExecutableDeleted ? " (deleted)" : ""),
      threads: captured.threadCount,
      glibcVersion: target.first.glibcVersion,
      arenaLayout: target.first.arenaLayout.name, container: process.container,
      evidence: seen.evidence),
    capture: facts, snapshot: snapshot, residency: residency,
    mappedDataBytes: mappings.reduce(0) {
      $0 &+ ($1.isPrivateAnonymousData ? $1.range.byteCount : 0)
    })
  report.held = held
  return report
}

private func snapshot(of captured: inout CapturedHeap, _ target: MallocTarget) -> HeapSnapshot {
  var snapshot = captured.heap.snapshot()
  snapshot.findings = target.findings + captured.findings + snapshot.findings
  return snapshot
}

/// Runs what may fail with a `TargetError` and throws a failure of `process` instead.
func targetFailure<Value>(
  _ process: LinuxProcess, _ body: () throws(TargetError) -> Value
) throws(Failure) -> Value {
  do throws(TargetError) {
    return try body()
  } catch {
    throw Failure(error, of: process)
  }
}

/// Runs what may fail with a `ReadFault` and throws a failure of `process` instead.
func readFailure<Value>(
  _ process: LinuxProcess, _ body: () throws(ReadFault) -> Value
) throws(Failure) -> Value {
  do throws(ReadFault) {
    return try body()
  } catch {
    throw Failure(error, pid: process.pid)
  }
}
