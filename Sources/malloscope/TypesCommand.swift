// The verb `types`: what the chunks hold.

import ArgumentParser
import Glibc
import HeapAnalysis
import Reports

struct TypesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "types",
    abstract: "What the chunks in use hold: classes, structures, buffers, contents.",
    discussion: """
      Each chunk in use is told by the strongest evidence that its first 64 bytes give: a C++ vtable \
      whose type information, or symbol, names the class; Swift metadata; the structure of a runtime \
      library's own blocks; pointers to functions or data that symbols name; else what the bytes look \
      like (kind content). Neither debug information nor symbols are needed for C++ and Swift. -v shows the \
      evidence. Bytes are of whole chunks, with malloc's headers; average is bytes by count.

      What cannot be told: memory that was handed out and not written yet looks like what it held \
      before. What begins like an object of a class but has another size "begins like" it; what is left of \
      old objects is "remains of" it.

      Formats besides text, json and csv: pprof (profile.proto, gzip), collapsed (stacks for flame \
      graphs: file, type, sizes), prometheus. These three are by type and have an order of their own; \
      the first two have all types.
      """)

  /// How many sizes are shown of each type, and how many addresses.
  private static let sizeLimit = 5
  private static let addressLimit = 100

  @OptionGroup var source: SourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var choice: TypeChoiceOptions
  @OptionGroup var capture: CaptureOptions

  @Option(help: "A row for each type, size range, binary or arena: type, size, binary or arena.")
  var by = TypeGrouping.type

  @Option(help: "Sort rows by bytes (the default), count, size (the average) or name.")
  var sort: HistogramOrder?

  @Flag(help: "With --by size: a row for every size instead of for ranges.")
  var exact = false

  @Flag(
    help: ArgumentHelp(
      """
      Give buffers to their owners: a chunk without a type to which a single field of another chunk leads \
      is named after it (Session.buffer, or Session+24 without debug information). Reads all of the heap, \
      so that the target is stopped for longer, or more often.
      """))
  var owner = false

  @Flag(help: "Show the sizes that most bytes of each row have (text and json).")
  var sizes = false

  @Flag(
    help: ArgumentHelp(
      """
      List the addresses of the chunks of each row, the lowest \(Self.addressLimit), or all with -v (text \
      and json).
      """))
  var addresses = false

  func validate() throws {
    if show.chosenFormat == .pprof, show.output == nil, isatty(1) == 1 {
      throw ValidationError("a pprof profile is binary: write it to a file with -o")
    }
    if exact, by != .size { throw ValidationError("--exact goes with --by size") }
    try show.require([.text, .json], for: "--sizes", isGiven: sizes)
    try show.require([.text, .json], for: "--addresses", isGiven: addresses)
    let tables = [Format.text, .json, .csv]
    try show.require(tables, for: "--by \(by.rawValue)", isGiven: by != .type)
    try show.require(tables, for: "--sort", isGiven: sort != nil)
    try show.require(tables + [.prometheus], for: "--limit", isGiven: show.limit != nil)
  }

  func run() throws {
    var request = try CaptureRequest(show, capture)
    request.tellsTypes = true
    request.findsOwners = owner
    let types = TypeTableOptions(
      grouping: by, order: sort ?? .bytes, pattern: try choice.pattern(),
      limit: show.typeLimit,
      isExact: exact, sizeLimit: sizes ? Self.sizeLimit : nil,
      addressLimit: addresses ? show.verbose ? .max : Self.addressLimit : nil)
    try captureAndWrite(source, show, request) { report, output throws(Failure) in
      switch show.chosenFormat {
      case .text:
        try TextTypes.write(report, types: types, options: show.reportOptions(), to: &output)
      case .json:
        try JSONReports.writeTypes(report, types: types, tool: .malloscope, to: &output)
      case .csv: try CSVReports.writeTypes(report, types: types, to: &output)
      case .pprof:
        try PprofProfile.write(
          report, pattern: types.pattern, tool: .malloscope, nanoseconds: WatchClock.sinceEpoch,
          to: &output)
      case .prometheus:
        try PrometheusReport.write(
          report, typeLimit: show.limit ?? PrometheusReport.typeLimit, pattern: types.pattern,
          tool: .malloscope,
          to: &output)
      case .collapsed: try CollapsedStacks.write(report, pattern: types.pattern, to: &output)
      }
    }
  }
}
