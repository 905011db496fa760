// The options that every verb understands.

import ArgumentParser
import Glibc
import HeapAnalysis
import LinuxTarget
import Reports

/// A format of the data.
enum Format: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
  case csv
  case pprof
  case collapsed
  case prometheus

  /// The one that every report has, nil for one that only some have.
  var usual: UsualFormat? { UsualFormat(rawValue: rawValue) }
}

/// A format that every report has.
enum UsualFormat: String {
  case text
  case json
  case csv
}

/// When to use colour.
enum ColorChoice: String, ExpressibleByArgument, CaseIterable {
  case auto
  case always
  case never
}

extension HistogramOrder: ExpressibleByArgument {}

/// One part of the heap.
enum ArenaChoice: ExpressibleByArgument {
  case index(Int)
  case mmap

  init?(argument: String) {
    switch try? ChunkFilter.parseOrigin(argument) {
    case .mmap: self = .mmap
    case .arena(let index): self = .index(Int(index))
    case nil: return nil
    }
  }
}

/// Ways to name a process other than by its id.
struct NamedSourceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The process whose command name matches; exactly one must, else the matches are listed.",
      valueName: "regex"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      """
      The process in the container whose id begins so (as the cgroup path has it), or in the systemd \
      service NAME.service.
      """,
      valueName: "id"))
  var container: String?

  @Option(
    help: ArgumentHelp(
      "With --container: the process id as the container sees it.", valueName: "n"))
  var pidInContainer: Int32?

  /// Whether one of them is given.
  var isGiven: Bool { name != nil || container != nil }

  /// The process that is meant by these, or by `target`, the text of a process id.
  ///
  /// - Throws: `ValidationError` if it is not exactly one.
  func source(_ target: String?) throws -> ProcessSource {
    guard [target != nil, name != nil, container != nil].count(where: { $0 }) == 1 else {
      throw ValidationError("give exactly one source: a PID, --name REGEX or --container ID")
    }
    if name?.isEmpty == true || container?.isEmpty == true {
      throw ValidationError("a name or a container id has at least one character")
    }
    if pidInContainer != nil, container == nil {
      throw ValidationError("--pid-in-container goes with --container")
    }
    if let name { return .name(name) }
    if let container { return .container(container, pidInside: pidInContainer) }
    guard let target, let pid = Int32(target), pid > 0 else {
      throw ValidationError("'\(target ?? "")' is neither a verb nor a process id")
    }
    return .pid(pid)
  }
}

/// Which process to look at.
struct SourceOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp("The process id, as seen in this PID namespace.", valueName: "pid"))
  var target: String?

  @OptionGroup var named: NamedSourceOptions

  func validate() throws { _ = try named.source(target) }

  /// The process that the options name.
  ///
  /// - Throws: a failure if there is none, more than one, or one that cannot be looked at.
  func process() throws -> LinuxProcess { try named.source(target).process() }
}

