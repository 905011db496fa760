// The options about what the target experiences while its heap is captured.

import ArgumentParser
import GlibcHeap

extension CaptureMode: ExpressibleByArgument {}

/// How the target is treated in each capture.
struct CaptureWayOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      How to capture: auto, stop, slices, fork or live. auto stops the target once if that fits \
      --max-pause, else several times (slices), with the target running in between. stop is one stop, \
      however long. fork has the kernel clone the target in one stop, which runs one system call in it. \
      live does not stop it at all.
      """, valueName: "mode"))
  var capture: CaptureMode?

  @Option(
    help: ArgumentHelp(
      """
      How long the target may be stopped at once, in milliseconds (auto and slices; default 5, or \
      \(Budget.pause.variable)).
      """, valueName: "ms"))
  var maxPause: Double?

  @Option(
    help: ArgumentHelp(
      """
      How much of one processor malloscope may use, on average: it rests between stops, between pieces \
      of a live capture, and between samples (1 to 100; default no limit, or \
      \(Budget.processor.variable)). One --capture stop, or a clone, is worked through. A limit that \
      its own control group has is kept in the same way, so that it is not made to wait while the target \
      stands still.
      """, valueName: "percent"))
  var maxCpu: Double?

  @Option(
    help: ArgumentHelp(
      """
      How much memory malloscope itself may have, in MiB; what needs more is refused before the target \
      is touched (default what its control group and the machine have, or \(Budget.memory.variable)).
      """, valueName: "mib"))
  var maxMemory: Double?

  @Flag(
    name: .customLong("no-stop"),
    help: "Do not stop the target: short for --capture live. Works beside another debugger.")
  var isLive = false

  @Option(
    help: ArgumentHelp(
      """
      A directory with debug files, such as /usr/lib/debug of the target's image. What they say of \
      malloc is compared with what is found without them; -v shows it. With types, symbols are looked \
      for there first, and the sizes of classes are theirs. A file counts only if its build id is that of \
      the target's file.
      """, valueName: "dir"))
  var debuginfo: String?

  /// The mode that holds.
  var mode: CaptureMode { isLive ? .live : capture ?? .auto }

  func validate() throws {
    if isLive, let capture, capture != .live {
      throw ValidationError("--no-stop and --capture \(capture.rawValue) exclude each other")
    }
    try Budget.pause.check(maxPause)
    try Budget.processor.check(maxCpu)
    try Budget.memory.check(maxMemory)
    if maxPause != nil { try requireBudget("--max-pause") }
  }

  /// Refuses an option that is about a budget where there is none.
  func requireBudget(_ option: String) throws {
    guard mode == .auto || mode == .slices else {
      throw ValidationError("\(option) has no meaning with --capture \(mode.rawValue)")
    }
  }
}

/// How the target is treated.
struct CaptureOptions: ParsableArguments {
  @OptionGroup var way: CaptureWayOptions

  @Option(
    help: ArgumentHelp(
      """
      The share of the time that the target may be stopped while it is captured (auto and slices; \
      1 to 100, default 50, or \(Budget.stopped.variable)).
      """, valueName: "percent"))
  var maxStopped: Double?

  func validate() throws {
    guard let maxStopped else { return }
    guard (1...100).contains(maxStopped) else {
      throw ValidationError("--max-stopped is 1 to 100 percent")
    }
    try way.requireBudget("--max-stopped")
  }
}

extension CaptureRequest {
  /// What the options and the environment ask for.
  ///
  /// - Throws: a failure if the environment has a budget that is none.
  init(_ show: ShowOptions, _ capture: CaptureOptions) throws(Failure) {
    try self.init(show, capture.way)
    // One of a watch may be smaller.
    if let percent = try Budget.stopped.value(capture.maxStopped) {
      stoppedShare = max(1, percent) / 100
    }
  }

  /// What the options and the environment ask for, with the usual share of the time of a capture for
  /// stops.
  ///
  /// - Throws: a failure if the environment has a budget that is none.
  init(_ show: ShowOptions, _ way: CaptureWayOptions) throws(Failure) {
    switch show.arena {
    case nil: scope = .everything
    case .mmap: scope = .mmapped
    case .index(let index): scope = .arena(index)
    }
    if let malloc = show.malloc { scope = .malloc(malloc) }
    isQuiet = show.quiet
    debugDirectory = way.debuginfo
    wantsTypes = show.verbose || way.debuginfo != nil
    mode = way.mode
    if let milliseconds = try Budget.pause.value(way.maxPause) {
      longestPause = .nanoseconds(Int64(milliseconds * 1_000_000))
    }
    processorShare = try Budget.processor.value(way.maxCpu).map { $0 / 100 }
    mostMemory = try Budget.memory.value(way.maxMemory).map { UInt64($0 * 1_048_576) }
  }
}
