// What a watch remembers, sample by sample.

import Foundation
import Glibc
import HeapModel
import TestKit
import Testing

@testable import HeapAnalysis

@Suite("Growth history")
struct GrowthHistoryTests {
  /// A history of a heap in which chunks of some sizes are in use, one sample a second.
  private func history(_ samples: [[UInt64: Int]]) -> GrowthHistory {
    var history = GrowthHistory()
    for (second, sizes) in samples.enumerated() { history.add(sizes, at: Double(second)) }
    return history
  }

  private func row(
    _ history: GrowthHistory, _ size: UInt64, _ grouping: GrowthGrouping = .sizes
  ) throws -> GrowthRow {
    let row = history.rows(grouping).first {
      guard case .sizes(let sizes) = $0.key else { return false }
      return sizes.contains(size)
    }
    return try #require(row, "\(size)")
  }

  @Test("nothing is known before the first sample")
  func empty() {
    let history = GrowthHistory()
    #expect(history.sampleCount == 0)
    #expect(history.figures == nil)
    #expect(history.growth(.inUse) == nil)
    #expect(history.rate(.inUse) == nil)
    #expect(history.trend(.inUse) == nil)
    #expect(history.stoppedShare == nil)
    #expect(GrowthGrouping.allCases.allSatisfy { history.rows($0).isEmpty })
    var set = history
    set.setBaseline()
    #expect(set.baseline == nil)
    #expect(set.trend(.inUse) == nil)
  }

  @Test("growth counts from the first sample, or from where the baseline was set")
  func baseline() throws {
    var history = history([[64: 10], [64: 30], [64: 25]])
    #expect(history.growth(.inUse) == 960.0)
    #expect(try row(history, 64).growth == 15 * 64)
    #expect(try row(history, 64).growthCount == 15)
    #expect(history.steps == 2)
    history.setBaseline()
    #expect(history.growth(.inUse) == 0)
    #expect(try row(history, 64).growth == 0)
    #expect(history.steps == 0)
    #expect(history.baselineTime == 2)
    history.add([64: 20], at: 3)
    #expect(history.growth(.inUse) == -320.0)
    #expect(try row(history, 64).growthCount == -5)
    #expect(try row(history, 64, .ranges).growth == -5 * 64)
    #expect(history.steps == 1)
    #expect(history.sampleCount == 4)
    #expect(history.firstTime == 0)
  }

