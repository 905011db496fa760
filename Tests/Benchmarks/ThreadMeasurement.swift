// What each thread of the target adds to a stop.

import TestKit

/// A small heap in processes of more and more threads.
struct ThreadMeasurement {
  /// What it is called on the command line.
  static let name = "threads"
  /// How many threads the processes have.
  ///
  /// The least is one to answer and one heartbeat.
  static let counts = [2, 16, 100, 300]
  /// How much more each thread may cost in the largest than in the one before, so that the cost is
  /// called linear.
  static let mostGrowth = 1.5

  /// The samples of one process, in milliseconds.
  struct Row {
    /// How many threads it has.
    let threads: Int
    /// The total stops, as the tool says.
    let stops: Samples
    /// The longest gaps, as the heartbeat says.
    let gaps: Samples
  }

  /// One for each count.
  private(set) var rows: [Row] = []

  /// Measures them.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(runs count: Int) throws {
    for threads in Self.counts {
      let target = try BenchmarkTarget(["sleepers", "\(threads - Self.counts[0])"])
      _ = try ToolFigures(of: target, [])
      let runs = try (0..<count).map { _ in try ToolFigures(of: target, []) }
      try target.program.close()
      rows.append(
        Row(
          threads: threads, stops: Samples(runs.compactMap { $0[.totalStop] }),
          gaps: Samples(runs.compactMap { $0[.gap] })))
    }
  }

  /// What each thread beyond those of the first row costs, in microseconds.
  func microsecondsEach(_ row: Row) -> Double {
    max(0, row.stops.median - rows[0].stops.median) * 1000
      / Double(max(1, row.threads - rows[0].threads))
  }
}
