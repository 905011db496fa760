// Stops in the middle of malloc: what is on its way is named, everything else is exact.

import Glibc
import TestKit
import Testing

@Suite("A heap stopped in the middle of malloc", .serialized)
struct MidOperationTests {
  /// `MALLOSCOPE_STOPS` sets how often each program is stopped.
  static let stops = getenv("MALLOSCOPE_STOPS").flatMap { Int(String(cString: $0)) } ?? 60

  @Test(
    "all but rarely every block has its size, and what is not as it should be is in transit",
    arguments: [DebianGlibc.v231, .v236, .v244], [1, 3, 8])
  func randomStops(glibc: DebianGlibc, threads: Int) throws {
    guard glibc.isPresent else {
      if DebianGlibc.isRequired { throw glibc.absence }
      try Test.cancel("glibc \(glibc.version) is not in .build/glibc: run Tests/fetch-glibc")
    }
    let tally = try MidOperation(glibc, threads: threads).run(stops: Self.stops)
    print("glibc \(glibc.version), \(threads) threads: \(tally)")
    for wrong in tally.wrong.prefix(5) { print("  " + wrong) }
    #expect(tally.stops == Self.stops && tally.blocks > 100 * Self.stops)
    // Where a chunk has no header yet, what stands there can be that of one that reached over others:
    // seen in 4 of 59,400 stops, and never to look like damage.
    #expect(tally.wrongStops <= max(1, Self.stops / 1000), "\(tally.wrong.prefix(3))")
    #expect(tally.damage == [], "\(tally.damage.prefix(3))")
    #expect(tally.uncovered + tally.failedChecks + tally.incomplete == 0, "\(tally)")
    #expect(tally.untold == [])
  }
}
