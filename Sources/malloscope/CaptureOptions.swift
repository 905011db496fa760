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
      "How long the target may be stopped at once, in milliseconds (auto and slices; default 5).",
      valueName: "ms"))
  var maxPause: Double?

  @Flag(
    name: .customLong("no-stop"),
    help: "Do not stop the target: short for --capture live. Works beside another debugger.")
  var isLive = false

  @Option(
    help: ArgumentHelp(
      """
      A directory with debug files, such as /usr/lib/debug of the target's image. What they say of \
      malloc is compared with what is found without them; -v shows it. A file counts only if its build \
      id is that of the target's library.
      """, valueName: "dir"))
  var debuginfo: String?

  /// The mode that holds.
  var mode: CaptureMode { isLive ? .live : capture ?? .auto }

  func validate() throws {
    if isLive, let capture, capture != .live {
      throw ValidationError("--no-stop and --capture \(capture.rawValue) exclude each other")
    }
    if let maxPause, !(0.1...60_000).contains(maxPause) {
      throw ValidationError("a pause is 0.1 to 60000 milliseconds")
    }
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
      default 50).
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
  /// What the options ask for.
  init(_ show: ShowOptions, _ capture: CaptureOptions) {
    self.init(show, capture.way)
    if let percent = capture.maxStopped { stoppedShare = percent / 100 }
  }

  /// What the options ask for, with the usual share of the time of a capture for stops.
  init(_ show: ShowOptions, _ way: CaptureWayOptions) {
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
    if let milliseconds = way.maxPause {
      longestPause = .nanoseconds(Int64(milliseconds * 1_000_000))
    }
  }
}
