// The moments of a watch without end.

import Testing

@testable import HeapAnalysis

@Suite("Time axis")
struct TimeAxisTests {
  @Test(
    "over 100,000 moments there are never more than fit, the newest is among them, and all but it are evenly spaced",
    arguments: [1, 4, 5, 7, 64, 128])
  func axisStaysSmall(capacity: Int) {
    var axis = TimeAxis(capacity: capacity)
    var isRight = true
    var fewest = Int.max
    for moment in 0..<100_000 {
      _ = axis.add(Double(moment))
      let times = axis.times
      isRight = isRight && times.count <= axis.capacity && times.last == Double(moment)
      if moment >= axis.capacity { fewest = min(fewest, times.count) }
      guard moment < 2_000 || moment.isMultiple(of: 997) else { continue }
      let step = Double(axis.stride)
      isRight = isRight && times.first == 0
      for index in times.indices.dropLast() {
        isRight = isRight && times[index] == Double(index) * step
      }
      if times.count > 1 {
        let last = times[times.count - 1] - times[times.count - 2]
        isRight = isRight && last > 0 && last <= step
      }
      guard isRight else { break }
    }
    #expect(isRight)
    #expect(axis.capacity == max(4, capacity))
    // Thinning takes no more than it must.
    #expect(fewest >= axis.capacity / 2)
  }

  @Test("arrays to which the same steps are applied have the values of the moments that are kept")
  func seriesStayInStep() {
    var axis = TimeAxis(capacity: 16)
    var squares: [Double] = []
    var late: [Double] = []
    var random = SystemRandomNumberGenerator()
    var time = 0.0
    for moment in 0..<5_000 {
      time += Double.random(in: 0...3, using: &random)
      let before = axis.times.count
      let step = axis.add(time)
      squares.take(time * time, step)
      // One that is begun later is filled up first.
      if moment == 777 { late = [Double](repeating: 0, count: before) }
      if moment >= 777 { late.take(time * 2, step) }
      #expect(squares == axis.times.map { $0 * $0 })
      #expect(axis.times == axis.times.sorted())
    }
    #expect(late.count == axis.times.count)
    #expect(zip(late, axis.times).allSatisfy { $0.0 == 0 || $0.0 == $0.1 * 2 })
    #expect(late.last == time * 2)
  }
}
