// What is kept of a processor quota for a stop.

import CPtrace
import LinuxTarget
import StopControl
import Testing

@Suite("The allowance of processor time", .serialized)
struct ProcessorAllowanceTests {
  private func quota(_ milliseconds: Int, of period: Int = 100) -> ProcessorQuota {
    ProcessorQuota(time: .milliseconds(milliseconds), period: .milliseconds(period))
  }

  /// Uses a processor for as long, in nanoseconds.
  private func work(_ length: Int64) {
    let end = cpt_processor_time() + length
    while cpt_processor_time() < end {}
  }

  @Test("what one thread cannot use up is no limit, and no limit is none")
  func noLimit() {
    #expect(ProcessorAllowance(nil) == nil)
    #expect(ProcessorAllowance(quota(100)) == nil)
    #expect(ProcessorAllowance(quota(250)) == nil)
    #expect(ProcessorAllowance(quota(0)) == nil)
  }

  @Test("a stop takes a part of a quota, and so much is waited for that it is there")
  func rests() throws {
    var allowance = try #require(ProcessorAllowance(quota(50)))
    #expect(allowance.longestStop == .milliseconds(30))
    // What was used before is not known.
    let first = allowance.rest(before: 1_000_000)
    #expect(first >= 100_000_000 && first < 200_000_000)
    #expect(allowance.rest(before: 1_000_000) == 0)
    work(10_000_000)
    #expect(allowance.rest(before: 10_000_000) == 0)
    let second = allowance.rest(before: 25_000_000)
    #expect(second >= 100_000_000)
    #expect(allowance.rest(before: 25_000_000) == 0)
  }

  @Test("what was used beyond a quota is made up for")
  func debts() throws {
    var allowance = try #require(ProcessorAllowance(quota(1)))
    work(20_000_000)
    // A hundred times what was used, but for the time in which that was.
    let rest = allowance.rest(before: 0)
    #expect(rest > 1_900_000_000, "\(rest)")
    #expect(rest < 60_000_000_000, "\(rest)")
  }

  @Test("the smallest quota leaves stops in which something can be done")
  func smallest() throws {
    let allowance = try #require(ProcessorAllowance(quota(1, of: 1000)))
    #expect(allowance.longestStop == .microseconds(600))
    let tiny = ProcessorQuota(time: .microseconds(100), period: .milliseconds(10))
    #expect(ProcessorAllowance(tiny)?.longestStop == .microseconds(500))
  }
}
