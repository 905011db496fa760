// The verb `types`: what the chunks hold.

import ArgumentParser
import HeapAnalysis
import Reports

struct TypesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "types",
    abstract: "What the chunks in use hold: classes, structures, buffers, contents.")

  @OptionGroup var source: SourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var capture: CaptureOptions

  func run() throws {
    var request = try CaptureRequest(show, capture)
    request.tellsTypes = true
    try captureAndWrite(source, show, request) { report, output throws(Failure) in
      try JSONReports.writeHistogram(report, tool: .malloscope, to: &output)
    }
  }
}
