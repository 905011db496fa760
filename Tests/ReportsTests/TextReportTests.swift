// The text reports, compared with recorded screens.

import HeapAnalysis
import HeapModel
import Reports
import Testing

@Suite("Text reports")
struct TextReportTests {
  private func histogram(_ report: HeapReport, _ options: ReportOptions = ReportOptions()) -> String
  {
    var sink = MemorySink()
    TextHistogram.write(report, options: options, to: &sink)
    return sink.text
  }

  private func arenas(_ report: HeapReport, _ options: ReportOptions = ReportOptions()) -> String {
    var sink = MemorySink()
    TextArenas.write(report, options: options, to: &sink)
    return sink.text
  }

  @Test("each heap's histogram is the recorded screen", arguments: ReportFixtures.all.map(\.name))
  func histogramScreens(name: String) throws {
    let report = try #require(ReportFixtures.all.first { $0.name == name }).report
    let unicode = ReportOptions(style: TextStyle(usesUnicode: true))
    try expectGolden(histogram(report, unicode), "histogram-\(name)")
    try expectGolden(histogram(report, ReportOptions(isVerbose: true)), "histogram-\(name)-verbose")
  }

  @Test(
    "the id that a process knows itself by is told where it is another, with a container or not")
  func innerID() {
    var report = ReportFixtures.python
    #expect(!histogram(report).contains("inside"))
    report.target.namespacedPid = 4
    #expect(histogram(report).contains("pid 4 inside"))
  }

  @Test("options change rows, order and figures as recorded")
  func histogramOptions() throws {
    let report = ReportFixtures.python
    try expectGolden(
      histogram(report, ReportOptions(isExact: true, limit: 8, order: .bytes)),
      "histogram-exact-top-8")
    try expectGolden(
      histogram(report, ReportOptions(showsExactBytes: true)), "histogram-exact-bytes")
    try expectGolden(
      histogram(
        ReportFixtures.damaged,
        ReportOptions(limit: 2, style: TextStyle(usesColor: true, usesUnicode: true))),
      "histogram-color")
  }

  @Test("what the target experienced is one line, whatever the way of capturing was")
  func captureLines() throws {
    func lines(_ change: (inout CaptureFacts) -> Void) -> String {
      var report = ReportFixtures.python
      change(&report.capture)
      return [ReportOptions(), ReportOptions(isVerbose: true)].map { options in
        let text = histogram(report, options).split(separator: "\n")
        let first = text.firstIndex { $0.hasPrefix("stopped") } ?? text.endIndex
        // With its continuation, if it does not fit 80 columns.
        let rest = text[first...].dropFirst().prefix { $0.hasPrefix(" ") }
        return ([text[first]] + rest).joined(separator: "\n")
      }.joined(separator: "\n") + "\n\n"
    }
    let one = lines { _ in }
    let retried = lines {
      $0.stops = 3
      $0.retries = 2
      $0.totalStop = .microseconds(2_650)
    }
    let several = lines {
      $0.mode = .slices
      $0.consistency = .sliced
      $0.stops = 54
      $0.longestStop = .microseconds(4_871)
      $0.totalStop = .milliseconds(212)
      $0.elapsed = .milliseconds(461)
    }
    let resynchronised = lines {
      $0.mode = .slices
      $0.consistency = .sliced
      $0.stops = 12
      $0.totalStop = .milliseconds(40)
      $0.resynchronisations = 2
      $0.retries = 1
    }
    let clone = lines {
      $0.mode = .fork
      $0.stops = 2
      $0.totalStop = .microseconds(2_611)
    }
    let none = lines {
      $0.mode = .live
      $0.consistency = .live
      $0.stops = 0
      $0.longestStop = .zero
      $0.totalStop = .zero
    }
    try expectGolden(
      one + retried + several + resynchronised + clone + none, "capture-lines")
  }

  @Test("no line of an ordinary screen is wider than 80 columns")
  func width() {
    for (name, report) in ReportFixtures.all where name != "huge" {
      for unicode in [false, true] {
        let options = ReportOptions(style: TextStyle(usesUnicode: unicode))
        for line in (histogram(report, options) + arenas(report, options)).split(separator: "\n") {
          #expect(line.count <= 80, "\(name): \(line)")
        }
      }
    }
  }

  @Test("no line ends with a space, and no control character of the target reaches the terminal")
  func cleanLines() {
    for (_, report) in ReportFixtures.all {
      for options in [ReportOptions(), ReportOptions(isVerbose: true)] {
        let text = histogram(report, options) + arenas(report, options)
        #expect(!text.contains(" \n"))
        let hidden = text.unicodeScalars.filter {
          $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
        }
        #expect(hidden.isEmpty)
      }
    }
  }

  @Test("the arenas table is the recorded screen, with and without what the pages are worth")
  func arenaScreens() throws {
    try expectGolden(arenas(ReportFixtures.server), "arenas-server")
    var report = ReportFixtures.chunks
    report.residency = ResidencyMap(
      pageSize: 4096,
      runs: [
        ResidencyMap.Run(
          range: AddressRange(RemoteAddress(0x55d0_c0ab_0000), byteCount: 4096 * 600),
          isResident: (0..<600).map { $0 % 3 != 1 }),
        ResidencyMap.Run(
          range: AddressRange(RemoteAddress(0x7f00_0000_0000), byteCount: 4096 * 65),
          isResident: (0..<65).map { $0 < 20 }),
      ])
    try expectGolden(arenas(report), "arenas-pages")
    try expectGolden(arenas(report, ReportOptions(isVerbose: true)), "arenas-pages-verbose")
  }

  @Test("the arenas table of 17 arenas with pages fits 80 columns")
  func arenaWidth() {
    var report = ReportFixtures.server
    report.residency = ResidencyMap(
      pageSize: 4096,
      runs: report.snapshot.arenas.flatMap(\.segments).map {
        let start = $0.lowerBound
        let pages = Int($0.byteCount / 4096 + 1)
        return ResidencyMap.Run(
          range: AddressRange(start, byteCount: UInt64(pages) * 4096),
          isResident: [Bool](repeating: true, count: pages))
      })
    for line in arenas(report).split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
  }

  @Test("the chunk list is the recorded screen and says how many rows a limit hid")
  func chunkScreens() throws {
    var sink = MemorySink()
    TextChunks.write(
      ReportFixtures.chunks, filter: ChunkFilter(), options: ReportOptions(), to: &sink)
    try expectGolden(sink.text, "chunks")
    var limited = MemorySink()
    TextChunks.write(
      ReportFixtures.chunks, filter: ChunkFilter(sizes: 64...96), options: ReportOptions(limit: 1),
      to: &limited)
    #expect(limited.text.contains("3 chunks, 240; 2 of them not shown\n"))
  }
}
