// A process that is captured again and again, until it ends or becomes another program.

import HeapAnalysis
import HeapModel
import LinuxTarget
import RemoteMemory

/// Why there are no more samples of a process.
enum WatchEnd: Error {
  /// As many were taken as asked for.
  case complete
  /// The user wanted no more.
  case quit
  /// SIGINT, SIGTERM or SIGHUP.
  case interrupted
  /// The process ended; if its program runs again, as which process.
  case ended(pid: Int32, successor: Int32?)
  /// The process executed another program.
  case executed(pid: Int32, executable: String)
  /// It could not be captured.
  case failed(Failure)

  /// The reason in words, without a full stop.
  var words: String {
    switch self {
    case .complete: "all samples were taken"
    case .quit: "ended by the user"
    case .interrupted: "interrupted"
    case .ended(let pid, nil): "process \(pid) ended"
    case .ended(let pid, let successor?):
      "process \(pid) ended; its program runs as \(successor) now"
    case .executed(let pid, let executable):
      "process \(pid) started another program (\(executable.isEmpty ? "?" : executable))"
    case .failed(let failure): failure.fact
    }
  }
}

/// What one capture has shown.
struct WatchSample: Sendable {
  /// The heap.
  var report: HeapReport
  /// What the kernel said just before.
  var memory: ProcessMemory
  /// When it was taken, in seconds of `WatchClock`.
  var time: Double
  /// The first bytes of each of the report's chunks, if they were asked for.
  var contents: [RemoteAddress: [UInt8]] = [:]
}

/// Captures one process time after time.
struct WatchedProcess: Sendable {
  /// How many bytes of a chunk are shown.
  private static let contentsLength = 32
  /// Of how many chunks.
  private static let contentsLimit = 500

  /// The process as it was first seen.
  let process: LinuxProcess
  /// How it is captured.
  var request: CaptureRequest
  /// Whether the contents of chunks that are kept are read.
  var wantsContents = false

  /// Captures it now.
  ///
  /// - Throws: why there are no more samples; `.failed` with a transient failure if another try may
  ///   succeed.
  func sample() throws(WatchEnd) -> WatchSample {
    // Through which of its threads it can be read changes when the first one ends.
    let process = try checkIdentity()
    let time = WatchClock.now
    let memory: ProcessMemory
    let report: HeapReport
    do throws(Failure) {
      memory = try targetFailure(process) { () throws(TargetError) in try process.memory() }
      report = try capture(process, request)
    } catch {
      if error.code == .interrupted { throw .interrupted }
      // What went wrong may be that it is gone.
      _ = try checkIdentity()
      // If not, only the thread that it was read through is.
      var failure = error
      if failure.code == .noInput { failure.isTransient = true }
      throw .failed(failure)
    }
    // A capture that came after an exec is of another program.
    _ = try checkIdentity()
    var sample = WatchSample(report: report, memory: memory, time: time)
    if wantsContents { sample.contents = contents(of: report.snapshot.chunks) }
    return sample
  }

  /// Makes sure that the process is the one that was first seen, and returns it as it is now.
  private func checkIdentity() throws(WatchEnd) -> LinuxProcess {
    let now: LinuxProcess
    do throws(TargetError) {
      now = try LinuxProcess.inspect(process.pid, proc: process.proc)
    } catch {
      switch error {
      case .noSuchProcess, .ended, .zombie: throw ended
      default: throw .failed(Failure(error, of: process))
      }
    }
    guard now.startTime == process.startTime else { throw ended }
    // A program break that begins elsewhere is an exec's, even of the same file. Without any, the first
    // thread has ended and others have not.
    let isSame = now.startBreak == nil || now.startBreak == process.startBreak
    if isSame, now.executable == process.executable { return now }
    // Just before it is seen to have ended it has no memory any more, and so no program.
    if now.executable.isEmpty, (try? now.memory())?.residentBytes == nil { throw ended }
    throw .executed(pid: process.pid, executable: now.executable)
  }

  private var ended: WatchEnd {
    .ended(pid: process.pid, successor: successor)
  }

  /// The process that runs the same program in the same container and was started after the one that
  /// ended, if there is exactly one.
  private var successor: Int32? {
    guard !process.executable.isEmpty, let listings = try? LinuxProcess.all(proc: process.proc)
    else { return nil }
    let candidates = listings.filter { $0.command == process.command }.compactMap { listing in
      try? LinuxProcess.inspect(listing.pid, proc: process.proc)
    }.filter {
      $0.executable == process.executable && $0.container == process.container
        && $0.startTime > process.startTime
    }
    return candidates.count == 1 ? candidates[0].pid : nil
  }

  /// What chunks in use begin with, as far as it can be read: a moment after they were found.
  private func contents(of chunks: [Chunk]) -> [RemoteAddress: [UInt8]] {
    let reader = LiveMemoryReader(process)
    var found: [RemoteAddress: [UInt8]] = [:]
    for chunk in chunks where chunk.state == .inUse && found.count < Self.contentsLimit {
      var buffer = PageBuffer(byteCount: Self.contentsLength)
      let wanted = Int(min(UInt64(Self.contentsLength), chunk.usableSize))
      guard let count = try? buffer.fill(wanted, from: chunk.userAddress, of: reader) else {
        continue
      }
      found[chunk.userAddress] = buffer.withPrefix(count) { Array($0) }
    }
    return found
  }
}
