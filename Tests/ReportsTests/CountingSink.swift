// A receiver that remembers only how much it was given at once.

import Reports

/// Counts what is written to it, and refuses more from some point on.
struct CountingSink: ByteSink {
  struct Refusal: Error {}

  var writes = 0
  var largest = 0
  var refusesAfter = Int.max

  mutating func write(_ bytes: Span<UInt8>) throws(Refusal) {
    guard writes < refusesAfter else { throw Refusal() }
    writes += 1
    largest = max(largest, bytes.count)
  }
}
