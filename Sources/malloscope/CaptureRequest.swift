// What a verb asks of a capture.

import Glibc
import GlibcHeap
import LinuxTarget

/// How the target is to be treated while its heap is captured.
enum CaptureMode: String, CaseIterable {
  /// One stop if that fits the budget, else several.
  case auto
  /// One stop, however long.
  case stop
  /// As many stops as the budget asks for.
  case slices
  /// A copy of the target made by the kernel is read.
  case fork
  /// No stop.
  case live
}

/// What a verb needs from a capture.
struct CaptureRequest {
  /// What part of the heap to look at.
  var scope = WalkOptions.Scope.everything
  /// Whether every chunk is needed, not only their counts.
  var collectsChunks = false
  /// Whether it is to be told what the chunks hold, for which every one is needed.
  var tellsTypes = false
  /// Whether it is to be told which objects own the buffers, for which all of the heap is read.
  var findsOwners = false
  /// Which chunks, nil for all.
  var sample: ChunkSample?
  /// Whether it matters which pages are in memory.
  var wantsResidency = false
  /// Whether notes go to standard error.
  var isQuiet = false
  /// Where files with symbols are looked for first.
  var debugDirectory: String?
  /// Whether the layouts of structures are read from debug information, too, which takes a libc's some
  /// 25 ms; else only its symbols are, which takes one.
  var wantsTypes = false
  /// How the target is to be treated.
  var mode = CaptureMode.auto
  /// How long one stop may last, unless it is to be one however long.
  var longestPause = Duration.milliseconds(5)
  /// The share of the time that the target may stand still while it is captured.
  var stoppedShare = 0.5
  /// How much of one processor we may use on average, nil for no limit of the user's.
  var processorShare: Double?
  /// How much memory we may have in all, in bytes, nil for no limit of the user's.
  var mostMemory: UInt64?

  /// The tighter one of our control groups' quota and the user's; nil without any.
  func processorQuota(proc: ProcFileSystem) -> ProcessorQuota? {
    let group = ProcessorQuota.of(getpid(), proc: proc)
    guard let share = processorShare, share < group?.processors ?? .infinity else { return group }
    let period = Duration.milliseconds(100)
    return ProcessorQuota(time: period * share, period: period)
  }
}
