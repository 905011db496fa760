// The verb `arenas`: every arena with what it keeps in memory.

import ArgumentParser
import Reports

struct ArenasCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "arenas",
    abstract: "Every arena with resident, free, cached, trimmable and pinned bytes.",
    discussion: """
      Trimmable is what malloc_trim would give back to the kernel: whole resident pages inside free \
      chunks, and of the main arena's top. Pinned is free memory that cannot be given back because a \
      chunk in use shares its page.
      """)

  @OptionGroup var source: SourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var capture: CaptureOptions

  func validate() throws { try show.requireUsualFormat() }

  func run() throws {
    var request = try CaptureRequest(show, capture)
    request.collectsChunks = true
    request.wantsResidency = true
    try captureAndWrite(source, show, request) { report, output throws(Failure) in
      switch show.usualFormat {
      case .text: try TextArenas.write(report, options: show.reportOptions(), to: &output)
      case .json: try JSONReports.writeArenas(report, tool: .malloscope, to: &output)
      case .csv:
        try CSVReports.writeArenas(report, options: show.reportOptions(), to: &output)
      }
    }
  }
}
