// What kind of growth was seen, and in what words.

import HeapAnalysis
import HeapModel
import Reports
import TestKit
import Testing

@Suite("Growth summary")
struct GrowthSummaryTests {
  private func kinds(_ history: GrowthHistory) -> [GrowthSummary.Kind] {
    GrowthSummary(history).changes.map(\.kind)
  }

  private func words(_ history: GrowthHistory) -> String {
    GrowthWords.sentences(GrowthSummary(history), of: history.latest?.target)
      .map { $0 + "\n" }.joined()
  }

  @Test("each kind of growth is told from the others")
  func kindsOfGrowth() {
    #expect(kinds(GrowthSeries.leak) == [.inUse])
    #expect(kinds(GrowthSeries.fragmentation) == [.fragmentation])
    #expect(kinds(GrowthSeries.caches) == [.cached])
    #expect(kinds(GrowthSeries.retention) == [.retention])
    #expect(kinds(GrowthSeries.outside("server", "/srv/server")) == [.outside])
    #expect(kinds(GrowthSeries.churn) == [])
    #expect(kinds(GrowthSeries.idle) == [])
    #expect(kinds(GrowthSeries.decline) == [])
  }

  @Test("several at once are told, most bytes first")
  func order() {
    #expect(kinds(GrowthSeries.several) == [.outside, .fragmentation, .inUse])
    let bytes = GrowthSummary(GrowthSeries.several).changes.map(\.bytes)
    #expect(bytes == bytes.sorted(by: >))
  }

  @Test("the amount and the speed of a leak are those of the series, and its row is named")
  func leak() throws {
    let summary = GrowthSummary(GrowthSeries.leak)
    let change = try #require(summary.changes.first)
    #expect(abs(change.bytes - 39 * 48_000) < 20_000)
    #expect(abs(try #require(change.trend).perSecond - 24_000) < 500)
    let grown = try #require(summary.grown.first)
    #expect(GrowthWords.label(grown.row) == "48")
    #expect(grown.row.grewInEverySample)
    #expect(summary.grown.count == 1)
    #expect(summary.samples == 40)
    #expect(summary.seconds == 78)
  }

  @Test("what levels off is no leak: neither a server that warms up nor what is cached")
  func levelsOff() {
    #expect(kinds(GrowthSeries.warming) == [])
    #expect(GrowthSummary(GrowthSeries.warming).inUse?.isLevellingOff == true)
    // While they warm it cannot be told.
    #expect(kinds(GrowthSeries.fragmentation).contains(.inUse) == false)
  }

  @Test("a little beside a leak is not told, nor is a little at all")
  func shares() {
    let leakWithRest = GrowthSeries.make(40) { heap, _, sample in
      heap.arenas[0][1].inUse += 1_000 * sample
      heap.arenas[0][2].free += 8 * sample
      heap.arenas[0][2].cached += 8 * sample
    }
    #expect(kinds(leakWithRest) == [.inUse])
    let little = GrowthSeries.make(40) { heap, _, sample in
      heap.arenas[0][2].free += sample
      heap.arenas[0][2].cached += sample
      heap.outsideBytes = heap.outsideBytes.map { $0 + UInt64(sample) }
    }
    #expect(kinds(little) == [])
  }

  @Test("free memory that grows as much as in use shrinks is no fragmentation: the heap stays")
  func freedInPlace() {
    let history = GrowthSeries.make(40) { heap, _, sample in
      heap.arenas[0][2].inUse += 100 * (40 - sample)
      heap.arenas[0][2].free += 100 * sample
    }
    #expect(!kinds(history).contains(.fragmentation))
    #expect(kinds(history).contains(.retention))
  }

  @Test("before the baseline nothing counts")
  func sinceBaseline() {
    var history = GrowthSeries.leak
    history.setBaseline()
    #expect(!GrowthSummary(history).isTold)
    let report = GrowthSeries.leak.latest
    for sample in 0..<10 {
      guard let report else { continue }
      history.add(report, ProcessMemory(), at: 1_080 + 2 * Double(sample))
    }
    let summary = GrowthSummary(history)
    #expect(summary.isTold)
    #expect(summary.changes.isEmpty)
    #expect(summary.grown.isEmpty)
    #expect(summary.samples == 11)
  }

  @Test("with too few samples nothing is told, and why", arguments: [0, 1, 3])
  func tooFew(count: Int) {
    let history = GrowthSeries.make(count) { heap, _, sample in
      heap.arenas[0][1].inUse += 100_000 * sample
    }
    let summary = GrowthSummary(history)
    #expect(!summary.isTold)
    #expect(summary.changes.isEmpty)
    #expect(summary.samples == count)
    #expect(
      words(history) == "Too few samples to tell growth from fluctuation: \(count), of 4 that it "
        + "takes.\n")
  }

  @Test("the sentences about each are the recorded ones")
  func sentences() throws {
    let series: [(String, GrowthHistory)] = [
      ("a leak", GrowthSeries.leak), ("fragmentation", GrowthSeries.fragmentation),
      ("caches", GrowthSeries.caches), ("retention", GrowthSeries.retention),
      ("outside, server", GrowthSeries.outside("server", "/srv/bin/server")),
      ("outside, python by its file", GrowthSeries.outside("worker", "/usr/bin/python3.11")),
      ("outside, python by its name", GrowthSeries.outside("python3", "")),
      ("outside, no python", GrowthSeries.outside("not-python", "/opt/python/bin/nopython")),
      ("churn", GrowthSeries.churn), ("idle", GrowthSeries.idle),
      ("decline", GrowthSeries.decline), ("several", GrowthSeries.several),
      ("warming", GrowthSeries.warming),
    ]
    let text = series.map { "== \($0.0)\n\(words($0.1))" }.joined(separator: "\n")
    try expectGolden(text, "growth-sentences")
  }

  @Test("a gate fails on growth that is faster than its limit, and on nothing else")
  func gates() {
    func outcome(_ history: GrowthHistory, _ perMinute: Double) -> GateResult.Outcome {
      GateResult(limit: perMinute / 60, trend: history.trend(.inUse)).outcome
    }
    #expect(outcome(GrowthSeries.leak, 1_000_000) == .failed)
    #expect(outcome(GrowthSeries.leak, 1_500_000) == .passed)
    #expect(outcome(GrowthSeries.leak, 0) == .failed)
    for steady in [GrowthSeries.churn, GrowthSeries.idle, GrowthSeries.decline] {
      #expect(outcome(steady, 0) == .passed)
    }
    #expect(outcome(GrowthSeries.make(3) { _, _, _ in }, 0) == .untold)
    // Fluctuation of which every second series rises.
    var failed = 0
    for seed in 0..<200 as Range<UInt64> {
      var random = SyntheticRandom(seed: seed)
      let times = (0..<40).map(Double.init)
      let trend = Trend(times: times[...], values: times.map { _ in 1e6 * random.fraction() }[...])
      if GateResult(limit: 0, trend: trend).outcome == .failed { failed += 1 }
    }
    #expect(failed < 3, "\(failed)")
  }

  @Test("rows are called by their sizes, their arena, or mmap")
  func labels() {
    func labels(_ grouping: GrowthGrouping, isExact: Bool = false) -> [String] {
      GrowthTable(GrowthSeries.leak, grouping, order: .size).rows.map {
        GrowthWords.label($0, isExact: isExact)
      }
    }
    #expect(labels(.sizes) == ["32", "48", "1040", "65552", "1052672"])
    #expect(labels(.ranges) == ["32", "48", "1K-2K", "64K-128K", "512K-2M"])
    #expect(labels(.arenas) == ["main", "mmap"])
  }
}
