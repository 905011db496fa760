// What a verb asks of a capture.

import GlibcHeap

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
}