  @Test("a rate is over the latest six samples, by the time that went by between them")
  func rates() throws {
    var history = GrowthHistory()
    var time = 100.0
    for (count, gap) in [(1000, 0.0), (10, 1), (20, 0.5), (20, 3), (40, 10), (40, 0.5), (60, 6)] {
      time += gap
      history.add([64: count], at: time)
      if count == 1000 { #expect(history.rate(.inUse) == nil) }
    }
    // The first of all is forgotten.
    #expect(history.rate(.inUse) == 50 * 64 / 20.0)
    #expect(history.rate(try row(history, 64)) == 50 * 64 / 20.0)
    #expect(history.rate(.free) == 0)
    #expect(history.values(.inUse).count == history.times.count)
  }

  @Test("samples of one moment have no rate, and do no harm")
  func sameMoment() {
    var history = GrowthHistory()
    for count in 0..<10 { history.add([64: count], at: 5) }
    #expect(history.rate(.inUse) == nil)
    #expect(history.trend(.inUse) == nil)
    #expect(history.stoppedShare == nil)
    #expect(history.growth(.inUse) == 576.0)
  }

  @Test("a row that grew every time is marked so, one that only never shrank otherwise")
  func marks() throws {
    var history = history([
      [32: 5, 48: 5, 64: 5, 80: 5, 96: 5], [32: 6, 48: 5, 64: 7, 80: 4, 96: 5],
    ])
    // One step is not enough for a mark.
    #expect(try !row(history, 32).grewInEverySample && !row(history, 32).neverShrank)
    history.add([32: 7, 48: 6, 64: 6, 80: 3, 96: 5], at: 2)
    #expect(try row(history, 32).grewInEverySample && row(history, 32).neverShrank)
    #expect(try !row(history, 48).grewInEverySample && row(history, 48).neverShrank)
    #expect(try !row(history, 64).grewInEverySample && !row(history, 64).neverShrank)
    #expect(try !row(history, 80).neverShrank && !row(history, 96).neverShrank)
    #expect(try row(history, 96).steps == 2)
    history.setBaseline()
    #expect(try !row(history, 32).grewInEverySample)
    history.add([32: 7, 64: 7, 80: 4, 96: 6], at: 3)
    history.add([32: 7, 64: 8, 80: 5, 96: 7], at: 4)
    #expect(try !row(history, 32).neverShrank)
    #expect(try row(history, 64).grewInEverySample)
  }

  @Test("a row that appears late held nothing before, and did not grow in every sample")
  func lateRow() throws {
    let samples: [[UInt64: Int]] = (0..<40).map { second in
      second < 20 ? [64: 1] : [64: 1, 4096: second - 19]
    }
    let history = history(samples)
    let late = try row(history, 4096)
    #expect(late.growthCount == 20)
    #expect(late.points == (0..<20).map { _ in 0 } + (1...20).map { Double($0 * 4096) })
    #expect(!late.grewInEverySample)
    #expect(late.neverShrank)
    #expect(late.steps == 39)
    #expect(history.rate(late) == 4096)
    #expect(try #require(history.trend(late)).perSecond > 0)
  }

  @Test("a row that vanishes stays, with nothing in use, as long as the baseline had it")
  func vanished() throws {
    var history = history([[64: 1, 4096: 7], [64: 1], [64: 1]])
    #expect(try row(history, 4096).growthCount == -7)
    #expect(try row(history, 4096).now.inUse == Tally())
    #expect(try !row(history, 4096).neverShrank)
    #expect(GrowthTable(history, .sizes, order: .size).rows.count == 2)
    history.setBaseline()
    #expect(GrowthTable(history, .sizes, order: .size).rows.count == 1)
  }

  @Test(
    "a row that emptied and filled again has shrunk", arguments: [GrowthGrouping.ranges, .sizes])
  func emptiedAndFilled(grouping: GrowthGrouping) throws {
    var samples: [[UInt64: Int]] = []
    // All ranges are there, so that there is no room for more.
    var all: [UInt64: Int] = [:]
    for index in 0..<SizeRanges.count {
      all[min(SizeRanges.range(at: index).upperBound, 1 << 40)] = 1
    }
    all = all.filter { !SizeRanges.range(at: SizeRanges.index(of: 4096)).contains($0.key) }
    for count in [0, 5, 0, 0, 5, 6] { samples.append(all.merging([4096: count]) { $1 }) }
    samples = samples.map { $0.filter { $0.value > 0 } }
    let history = history(samples)
    let row = try row(history, 4096, grouping)
    #expect(!row.neverShrank)
    #expect(row.points == [0, 20_480, 0, 0, 20_480, 24_576])
    #expect(row.growthCount == 6)
  }

  @Test("the ranges' rows add up to all that is in use, and so do the sizes' and the arenas'")
  func groupingsAgree() throws {
    var random = SyntheticRandom(seed: 4)
    var history = GrowthHistory()
    for second in 0..<20 {
      var heap = SyntheticReport([])
      heap.arenas = (0..<3).map { _ in
        (0..<30).map { _ in
          SizeClass(
            size: random.multiple(of: 16, from: 32, to: 100_000), inUse: random.index(5),
            free: random.index(3), cached: random.index(3))
        }
      }
      heap.mmapped = [SizeClass(size: 1 << 20, inUse: 1 + random.index(3))]
      history.add(heap.report(), ProcessMemory(), at: Double(second))
      let figures = try #require(history.figures)
      for grouping in GrowthGrouping.allCases where grouping != .types {
        let rows = history.rows(grouping)
        #expect(rows.reduce(into: Tally()) { $0 += $1.now.inUse } == figures.inUse)
        #expect(rows.reduce(into: Tally()) { $0 += $1.now.free } == figures.free)
        #expect(rows.reduce(into: Tally()) { $0 += $1.now.cached } == figures.cached)
        #expect(rows.reduce(0) { $0 + $1.growth } == history.growth(.inUse))
        #expect(rows.allSatisfy { $0.points.count == history.times.count })
      }
    }
  }

  @Test("an arena is known by its address when another is put before it")
  func arenaOrder() throws {
    var history = GrowthHistory()
    for second in 0..<6 {
      var heap = SyntheticReport([SizeClass(size: 64, inUse: 100)])
      heap.arenas.append([SizeClass(size: 64, inUse: 10 + second)])
      if second >= 3 { heap.arenas.append([SizeClass(size: 64, inUse: 1)]) }
      // A new one comes second in glibc's ring.
      let order = second < 3 ? [0, 1] : [0, 2, 1]
      history.add(heap.report(order: order), ProcessMemory(), at: Double(second))
    }
    func arena(_ place: Int) -> GrowthRow? {
      history.rows(.arenas).first { $0.key == .arena(SyntheticReport.address(ofArena: place)) }
    }
    #expect(arena(1)?.grewInEverySample == true)
    #expect(arena(1)?.growthCount == 5)
    #expect(arena(1)?.now.arenaIndex == 2)
    #expect(arena(2)?.now.arenaIndex == 1)
    #expect(arena(2)?.growthCount == 1)
    #expect(arena(0)?.growth == 0)
    let byPlace = GrowthTable(history, .arenas, order: .size).rows
    #expect(byPlace.map(\.now.arenaIndex) == [0, 1, 2])
  }

  @Test(
    "of more than 4,096 exact sizes those beyond are counted, not followed, and empty ones make room"
  )
  func manySizes() throws {
    func sizes(_ range: Range<UInt64>) -> [UInt64: Int] {
      Dictionary(uniqueKeysWithValues: range.map { ($0 * 16, 1) })
    }
    var history = GrowthHistory()
    history.add(sizes(2..<3002), at: 0)
    #expect(history.untracked(.sizes) == 0)
    history.add(sizes(2..<6002), at: 1)
    #expect(history.rows(.sizes).count == 4096)
    #expect(history.untracked(.sizes) == 6000 - 4096)
    #expect(history.untracked(.ranges) == 0)
    // Those that came since the baseline go, and make room for others.
    history.add(sizes(2..<3002).merging(sizes(9000..<9500)) { $1 }, at: 2)
    #expect(history.rows(.sizes).count <= 4096)
    #expect(history.untracked(.sizes) == 500)
    history.add(sizes(2..<3002).merging(sizes(9000..<9500)) { $1 }, at: 3)
    #expect(history.untracked(.sizes) == 0)
    #expect(try row(history, 9000 * 16).now.inUse.count == 1)
    // What the baseline had does not go.
    history.add(sizes(20_000..<26_000), at: 4)
    history.add(sizes(20_000..<26_000), at: 5)
    #expect(try row(history, 32).growthCount == -1)
    #expect(history.rows(.sizes).count == 4096)
    #expect(history.untracked(.sizes) == 6000 - 1096)
    let keys = Set(history.rows(.sizes).map(\.key))
    #expect(keys.count == 4096)
  }

  @Test("each order puts the right row first, and the filter leaves out what does not overlap")
  func tables() {
    let history = history([
      [32: 100, 48: 10, 4096: 4, 64: 3], [32: 100, 48: 30, 4096: 4, 64: 1],
    ])
    func sizes(_ order: GrowthOrder, _ filter: ClosedRange<UInt64>? = nil) -> [UInt64] {
      GrowthTable(history, .sizes, order: order, filter: filter).rows.compactMap {
        guard case .sizes(let sizes) = $0.key else { return nil }
        return sizes.lowerBound
      }
    }
    #expect(sizes(.growth) == [48, 4096, 32, 64])
    #expect(sizes(.bytes) == [4096, 32, 48, 64])
    #expect(sizes(.count) == [32, 48, 4096, 64])
    #expect(sizes(.size) == [32, 48, 64, 4096])
    #expect(sizes(.size, 40...64) == [48, 64])
    #expect(sizes(.size, 49...63) == [])
    #expect(sizes(.size, 64...UInt64.max) == [64, 4096])
    #expect(GrowthTable(history, .sizes, order: .size, filter: 49...63).filteredOut == 4)
    // A range passes if a part of it does.
    #expect(GrowthTable(history, .ranges, order: .size, filter: 3000...3001).rows.count == 1)
    #expect(GrowthTable(history, .arenas, order: .size, filter: 1...2).rows.count == 1)
    var order = GrowthOrder.growth
    var seen: [GrowthOrder] = []
    for _ in GrowthOrder.allCases {
      seen.append(order)
      order = order.next
    }
    #expect(Set(seen).count == GrowthOrder.allCases.count)
    #expect(order == .growth)
  }

  @Test("a total that is not known stays where it was, and one that becomes known has not grown")
  func unknownTotals() {
    var history = GrowthHistory()
    let heap = SyntheticReport([SizeClass(size: 64, inUse: 10)])
    func add(_ resident: UInt64?, at time: Double) {
      history.add(heap.report(), ProcessMemory(residentBytes: resident), at: time)
    }
    add(nil, at: 0)
    add(nil, at: 1)
    #expect(history.rate(.resident) == nil)
    #expect(history.growth(.resident) == nil)
    add(5000, at: 2)
    #expect(history.rate(.resident) == 0)
    #expect(history.values(.resident) == [5000, 5000, 5000])
    #expect(history.growth(.resident) == nil)
    add(nil, at: 3)
    #expect(history.rate(.resident) == nil)
    #expect(history.values(.resident).last == 5000)
    add(6000, at: 4)
    #expect(history.rate(.resident) == 250)
    #expect(history.trend(.outside)?.perSecond == 0)
    #expect(history.growth(.group) == nil)
  }

  @Test("a baseline that is set after a long time has a trend after four samples, from it on")
  func lateBaseline() throws {
    var history = GrowthHistory()
    for second in 0..<3000 { history.add([64: second * 10], at: Double(second)) }
    history.setBaseline()
    #expect(history.trend(.inUse) == nil)
    for second in 3000..<3003 { history.add([64: 29_990], at: Double(second)) }
    let trend = try #require(history.trend(.inUse))
    #expect(trend.perSecond == 0)
    #expect(trend.count == 4)
    #expect(try history.trend(row(history, 64))?.perSecond == 0)
    #expect(history.times.first == 0)
    #expect(history.mostInUse == 29_990 * 64)
  }

  @Test("the stops of all captures count, and the share is that of the time before the latest")
  func stops() throws {
    var history = GrowthHistory()
    var heap = SyntheticReport([SizeClass(size: 64, inUse: 10)])
    for (second, milliseconds) in [(0, 5), (1, 20), (2, 10)] {
      heap.stop = .milliseconds(milliseconds)
      history.add(heap.report(), ProcessMemory(), at: Double(second))
    }
    #expect(history.longestStop == .milliseconds(20))
    #expect(history.totalStop == .milliseconds(35))
    #expect(abs(try #require(history.stoppedShare) - 0.0125) < 1e-9)
    heap.stop = .milliseconds(30)
    history.noteStops(heap.report().capture)
    #expect(history.longestStop == .milliseconds(30))
    #expect(history.totalStop == .milliseconds(65))
    #expect(history.sampleCount == 3)
  }

  @Test("incomplete samples are counted")
  func incomplete() {
    var history = GrowthHistory()
    var report = SyntheticReport([SizeClass(size: 64, inUse: 10)]).report()
    history.add(report, ProcessMemory(), at: 0)
    report.snapshot.findings = [Finding(.chainBreak, at: nil, "")]
    history.add(report, ProcessMemory(), at: 1)
    #expect(history.incompleteCount == 1)
    #expect(history.sampleCount == 2)
  }

  @Test("numbers near 64 bits do not trap")
  func hugeNumbers() {
    var history = GrowthHistory()
    for (second, count) in [0, Int.max, 1, -1, .min, .max].enumerated() {
      history.add([16: count, 1 << 60: count], at: Double(second))
      _ = GrowthTable(history, .ranges, order: .growth)
      _ = GrowthSummary(history)
    }
    history.setBaseline()
    history.add([16: .min], at: 1e300)
    #expect(history.sampleCount == 7)
  }

  @Test("from 1,000 to 10,000 samples of a changing heap the memory does not grow")
  func memoryIsFlat() async {
    // In a process of its own, in which no other test allocates.
    await #expect(processExitsWith: .success) {
      var random = SyntheticRandom(seed: 11)
      var history = GrowthHistory()
      var heap = SyntheticReport([])
      var atThousand = 0
      for sample in 1...10_000 {
        // Some sizes stay, others come and go.
        heap.arenas = [
          (0..<20).map { SizeClass(size: 32 + 16 * UInt64($0), inUse: 10 + random.index(100)) }
            + (0..<20).map { _ in
              SizeClass(size: random.multiple(of: 1024, from: 1024, to: 204_800), inUse: 1)
            }
        ]
        history.add(heap.report(), ProcessMemory(), at: Double(sample))
        if sample == 500 || sample == 5_000 { history.setBaseline() }
        if sample == 1_000 { atThousand = inUseByMalloc() }
      }
      let grown = inUseByMalloc() - atThousand
      print("the history of 10,000 samples has \(grown) bytes more than that of 1,000")
      #expect(history.rows(.sizes).count > 200)
      #expect(grown < 32_768, "\(grown)")
    }
  }
}