/// How the result is shown.
struct ShowOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      The format of the data: text, json or csv; prometheus for histogram and types; pprof and collapsed \
      for types.
      """))
  var format = Format.text

  @Flag(name: .customLong("json"), help: "Short for --format json.")
  var isJSON = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Write to a file, which must not exist yet.", valueName: "file"))
  var output: String?

  @Flag(help: "Overwrite the file of --output.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Only this arena: its index, main, or mmap for the mmapped chunks.", valueName: "n"))
  var arena: ArenaChoice?

  @Option(
    help: ArgumentHelp(
      """
      Only this copy of malloc, by its number in the table of copies that is shown where a process has \
      several.
      """, valueName: "n"))
  var malloc: Int?

  @Option(
    help: ArgumentHelp(
      """
      Show at most this many rows, by default 40 of types in text (of JSON only chunks and types; in \
      prometheus so many types, by default \(PrometheusReport.typeLimit), and the sum of the others).
      """, valueName: "n"))
  var limit: Int?

  @Flag(name: .customLong("bytes"), help: "Exact numbers of bytes instead of 1.2M.")
  var showsExactBytes = false

  @Option(help: "Use colour: auto, always or never.")
  var color = ColorChoice.auto

  @Flag(name: .shortAndLong, help: "No notes on standard error.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "All checks and findings, and glibc's own structures.")
  var verbose = false

  func validate() throws {
    if let limit, limit < 0 { throw ValidationError("a limit is 0 or more") }
    if let malloc, malloc < 0 { throw ValidationError("copies of malloc are counted from 0 on") }
    if malloc != nil, arena != nil {
      throw ValidationError(
        "--malloc and --arena exclude each other: arenas are counted over all copies")
    }
    if isJSON, format != .text, format != .json {
      throw ValidationError("--json and --format \(format.rawValue) exclude each other")
    }
  }

  /// Refuses a format that only other reports have than one with the usual ones and `others`.
  func requireUsualFormat(or others: Format...) throws {
    guard format.usual == nil, !others.contains(format) else { return }
    throw ValidationError(
      "there is no --format \(format.rawValue) of this; "
        + (format == .prometheus ? "histogram and types have it" : "types has it"))
  }

  /// Refuses an option that is given with a format that cannot show it; `formats` can.
  func require(_ formats: [Format], for option: String, isGiven: Bool) throws {
    guard isGiven, !formats.contains(chosenFormat) else { return }
    let names = formats.map(\.rawValue)
    throw ValidationError(
      "\(option) goes with --format \(names.dropLast().joined(separator: ", ")) or "
        + "\(names.last ?? "")")
  }

  /// The format that holds.
  var chosenFormat: Format { isJSON ? .json : format }

  /// The same for a report that has only the usual ones.
  var usualFormat: UsualFormat { chosenFormat.usual ?? .text }

  /// How many types are shown: as many as fit on two screens if not otherwise asked for, in what people read.
  var typeLimit: Int? { limit ?? (chosenFormat == .text && !verbose ? 40 : nil) }

  /// How the text reports look.
  func reportOptions(order: HistogramOrder = .size, isExact: Bool = false) -> ReportOptions {
    ReportOptions(
      isExact: isExact, showsExactBytes: showsExactBytes, limit: limit, order: order,
      isVerbose: verbose,
      style: TextStyle(usesColor: usesColor, usesUnicode: Environment.usesUTF8),
      columns: Environment.columns, showsFullNames: output != nil || isatty(1) == 0)
  }

  private var usesColor: Bool {
    switch color {
    case .always: true
    case .never: false
    case .auto: output == nil && Environment.wantsColor
    }
  }
}

/// What the environment says about the terminal.
enum Environment {
  /// The value of a variable, nil if it is unset or empty.
  static func value(_ name: String) -> String? {
    guard let value = unsafe getenv(name), unsafe value[0] != 0 else { return nil }
    return unsafe String(cString: value)
  }

  /// Whether colour is wanted where no option says so.
  static var wantsColor: Bool {
    if value("NO_COLOR") != nil { return false }
    if let force = value("CLICOLOR_FORCE"), force != "0" { return true }
    return value("TERM") != "dumb" && isatty(1) == 1
  }

  /// Whether the locale's characters are UTF-8.
  static var usesUTF8: Bool {
    let locale = value("LC_ALL") ?? value("LC_CTYPE") ?? value("LANG") ?? ""
    return locale.uppercased().contains("UTF-8") || locale.uppercased().contains("UTF8")
  }

  /// The kernel and its release.
  static var kernel: String {
    var names = utsname()
    guard unsafe uname(&names) == 0 else { return "unknown" }
    let release = unsafe withUnsafeBytes(of: names.release) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return "Linux \(release)"
  }

  /// How wide the terminal is, 80 where there is none.
  static var columns: Int {
    var size = winsize()
    if unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
    return value("COLUMNS").flatMap { Int($0) }.flatMap { $0 > 0 ? max(40, $0) : nil } ?? 80
  }
}
