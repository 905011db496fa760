// The heaps that are measured, and what is promised of each.

/// A scenario, with the bars that its figures are held against.
struct BenchmarkCase {
  /// The scenario's name, and the case's.
  let name: String
  /// For the time that the target is stopped.
  let stop: Bar?
  /// For the time from the tool's start to its end.
  let wholeRun: Bar?
  /// For the tool's peak memory.
  let peakMemory: Bar?

  /// All cases.
  static let all = [
    BenchmarkCase(
      name: "million", stop: .timesRawCopy(1.5), wholeRun: .timesRawCopy(2.5),
      peakMemory: .mebibytesBeyondCopy(32)),
    BenchmarkCase(
      name: "small10", stop: nil, wholeRun: .milliseconds(100),
      peakMemory: .mebibytesBeyondCopy(32)),
  ]
}

/// The most that a figure may be.
enum Bar {
  /// So many times the raw copy of the same bytes.
  case timesRawCopy(Double)
  /// So many milliseconds.
  case milliseconds(Double)
  /// So many mebibytes more than were copied.
  case mebibytesBeyondCopy(Double)
}
