// How fast something grows, told from series of which the truth is known.

import HeapAnalysis
import TestKit
import Testing

@Suite("Trend")
struct TrendTests {
  private func trend(_ values: [Double], every interval: Double = 1) -> Trend? {
    Trend(times: values.indices.map { Double($0) * interval }[...], values: values[...])
  }

  /// The trend of `count` values that a function of their number gives.
  private func trend(_ count: Int, _ value: (Int) -> Double) throws -> Trend {
    try #require(trend((0..<count).map(value)))
  }

  /// How many of a thousand seeded series are called growth.
  private func grownOf1000(
    _ seed: UInt64, _ series: (inout SyntheticRandom) -> [Double]
  ) -> Int {
    var grown = 0
    for number in 0..<1_000 as Range<UInt64> {
      var random = SyntheticRandom(seed: seed &* 10_000 &+ number)
      if trend(series(&random))?.isGrowth == true { grown += 1 }
    }
    return grown
  }

  @Test(
    "an exact line has its slope, no deviation and bounds without width", arguments: [4, 5, 128])
  func exactLine(count: Int) throws {
    for slope in [3.0, -3.0, 1e9, 0.001] {
      let trend = try trend(count) { 1000 + slope * Double($0) }
      #expect(abs(trend.perSecond - slope) <= abs(slope) * 1e-6)
      #expect(trend.bounds.upperBound - trend.bounds.lowerBound <= abs(slope) * 1e-5)
      #expect(trend.deviation <= abs(slope) * 1e-3)
      #expect(trend.isDecline == (slope < 0))
      #expect(trend.isGrowth == (slope > 0))
      #expect(!trend.isLevellingOff)
      #expect(trend.count == count)
      #expect(trend.seconds == Double(count - 1))
      #expect(abs(trend.rise - slope * Double(count - 1)) <= abs(slope) * 1e-3)
    }
  }

