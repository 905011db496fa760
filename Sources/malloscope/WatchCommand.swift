// The verb `watch`: the heap's growth, live.

import ArgumentParser
import CPtrace
import Glibc
import HeapAnalysis
import LinuxTarget
import Reports

extension GrowthOrder: ExpressibleByArgument {}

/// How a watch divides the heap.
enum WatchGrouping: String, ExpressibleByArgument, CaseIterable {
  case size
  case arena
  case type

  /// What it is for the table; with `isExact` a row for each size.
  func grouping(isExact: Bool) -> GrowthGrouping {
    switch self {
    case .size: isExact ? .sizes : .ranges
    case .arena: .arenas
    case .type: .types
    }
  }
}

struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "The heap live: what grows, how fast, since when.",
    usage: """
      malloscope watch PID [INTERVAL [COUNT]] [options]
      malloscope watch --name REGEX [INTERVAL [COUNT]] [options]
      """,
    discussion: """
      Captures the target every INTERVAL seconds (default 1), COUNT times or until told to end. On a \
      terminal it draws a screen: ? lists its keys. Elsewhere it prints a block for each sample, with \
      --json an object on a line (histogram/1 with what changed in "watch"), and at the end a summary \
      that tells a leak from what the allocator keeps.

      Keys: q quit; s sort; / filter sizes or types; arrows and page keys, enter for sample chunks of a row; b \
      growth counts from here; p pause; space sample now; + and - interval; t by type; a by arena; \
      x exact sizes; w write to a file.

      The interval stretches so that the target is stopped for at most --max-stopped percent of the \
      time. A row marked with a triangle grew in every sample. Exit codes besides the usual: 1 if in \
      use grew faster than --fail-above, 2 if a sample was incomplete or too few were taken to tell.
      """)

  @Argument(
    help: ArgumentHelp(
      "The process id, unless --name or --container is given; seconds between samples; how many.",
      valueName: "pid interval count"))
  var words: [String] = []

  @OptionGroup var named: NamedSourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var way: CaptureWayOptions

  @Option(
    help: ArgumentHelp(
      """
      The share of the time that the target may be stopped over the whole watch; the interval \
      stretches to keep it (0.01 to 100, default 1, or \(Budget.stopped.variable)).
      """, valueName: "percent"))
  var maxStopped: Double?

  @Option(help: "Sort rows by growth (the default), bytes, count or size.")
  var sort: GrowthOrder?

  @Option(
    help: ArgumentHelp(
      """
      A row for each size range, for each arena, or for what the chunks hold (see the verb types): size, \
      arena or type.
      """))
  var by = WatchGrouping.size

  @Flag(help: "A row for every size instead of for ranges of sizes.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      "Only rows of these chunk sizes in bytes: 64, 48..96, >1k, ..4k (--by size).",
      valueName: "sizes"))
  var size: String?

  @Option(
    help: ArgumentHelp(
      """
      End with exit code 1 if bytes in use grow faster, such as 1MiB/min or 20k/s (by the median of \
      all slopes, and beyond doubt: not what only fluctuates). For tests: with a COUNT.
      """, valueName: "rate"))
  var failAbove: String?

  @Flag(help: "Show what sample chunks contain (enter on a row): memory of the target's.")
  var contents = false

  /// What the positional words mean.
  struct Words {
    var target: String?
    var interval = 1.0
    var count: Int?
  }

  /// The seconds between samples that can be asked for.
  static let intervals = 0.01...86_400.0

  func validate() throws {
    let words = try parsedWords()
    _ = try named.source(words.target)
    try Budget.stopped.check(maxStopped)
    try show.requireUsualFormat()
    if exact, by != .size { throw ValidationError("--exact goes with --by size") }
    if size != nil, by != .size { throw ValidationError("--size goes with --by size") }
    // A sample as CSV has only totals.
    let tables = [Format.text, .json]
    try show.require(tables, for: "--by \(by.rawValue)", isGiven: by != .size)
    try show.require(tables, for: "--exact", isGiven: exact)
    try show.require(tables, for: "--size", isGiven: size != nil)
    try show.require(tables, for: "--sort", isGiven: sort != nil)
  }

  func run() throws {
    let words = try parsedWords()
    var growth = GrowthOptions(
      grouping: by.grouping(isExact: exact), order: sort ?? .growth)
    do throws(ChunkFilterError) {
      growth.filter = try size.map { text throws(ChunkFilterError) in
        try ChunkFilter.parseSizes(text)
      }
    } catch {
      throw Failure(error)
    }
    let process = try named.source(words.target).process()
    var request = try CaptureRequest(show, way)
    request.tellsTypes = by == .type
    let plan = WatchPlan(
      watched: WatchedProcess(process: process, request: request),
      growth: growth, filterText: size ?? "", interval: words.interval, count: words.count,
      mostStopped: try Budget.stopped.value(maxStopped).map { $0 / 100 } ?? 0.01,
      growthLimit: try growthLimit(), showsContents: contents,
      show: show)
    try plan.run()
  }

  private func growthLimit() throws -> Double? {
    guard let failAbove else { return nil }
    do throws(ByteRateError) {
      return try ByteRate(parsing: failAbove).bytesPerSecond
    } catch {
      throw Failure(
        code: .usage, fact: "'\(error.text)' is no speed of growth",
        hints: ["write a number of bytes and a time, such as 1MiB/min, 20k/s or 0/min"])
    }
  }

  private func parsedWords() throws -> Words {
    var rest = words[...]
    var result = Words()
    if !named.isGiven { result.target = rest.popFirst() }
    if let text = rest.popFirst() {
      guard let interval = Double(text), Self.intervals.contains(interval) else {
        throw ValidationError(
          "an interval is \(Self.intervals.lowerBound) to 86400 seconds, not '\(text)'")
      }
      result.interval = interval
    }
    if let text = rest.popFirst() {
      guard let count = Int(text), count > 0 else {
        throw ValidationError("a count of samples is 1 or more, not '\(text)'")
      }
      result.count = count
    }
    if let text = rest.first {
      throw ValidationError("'\(text)' is too much: watch PID INTERVAL COUNT")
    }
    return result
  }
}
