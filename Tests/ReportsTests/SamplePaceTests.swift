// When samples are due.

import HeapAnalysis
import Testing

@Suite("Sample pace")
struct SamplePaceTests {
  @Test("the first sample is due at once")
  func first() {
    var pace = SamplePace(interval: 5, mostStopped: 0.01)
    #expect(pace.due == -.infinity)
    pace.hurry()
    #expect(pace.due == -.infinity)
    #expect(pace.stretched == nil)
  }

  @Test(
    "however long the stops are, the target is stopped for no more than its share",
    arguments: [0.001, 0.01, 0.5, 1])
  func shareIsKept(share: Double) {
    for interval in [0.1, 1, 60] {
      var pace = SamplePace(interval: interval, mostStopped: share)
      var now = 100.0
      var stopped = 0.0
      for milliseconds in [1, 5, 10, 11, 400, 0, 30_000, 2, 2] {
        pace.note(begun: now, stopped: .milliseconds(milliseconds))
        stopped += Double(milliseconds) / 1000
        #expect(pace.due - now >= interval * 0.999_999)
        now = pace.due
        #expect(stopped <= (now - 100) * share * 1.000_001)
      }
    }
  }

  @Test("the interval is stretched only if the stops ask for it, and only as far as they do")
  func stretching() {
    var pace = SamplePace(interval: 1, mostStopped: 0.01)
    pace.note(begun: 10, stopped: .milliseconds(10))
    #expect(pace.stretched == nil)
    #expect(pace.due == 11)
    pace.note(begun: 11, stopped: .milliseconds(35))
    #expect(abs((pace.stretched ?? 0) - 3.5) < 1e-9)
    #expect(abs(pace.due - 14.5) < 1e-9)
    pace.note(begun: 14.5, stopped: .milliseconds(1))
    #expect(pace.stretched == nil)
    #expect(pace.due == 15.5)
  }

  @Test("stops beside the samples' are paid for before the next sample")
  func extraStops() {
    var pace = SamplePace(interval: 1, mostStopped: 0.01)
    pace.note(begun: 10, stopped: .milliseconds(5))
    pace.noteExtra(stopped: .milliseconds(20))
    #expect(abs(pace.due - 12.5) < 1e-9)
    pace.note(begun: 12.5, stopped: .milliseconds(5))
    #expect(pace.due == 13.5)
  }

  @Test(
    "a sample that is wanted now comes before its time, but not before the target's share allows")
  func hurrying() {
    var pace = SamplePace(interval: 60, mostStopped: 0.01)
    pace.note(begun: 100, stopped: .milliseconds(20))
    pace.hurry()
    #expect(abs(pace.due - 102) < 1e-9)
  }

  @Test(
    "another interval counts from the latest sample, and a failed one is not tried again at once")
  func changes() {
    var pace = SamplePace(interval: 60, mostStopped: 0.01)
    pace.note(begun: 100, stopped: .milliseconds(20))
    pace.change(interval: 5)
    #expect(pace.due == 105)
    #expect(pace.stretched == nil)
    pace.change(interval: 1)
    #expect(abs(pace.due - 102) < 1e-9)
    #expect(abs((pace.stretched ?? 0) - 2) < 1e-9)
    pace.noteFailure(begun: 110)
    #expect(pace.due >= 111)
  }
}