/// The bytes that this process has from malloc, by what `malloc_info` says of its arenas.
private func inUseByMalloc() -> Int {
  typealias Function = @convention(c) (Int32, UnsafeMutablePointer<FILE>?) -> Int32
  var text: UnsafeMutablePointer<CChar>?
  var count = 0
  guard let symbol = dlsym(nil, "malloc_info"), let stream = open_memstream(&text, &count) else {
    return 0
  }
  _ = unsafeBitCast(symbol, to: Function.self)(0, stream)
  fclose(stream)
  defer { free(text) }
  guard let text else { return 0 }
  // The sums over all arenas come last.
  let sums = String(cString: text).components(separatedBy: "</heap>").last ?? ""
  func size(_ element: String) -> Int {
    guard let start = sums.range(of: element)?.upperBound,
      let attribute = sums[start...].range(of: "size=\"")?.upperBound
    else { return 0 }
    return Int(sums[attribute...].prefix { $0.isNumber }) ?? 0
  }
  return size("<system type=\"current\"") + size("<total type=\"mmap\"")
    - size("<total type=\"fast\"") - size("<total type=\"rest\"")
}

extension GrowthHistory {
  /// Adds a sample in which so many chunks of these sizes are in use.
  mutating func add(_ sizes: [UInt64: Int], at time: Double) {
    let heap = SyntheticReport(sizes.map { SizeClass(size: $0.key, inUse: $0.value) })
    add(heap.report(), ProcessMemory(), at: time)
  }
}
