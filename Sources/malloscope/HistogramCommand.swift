// The verb `histogram`, the default: totals, arenas and chunk sizes.

import ArgumentParser
import HeapAnalysis
import Reports

/// What the rows of a histogram are.
enum HistogramGrouping: String, ExpressibleByArgument, CaseIterable {
  case size
  case type
}

struct HistogramCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "histogram",
    abstract: "Totals, arenas and chunk sizes (the default verb).",
    discussion: """
      Stops the target while its heap is copied and walked, for at most 5 ms at once if not told \
      otherwise, and says for how long. A chunk's size includes its 8-byte header, as glibc counts it. In use is what the program holds; cached is \
      free for the program but kept in a tcache or fastbin; free is in a bin. These three columns are \
      bytes; chunks counts those in use.
      """)

  @OptionGroup var source: SourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var capture: CaptureOptions

  @Flag(help: "A row for every size instead of for ranges of sizes.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      """
      Sort rows by size, count, bytes or name (of a size, the size); default size, of types bytes.
      """))
  var sort: HistogramOrder?

  @Option(
    help: ArgumentHelp(
      "A row for each range of sizes, or for what the chunks hold (see the verb types): size or type."
    ))
  var by = HistogramGrouping.size

  @OptionGroup var choice: TypeChoiceOptions

  func validate() throws {
    try show.requireUsualFormat(or: .prometheus)
    if by == .size, choice.filter != nil {
      throw ValidationError("--filter goes with --by type")
    }
    if by == .type, exact { throw ValidationError("--exact goes with --by size") }
    let tables = [Format.text, .json, .csv]
    try show.require(tables, for: "--exact", isGiven: exact)
    try show.require(tables, for: "--sort", isGiven: sort != nil)
    if by == .size, show.chosenFormat == .prometheus, show.limit != nil {
      throw ValidationError("--limit with --format prometheus goes with --by type")
    }
  }

  func run() throws {
    var request = try CaptureRequest(show, capture)
    var types: TypeTableOptions?
    if by == .type {
      request.tellsTypes = true
      types = TypeTableOptions(
        order: sort ?? .bytes, pattern: try choice.pattern(), limit: show.typeLimit)
    }
    let options = show.reportOptions(order: sort ?? .size, isExact: exact)
    try captureAndWrite(source, show, request) { report, output throws(Failure) in
      switch (show.chosenFormat, types) {
      case (.json, _):
        try JSONReports.writeHistogram(report, types: types, tool: .malloscope, to: &output)
      case (.prometheus, _):
        try PrometheusReport.write(
          report, typeLimit: show.limit ?? PrometheusReport.typeLimit, pattern: types?.pattern,
          tool: .malloscope, to: &output)
      case (.csv, let types?): try CSVReports.writeTypes(report, types: types, to: &output)
      case (.csv, nil): try CSVReports.writeHistogram(report, options: options, to: &output)
      default: try TextHistogram.write(report, types: types, options: options, to: &output)
      }
    }
  }
}