  @Test("the slope is per second, however the samples are spaced")
  func unevenTimes() throws {
    let times = [0, 0.1, 5, 5.5, 60, 61, 200]
    let trend = try #require(
      Trend(times: times[...], values: times.map { 7 * $0 + 3 }[...]))
    #expect(abs(trend.perSecond - 7) < 1e-9)
    #expect(trend.seconds == 200)
  }

  @Test(
    "a line under noise is found, and noise of independent values is held by the bounds in about 95 %"
  )
  func boundsHold() {
    var held = 0
    var grown = 0
    var error = 0.0
    for number in 0..<1_000 as Range<UInt64> {
      var random = SyntheticRandom(seed: number)
      let values = (0..<30).map { 5 * Double($0) + 20 * random.normal() }
      guard let trend = trend(values) else { continue }
      if trend.bounds.contains(5) { held += 1 }
      if trend.isGrowth { grown += 1 }
      error = max(error, abs(trend.perSecond - 5))
    }
    #expect((930...985).contains(held), "\(held)")
    #expect(grown > 980, "\(grown)")
    #expect(error < 3)
  }

  @Test("30 % of outliers change neither the slope nor the verdict")
  func outliers() throws {
    for seed in 0..<100 as Range<UInt64> {
      var random = SyntheticRandom(seed: seed)
      let trend = try trend(60) { index in
        let value = 100 * Double(index) + random.normal()
        return random.chance(30)
          ? value + (random.chance(50) ? 1e6 : -1e6) * random.fraction() : value
      }
      #expect(abs(trend.perSecond - 100) < 40, "seed \(seed): \(trend.perSecond)")
      #expect(trend.isGrowth, "seed \(seed)")
    }
  }

  @Test("growth at the start that then stays is no growth", arguments: [5, 10, 20, 30])
  func noisyStart(startUp: Int) throws {
    var random = SyntheticRandom(seed: 3)
    let flat = try trend(60) { 1000 * Double(min($0, startUp)) }
    #expect(!flat.isGrowth)
    let noisy = try trend(60) { 1000 * Double(min($0, startUp)) + 30 * random.normal() }
    #expect(!noisy.isGrowth)
  }

  @Test(
    "what creeps towards a bound, as caches do, is growth while it creeps and none once it is there"
  )
  func levelling() throws {
    func creep(_ count: Int, _ constant: Double) throws -> Trend {
      var random = SyntheticRandom(seed: UInt64(count))
      return try trend(count) { index in
        let warm = 250_000 * (1 - (-Double(index) / constant).exponential)
        return (50e6 + warm + 200 * random.normal() / 16).rounded() * 16
      }
    }
    #expect(try creep(20, 60).isGrowth)
    #expect(try !creep(240, 40).isGrowth)
    #expect(try creep(240, 40).isLevellingOff)
    #expect(try !creep(120, 20).isGrowth)
  }

  @Test("a leak that began late, and one that goes on beside a start-up, are growth")
  func lateLeak() throws {
    #expect(try trend(60) { Double(max(0, $0 - 20)) * 64 }.isGrowth)
    #expect(try trend(60) { Double(min($0, 5)) * 5000 + Double($0) * 64 }.isGrowth)
  }

  @Test("what stays the same is neither growth nor decline")
  func constant() throws {
    for value in [0, 1, 1e6, 1.8e19] {
      let trend = try trend(30) { _ in value }
      #expect(trend.perSecond == 0)
      #expect(trend.bounds == 0...0)
      #expect(trend.deviation == 0)
      #expect(!trend.isGrowth)
      #expect(!trend.isDecline)
    }
  }

  @Test("a bounded oscillation is no growth, whatever its period and wherever it is cut off")
  func oscillation() throws {
    for period in [2, 3, 5, 7, 10, 16] {
      for count in [30, 31, 40, 47, 60, 61, 100] where count >= 3 * period {
        let saw = try trend(count) { Double($0 % period) * 1000 }
        #expect(!saw.isGrowth, "sawtooth of \(period), \(count) values: \(saw)")
        #expect(!saw.isDecline, "sawtooth of \(period), \(count) values: \(saw)")
        let square = try trend(count) { $0 / period % 2 == 0 ? 0 : 4096 }
        #expect(!square.isGrowth, "square of \(period), \(count) values: \(square)")
      }
    }
  }

  @Test("independent fluctuation is hardly ever called growth")
  func independentFluctuation() {
    let uniform = grownOf1000(1) { random in (0..<40).map { _ in random.fraction() * 1e6 } }
    let normal = grownOf1000(2) { random in (0..<40).map { _ in random.normal() * 1e6 } }
    let few = grownOf1000(3) { random in (0..<8).map { _ in random.fraction() * 1e6 } }
    print(
      "independent fluctuation called growth, of 1000: \(uniform), \(normal), of 8 values \(few)")
    #expect(uniform < 5, "\(uniform)")
    #expect(normal < 5, "\(normal)")
    #expect(few < 5, "\(few)")
  }

  @Test("churn, whose values hang together, is seldom called growth")
  func churn() {
    // A share of the chunks is replaced between two samples; the sum tends back to its mean.
    func churned(_ kept: Double, _ count: Int) -> (inout SyntheticRandom) -> [Double] {
      { random in
        var value = 0.0
        for _ in 0..<100 { value = value * kept + random.normal() }
        return (0..<count).map { _ in
          value = value * kept + random.normal()
          return 1e6 + 1000 * value
        }
      }
    }
    let quick = grownOf1000(4, churned(0.5, 60))
    let slow = grownOf1000(5, churned(0.8, 60))
    print("churn called growth, of 1000: \(quick) quick, \(slow) slow")
    #expect(quick < 5, "\(quick)")
    #expect(slow < 30, "\(slow)")
  }

  @Test("one block every ten samples is growth from four blocks on")
  func slowSteps() throws {
    for count in stride(from: 40, through: 120, by: 10) {
      let trend = try trend(count) { Double($0 / 10) * 48 }
      #expect(trend.isGrowth, "\(count) values: \(trend)")
      #expect(abs(trend.perSecond - 4.8) < 1.2)
    }
  }

  @Test("what shrinks is a decline, no growth")
  func decline() throws {
    var random = SyntheticRandom(seed: 9)
    let trend = try trend(40) { 1e6 - 1000 * Double($0) + 300 * random.normal() }
    #expect(trend.isDecline)
    #expect(!trend.isGrowth)
    #expect(trend.rise < 0)
  }

  @Test("too few values, and values of one moment, have no trend")
  func tooFew() {
    for count in 0..<Trend.fewestValues {
      #expect(trend((0..<count).map(Double.init)) == nil)
    }
    #expect(trend([1, 2, 3, 4]) != nil)
    #expect(Trend(times: [5, 5, 5, 5, 5], values: [1, 2, 3, 4, 5]) == nil)
  }

  @Test("moments that are equal, beside others, are left out")
  func equalTimes() throws {
    let trend = try #require(
      Trend(times: [0, 0, 1, 1, 2, 2], values: [0, 0, 10, 10, 20, 20]))
    #expect(trend.perSecond == 10)
    #expect(trend.isGrowth)
  }

  @Test("a slice of arrays counts from its own first moment")
  func slices() throws {
    let times = (0..<20).map(Double.init)
    let values = times.map { $0 < 10 ? 1e6 : $0 }
    let trend = try #require(Trend(times: times[10...], values: values[10...]))
    #expect(trend.perSecond == 1)
    #expect(trend.seconds == 9)
  }

  @Test("numbers of 64 bits have a finite trend")
  func hugeValues() throws {
    let up = try trend(10) { Double($0) * 2e18 }
    #expect(up.isGrowth)
    #expect(up.perSecond.isFinite && up.rise.isFinite && up.deviation.isFinite)
    let jumps = try trend(10) { $0.isMultiple(of: 2) ? 0 : Double(UInt64.max) }
    #expect(jumps.perSecond.isFinite && jumps.deviation.isFinite)
    #expect(!jumps.isGrowth)
  }
}

extension Double {
  /// e to the power of this number, which is not above 0, to nine digits.
  fileprivate var exponential: Double {
    // The series for a small part of it, squared as often as it was halved.
    let part = self / 4096
    var result = 1 + part + part * part / 2 + part * part * part / 6
    for _ in 0..<12 { result *= result }
    return result
  }
}
