// The verb `histogram`, the default: totals, arenas and chunk sizes.

import ArgumentParser
import HeapAnalysis
import Reports

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

  @Option(help: "Sort rows by size, count, bytes or name (of a size, the size).")
  var sort = HistogramOrder.size

  func run() throws {
    try captureAndWrite(source, show, CaptureRequest(show, capture)) {
      report, output throws(Failure) in
      switch show.chosenFormat {
      case .text:
        try TextHistogram.write(
          report, options: show.reportOptions(order: sort, isExact: exact), to: &output)
      case .json: try JSONReports.writeHistogram(report, tool: .malloscope, to: &output)
      case .csv:
        try CSVReports.writeHistogram(report, options: show.reportOptions(order: sort), to: &output)
      }
    }
  }
}
