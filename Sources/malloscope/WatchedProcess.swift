// A process that is captured again and again, until it ends or becomes another program.

import CPtrace
import GlibcHeap
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
  /// How much of a processor it took.
  var used: Duration
  /// Chunks of a row, if they were asked for.
  var listing: ChunkListing?
  /// The first bytes of those of them that are in use, if they were asked for.
  var contents: [RemoteAddress: [UInt8]] = [:]
}

/// Captures one process time after time.
struct WatchedProcess: Sendable {
  /// How many bytes of a chunk are shown.
  private static let contentsLength = 32
  /// How many chunks of a row are fetched, and how many of them are listed.
  private static let fetchedChunks = 1 << 16
  private static let listedChunks = 500

  /// The process as it was first seen.
  let process: LinuxProcess
  /// How it is captured.
  var request: CaptureRequest
  /// The row of which chunks are listed.
  private var listedRow: GrowthKey?
  /// Whether their contents are read.
  private var wantsContents = false

  /// Makes one of which no chunks are listed.
  init(process: LinuxProcess, request: CaptureRequest) {
    self.process = process
    self.request = request
  }

  /// The same process captured for the chunks of a row, which may be of the arena with such an index.
  func listing(_ key: GrowthKey, arenaIndex: Int?, withContents: Bool) -> WatchedProcess {
    var listing = self
    listing.listedRow = key
    listing.wantsContents = withContents
    listing.request.collectsChunks = true
    listing.request.sample = ChunkSample(limit: Self.fetchedChunks)
    switch key {
    case .sizes(let sizes): listing.request.sample?.sizes = sizes
    case .mmapped: listing.request.scope = .mmapped
    // Which chunks hold a type shows only when all are there.
    case .type:
      listing.request.sample = nil
      listing.request.tellsTypes = true
    case .arena: if let arenaIndex { listing.request.scope = .arena(arenaIndex) }
    }
    return listing
  }

  /// Captures it now.
  ///
  /// - Throws: why there are no more samples; `.failed` with a transient failure if another try may
  ///   succeed.
  func sample() throws(WatchEnd) -> WatchSample {
    // Through which of its threads it can be read changes when the first one ends.
    let process = try checkIdentity()
    let time = WatchClock.now
    let usedBefore = cpt_processor_time()
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
    var sample = WatchSample(
      report: report, memory: memory, time: time,
      used: .nanoseconds(cpt_processor_time() - usedBefore))
    if let listedRow {
      let listing = ChunkListing(
        report.snapshot, of: listedRow, held: report.held, limit: Self.listedChunks)
      if wantsContents { sample.contents = contents(of: listing.chunks, process) }
      sample.listing = listing
    }
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
  private func contents(of chunks: [Chunk], _ process: LinuxProcess) -> [RemoteAddress: [UInt8]] {
    let reader = LiveMemoryReader(process)
    var buffer = PageBuffer(byteCount: Self.contentsLength)
    var found: [RemoteAddress: [UInt8]] = [:]
    for chunk in chunks where chunk.state == .inUse {
      let wanted = Int(min(UInt64(Self.contentsLength), chunk.usableSize))
      guard let count = try? buffer.fill(wanted, from: chunk.userAddress, of: reader) else {
        continue
      }
      found[chunk.userAddress] = buffer.withPrefix(count) { Array($0) }
    }
    return found
  }
}
