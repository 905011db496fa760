// The ways to capture one process, prepared.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import StopControl

/// A heap as it was read, and what reading it cost.
struct CapturedHeap {
  var heap: CollectedHeaps
  /// What of the threads is not known.
  var findings: [Finding]
  var threadCount: Int
  var facts: CaptureFacts
}

/// A process of which is known what can be known before it is stopped.
struct CaptureSubject {
  let process: LinuxProcess
  let target: MallocTarget
  /// The mappings as they were when it was prepared.
  let mappings: [MemoryMapping]
  let options: WalkOptions
  /// What an unstopped look has shown of each copy of malloc, and of all together.
  let hints: [HeapHints]
  let allHints: HeapHints
  /// What capturing it will take.
  let estimate: CaptureEstimate
  /// What may be used of a processor without being made to wait, nil if there is no limit that matters.
  let allowance: ProcessorAllowance?
  /// Who is shown the beginnings of chunks, nil if nobody is.
  let types: ChunkTypes?

  /// As many small chunks are read in 5 ms, or more.
  private static let chunksInStop = 1 << 18

  /// Room for the beginnings of chunks, nil if they are not wanted.
  ///
  /// Where work can be done between stops, a stop's are looked at before the next.
  private func beginnings(isPaced: Bool) -> ChunkBeginnings? {
    types.map { types in
      let chunks = Int(clamping: estimate.chunks &+ estimate.chunks / 32)
      return ChunkBeginnings(
        expected: isPaced ? min(chunks, Self.chunksInStop) : chunks, inHugePages: !isPaced,
        reader: types)
    }
  }

  /// Captures it.
  ///
  /// - Throws: a failure; the target runs on in any case.
  func capture(_ request: CaptureRequest) throws(Failure) -> CapturedHeap {
    let freezer =
      request.mode == .live ? nil : Freezer.state(of: process.pid, proc: process.proc)
    // No thread of a frozen process makes the system call that a clone needs.
    if let freezer, freezer.preventsStops || request.mode == .fork {
      return try captureFrozen(freezer, request)
    }
    switch request.mode {
    case .live: return try captureLive()
    case .auto, .slices, .stop: break
    case .fork: return try captureFork()
    }
    // On a thread that ends afterwards: the kernel then lets go even of threads that did not stop in
    // time.
    return try TracerThread.run { () throws(Failure) in try captureInStops(request) }
  }

  // MARK: Stops

  private func captureInStops(_ request: CaptureRequest) throws(Failure) -> CapturedHeap {
    let isPaced = request.mode != .stop
    // First, since it is made on another thread while the rest is prepared.
    let beginnings = beginnings(isPaced: isPaced)
    let reader = LiveMemoryReader(process)
    let longestPause = isPaced ? allowedPause(request) : nil
    let largestRead = largestRead(within: longestPause)
    let pacing = PacedStops(
      process, target.instances, arenas: allHints.arenas, reader: reader,
      budget: StopBudget(
        longestPause: longestPause, stoppedShare: request.stoppedShare,
        expected: estimate.stopLength),
      expected: estimate.stopLength, allowance: allowance)
    reader.rememberResident(allHints.memory, pageSize: process.pageSize)
    if pacing.sequence.takesPrecedence { reader.startAssistant() }
    let copiedBefore = reader.copiedBytes
    let heap = try stopFailure(pacing) { () throws(ReadFault) in
      let buffers = WalkBuffers(largestRead: largestRead, beginnings: beginnings)
      // Of a process with thousands of mappings, reading them takes longer than a stop may last.
      let before: DataRanges? = if isPaced { try data(pacing) } else { nil }
      beginnings?.waitForRoom()
      let threads = try pacing.proceed()
      let data = if let before { before } else { try data(pacing) }
      let heap = try HeapWalk.collect(
        of: target.instances, reader: reader, data: data, threads: threads,
        options: options, hints: hints, buffers: buffers, pacing: isPaced ? pacing : nil)
      pacing.letRun()
      return heap
    }
    let stops = pacing.sequence
    let isAtomic = stops.stops - stops.retries <= 1
    return CapturedHeap(
      heap: heap, findings: stops.findings, threadCount: stops.threadCount,
      facts: CaptureFacts(
        mode: request.mode == .auto && isAtomic ? .stop : isPaced ? .slices : .stop,
        consistency: isAtomic ? .atomic : .sliced, stops: stops.stops,
        longestStop: stops.longestStop, totalStop: stops.totalStop, elapsed: .zero,
        copiedBytes: reader.copiedBytes - copiedBefore, retries: stops.retries))
  }

