// What is looked at before a target is stopped: whether we have the memory, and how long it will take.

import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import StopControl

/// What capturing a heap will take, estimated from an unstopped look.
struct CaptureEstimate {
  /// From how many bytes on the user is told what will happen: 16 GiB.
  private static let hugeHeap: UInt64 = 16 << 30
  /// What a histogram needs beyond what we have when it begins, whatever the heap's size: with that, at
  /// most 64 MiB in all.
  private static let histogramBytes: UInt64 = 32 << 20
  /// What a chunk needs if all are kept: 24 bytes, as much again while the list grows and is sorted, or
  /// later in a table that lists all addresses.
  private static let bytesPerChunk: UInt64 = 48
  /// What it needs beyond that while its first bytes wait for the end of the stop.
  private static let bytesPerBeginning: UInt64 = 80

  /// What the heap has from the kernel, in bytes.
  var heapBytes: UInt64
  /// How many chunks it has.
  var chunks: UInt64
  /// How many of its bytes must be copied.
  var copiedBytes: UInt64
  /// How long copying a byte takes, nil if it was not tried.
  var nanosecondsPerByte: Double?

  /// Makes the estimate from what a look at a part of the heap has shown.
  init(_ hints: HeapHints, _ sample: CopySample) {
    // A damaged arena can say anything.
    heapBytes = min(hints.heapBytes, 1 << 56)
    nanosecondsPerByte = sample.nanosecondsPerByte
    let seen = max(1, Double(hints.bytesSeen))
    let isKnown = hints.chunksSeen > 0
    // Of an unknown heap: chunks of 64 bytes, all of which is copied.
    let chunksPerByte = isKnown ? Double(hints.chunksSeen) / seen : 1 / 64
    let copiedPerByte = isKnown ? min(1, Double(hints.bytesCopied) / seen) : 1
    chunks = UInt64(Double(heapBytes) * chunksPerByte)
    copiedBytes = UInt64(Double(heapBytes) * copiedPerByte)
  }

  /// How long reading will take, in seconds; nil if the copy speed is not known.
  private var seconds: Double? {
    // Walking takes about a third of copying.
    nanosecondsPerByte.map { Double(copiedBytes) * $0 * 1.3 / 1e9 }
  }

  /// How long one stop for all of it would last, nil if that cannot be told.
  var stopLength: Duration? {
    // Stopping the threads and reading the arenas takes a few tenths of a millisecond.
    seconds.flatMap { $0 < 3600 ? .nanoseconds(Int64($0 * 1e9)) + .microseconds(300) : nil }
  }

  /// Compares what the capture needs with what our control group and the machine have.
  ///
  /// - Throws: a failure, if it is too little: the kernel would end us, or another, in the middle.
  func checkMemory(_ request: CaptureRequest, process: LinuxProcess) throws(Failure) {
    let kept = request.sample.map { min(chunks, UInt64($0.limit)) } ?? chunks
    let isListed = request.collectsChunks || request.tellsTypes
    var lists = isListed ? kept &* Self.bytesPerChunk : 0
    if request.tellsTypes, request.mode == .stop || request.mode == .fork {
      lists &+= kept &* Self.bytesPerBeginning
    }
    if request.findsOwners { lists &+= heapBytes / 2 }
    let needed = Self.histogramBytes &+ lists
    guard let (available, place) = Self.memoryLeft(request, proc: process.proc), available < needed
    else { return }
    var hints = [
      "give the tool more memory, or run it elsewhere: on the node, in another container"
    ]
    if isListed {
      hints.insert("the histogram needs at most 64 MiB: malloscope \(process.pid)", at: 0)
    }
    throw Failure(
      code: .unsupported,
      fact: "process \(process.pid) was left alone: "
        + (isListed ? "its chunks" : "the histogram") + " may need "
        + "\(mebibytes(needed)) MiB, but \(place) \(mebibytes(available)) MiB",
      hints: hints)
  }

  /// How many bytes we can still have, and of what, up to the verb; nil if nothing limits us.
  private static func memoryLeft(
    _ request: CaptureRequest, proc: ProcFileSystem
  ) -> (available: UInt64, place: String)? {
    let headroom = MemoryHeadroom.of(getpid(), proc: proc).map { headroom in
      switch headroom.bound {
      case .machine: (headroom.available, "the machine has")
      case .cgroup(let path):
        (headroom.available, "the memory limit of this tool's control group (\(path)) leaves")
      }
    }
    let status = (try? proc.text(proc.path(proc.ownPID, "status"))).flatMap(
      ProcessStatus.init(parsing:))
    let own = status?.memory.resident ?? 0
    let allowed = request.mostMemory.map { ($0 - min($0, own), "\(Budget.memory.option) leaves") }
    return [headroom, allowed].compactMap { $0 }.min { $0.0 < $1.0 }
  }

  /// What the user is told before a heap is touched that is huge, or stopped for longer than needed.
  func notice(_ request: CaptureRequest, allowance: ProcessorAllowance?) -> String? {
    guard heapBytes > Self.hugeHeap else {
      guard request.mode == .stop, let allowance, let stopLength,
        stopLength > allowance.longestStop
      else { return nil }
      let length = milliseconds(allowance.longestStop)
      return "note: after \(length) ms of work this tool may have to wait for a processor, and the "
        + "target with it; without --capture stop no stop is longer"
    }
    let gibibytes = heapBytes >> 30
    let time = seconds.map { "about \(max(1, Int($0.rounded()))) s" } ?? "some seconds"
    let doubled =
      seconds.map { "about \(max(1, Int(($0 / request.stoppedShare).rounded()))) s" } ?? time
    let what =
      switch request.mode {
      case .auto, .slices:
        "reading it takes \(doubled), in stops of at most \(milliseconds(request.longestPause)) ms"
      case .stop: "the target will be stopped for \(time)"
      case .fork: "reading it takes \(time); the clone is made in one stop"
      case .live: "reading it takes \(time)"
      }
    return "note: the heap has \(gibibytes) GiB; \(what)"
  }

  private func mebibytes(_ bytes: UInt64) -> UInt64 { (bytes &+ (1 << 20 - 1)) >> 20 }

  private func milliseconds(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let tenths = seconds * 10_000 + attoseconds / 100_000_000_000_000
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }
}
