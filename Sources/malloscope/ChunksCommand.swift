// The verb `chunks`: one row per chunk.

import ArgumentParser
import HeapAnalysis
import HeapModel
import Reports

struct ChunksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chunks",
    abstract: "One row per chunk: address, size, usable bytes, state, arena.",
    discussion: """
      Rows ascend by address, which is the pointer that the program holds. States: in_use, tcache, \
      fastbin, binned, top, internal (a thread's tcache structure). With --types the first 64 bytes of \
      chunks in use are looked at to tell what they hold; the contents themselves are never shown.
      """)

  @OptionGroup var source: SourceOptions
  @OptionGroup var show: ShowOptions
  @OptionGroup var capture: CaptureOptions

  @Option(
    help: ArgumentHelp(
      "Only these chunk sizes in bytes: 64, 48..96, >1k, ..4k.", valueName: "sizes"))
  var size: String?

  @Option(
    help: ArgumentHelp(
      "Only these states, joined by commas; free is binned, cached is tcache and fastbin.",
      valueName: "states"))
  var state: String?

  @Option(
    help: ArgumentHelp("Only the chunk that contains this address (0x...).", valueName: "address"))
  var at: String?

  @Flag(
    help: """
      A column more: what the chunks in use hold, told by their first 64 bytes (see the verb types).
      """)
  var types = false

  func validate() throws { try show.requireUsualFormat() }

  func run() throws {
    let filter: ChunkFilter
    do throws(ChunkFilterError) {
      filter = try chosen()
    } catch {
      throw Failure(error)
    }
    var request = try CaptureRequest(show, capture)
    request.collectsChunks = true
    request.tellsTypes = types
    try captureAndWrite(source, show, request) { report, output throws(Failure) in
      let filter = filter.untagged(for: report.snapshot)
      switch show.usualFormat {
      case .text:
        try TextChunks.write(
          report, filter: filter, showsTypes: types, options: show.reportOptions(), to: &output)
      case .json:
        try JSONReports.writeChunks(
          report, filter: filter, limit: show.limit, showsTypes: types, tool: .malloscope,
          to: &output)
      case .csv:
        try CSVReports.writeChunks(
          report, filter: filter, limit: show.limit, showsTypes: types, to: &output)
      }
    }
  }

  private func chosen() throws(ChunkFilterError) -> ChunkFilter {
    var filter = ChunkFilter()
    if let size { filter.sizes = try ChunkFilter.parseSizes(size) }
    if let state { filter.states = try ChunkFilter.parseStates(state) }
    if let at { filter.address = try ChunkFilter.parseAddress(at) }
    return filter
  }
}