  /// Where chunks can be, of the process if it still is the program that it was.
  private func data(_ pacing: PacedStops) throws(ReadFault) -> DataRanges {
    let mappings = try pacing.mappings()
    guard target.isMapped(in: mappings) else { throw .targetGone }
    return DataRanges(mappings)
  }

  /// Runs what reads in stops; whatever happens, the target runs afterwards.
  private func stopFailure(
    _ pacing: PacedStops, _ body: () throws(ReadFault) -> CollectedHeaps
  ) throws(Failure) -> CollectedHeaps {
    defer { pacing.letRun() }
    do throws(ReadFault) {
      return try body()
    } catch {
      pacing.letRun()
      if let failure = pacing.failure { throw Failure(failure, process: process) }
      throw failure(error)
    }
  }

  /// What a fault while reading the process itself means.
  private func failure(_ fault: ReadFault) -> Failure {
    guard fault == .targetGone, process.isStillTheSame() else {
      return Failure(fault, pid: process.pid)
    }
    return Failure(
      code: .noInput,
      fact: "process \(process.pid) started another program while it was being looked at",
      hints: ["run malloscope again"], isTransient: true)
  }

  /// How long one stop may last.
  private func allowedPause(_ request: CaptureRequest) -> Duration {
    min(request.longestPause, allowance?.longestStop ?? request.longestPause)
  }

  /// How much may be read at once so that a stop can end in time.
  private func largestRead(within pause: Duration?) -> Int {
    let most = WalkBuffers.largestRead
    guard let pause, let nanosecondsPerByte = estimate.nanosecondsPerByte else { return most }
    let (seconds, attoseconds) = pause.components
    let length = Double(seconds) * 1e9 + Double(attoseconds) / 1e9
    return min(most, max(128 << 10, Int(length / 16 / nanosecondsPerByte)))
  }

  // MARK: Live

  private func captureLive() throws(Failure) -> CapturedHeap {
    let reader = LiveMemoryReader(process)
    let mappings = try targetFailure(process) { () throws(TargetError) in try process.mappings() }
    let threads = try targetFailure(process) { () throws(TargetError) in
      try process.threadIDs().count
    }
    let heap: CollectedHeaps
    do throws(ReadFault) {
      guard target.isMapped(in: mappings) else { throw .targetGone }
      heap = try HeapWalk.collect(
        of: target.instances, reader: reader, data: DataRanges(mappings), threads: [],
        options: options,
        hints: hints, buffers: WalkBuffers(beginnings: beginnings(isPaced: true)),
        pacing: LivePacing(process, reader: reader, allowance: allowance))
      if reader.isAddressSpaceInUse() == false { throw .targetGone }
    } catch {
      throw failure(error)
    }
    return CapturedHeap(
      heap: heap, findings: [], threadCount: threads,
      facts: CaptureFacts(
        mode: .live, consistency: .live, stops: 0, longestStop: .zero, totalStop: .zero,
        elapsed: .zero, copiedBytes: reader.copiedBytes))
  }

  /// Reads the process as it stands: nothing of it runs, and its threads would not stop.
  private func captureFrozen(
    _ freezer: Freezer, _ request: CaptureRequest
  ) throws(Failure) -> CapturedHeap {
    let fact = "its control group \(freezer.directory) is frozen (docker pause)"
    guard request.mode != .fork else {
      throw Failure(
        code: .unsupported, fact: "process \(process.pid) was not cloned: \(fact)",
        hints: ["thaw it (docker unpause)", "read it as it stands: without --capture fork"])
    }
    if !request.isQuiet {
      StandardError.write("note: process \(process.pid) is read without a stop: \(fact)")
    }
    var captured = try captureLive()
    // If it still is, nothing has moved meanwhile.
    if Freezer.state(of: process.pid, proc: process.proc) == freezer {
      captured.facts.consistency = .atomic
    }
    return captured
  }

  // MARK: Fork

  private func captureFork() throws(Failure) -> CapturedHeap {
    let original = LiveMemoryReader(process)
    var allowance = allowance
    do throws(StopError) {
      try allowance?.pause(before: .milliseconds(1))
    } catch {
      throw Failure(error, process: process)
    }
    let clone: ProcessClone
    do throws(CloneError) {
      clone = try ProcessClone(of: process, keeper: .malloscope, room: CloneRoom(for: process))
    } catch {
      throw Failure(error, process: process)
    }
    // It may have called exec before it was cloned.
    if original.isAddressSpaceInUse() == false { throw failure(.targetGone) }
    let (heap, copiedBytes) = try read(clone: clone.pid, threads: clone.threads)
    var findings = clone.findings
    let threadCount = clone.threadCount
    let earlier = clone.earlierStops
    var stops = earlier
    stops.append(clone.firstStop)
    switch Self.lastStop(of: clone) {
    case .success(let stop): stops.append(stop)
    case .failure(let error): findings.append(Finding(.clone, at: nil, error.fact))
    }
    return CapturedHeap(
      heap: heap, findings: findings, threadCount: threadCount,
      facts: CaptureFacts(
        mode: .fork, consistency: .atomic, stops: stops.count, longestStop: stops.max() ?? .zero,
        totalStop: stops.reduce(.zero, +), elapsed: .zero, copiedBytes: copiedBytes,
        retries: earlier.count))
  }

  /// Ends `clone` and returns how long the target was stopped for that.
  private static func lastStop(of clone: consuming ProcessClone) -> Result<Duration, CloneError> {
    do throws(CloneError) {
      return .success(try clone.end())
    } catch {
      return .failure(error)
    }
  }

  /// Reads the heap of the clone `pid`, which has these `threads`.
  private func read(
    clone pid: Int32, threads: [ThreadState]
  ) throws(Failure) -> (CollectedHeaps, copiedBytes: UInt64) {
    let copy: LinuxProcess
    let mappings: [MemoryMapping]
    do throws(TargetError) {
      copy = try LinuxProcess.inspect(pid, proc: process.proc)
      mappings = try copy.mappings()
    } catch {
      switch error {
      case .noSuchProcess, .ended, .zombie: throw .cloneEnded(of: process)
      default: throw Failure(error, of: process)
      }
    }
    guard target.isMapped(in: mappings) else { throw failure(.targetGone) }
    let reader = LiveMemoryReader(copy)
    // What is swapped out is brought back for the clone alone.
    reader.readsSwapped = true
    do throws(ReadFault) {
      let heap = try HeapWalk.collect(
        of: target.instances, reader: reader, data: DataRanges(mappings), threads: threads,
        options: options, hints: hints, buffers: WalkBuffers(beginnings: beginnings(isPaced: false))
      )
      // The memory of what has ended reads as if it had never been touched.
      guard reader.isAddressSpaceInUse() != false else { throw ReadFault.targetGone }
      return (heap, reader.copiedBytes)
    } catch {
      if error == .targetGone { throw .cloneEnded(of: process) }
      throw Failure(error, pid: process.pid)
    }
  }
}
