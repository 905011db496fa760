// The heaps that are measured, how they are captured, and what is promised of each.

/// A scenario, and the ways in which its heap is captured.
struct BenchmarkCase {
  /// What it is called on the command line.
  let name: String
  /// HeapScenario's arguments: the scenario's name and its own ones.
  let scenario: [String]
  /// How many blocks it may hold more or fewer at any moment than it says.
  var blocksInFlight: UInt64 = 0
  /// The ways.
  var modes: [Mode]

  /// One way to run the tool.
  struct Mode {
    /// What it is called on the command line, after the case's name and a colon.
    let name: String
    /// The tool's options.
    let arguments: [String]
    /// What is promised, beside `Bar.always`.
    let bars: [Bar]
  }
}

extension BenchmarkCase {
  /// All cases.
  static let all = [
    BenchmarkCase(
      name: "gib", scenario: ["gib"], blocksInFlight: 1,
      modes: [
        Mode(
          name: "default", arguments: [],
          bars: [
            Bar(.gap, .value(7), in: .allButOneIn(20)), Bar(.totalStop, .times(1.3, .rawCopy)),
          ] + Bar.nearTruth),
        Mode(
          name: "2ms", arguments: ["--max-pause", "2"],
          bars: [Bar(.gap, .value(4), in: .allButOneIn(10))] + Bar.nearTruth),
        Mode(
          name: "stop", arguments: ["--capture", "stop"],
          bars: [
            Bar(.totalStop, .times(1.3, .rawCopy)), Bar(.wholeRun, .times(1.6, .rawCopy)),
          ] + Bar.exact),
        Mode(
          name: "fork", arguments: ["--capture", "fork"],
          bars: [Bar(.longestStop, .times(1.3, .bareClone))] + Bar.exact),
        Mode(name: "live", arguments: ["--capture", "live"], bars: []),
      ]),
    BenchmarkCase(
      name: "mib-chunks", scenario: ["mib-chunks", "4096", "touched"],
      modes: [
        Mode(
          name: "default", arguments: [],
          bars: [Bar(.totalStop, .value(10)), Bar(.copied, .value(64), in: .all)] + Bar.exact)
      ]),
    BenchmarkCase(
      name: "hundred-thousand", scenario: ["million", "100000"],
      modes: [Mode(name: "default", arguments: [], bars: [Bar(.totalStop, .value(6))] + Bar.exact)]
    ),
    BenchmarkCase(
      name: "million", scenario: ["million"],
      modes: [
        Mode(
          name: "stop", arguments: ["--capture", "stop"],
          bars: [
            Bar(.totalStop, .times(1.5, .rawCopy)), Bar(.wholeRun, .times(2.5, .rawCopy)),
          ] + Bar.exact)
      ]),
    BenchmarkCase(
      name: "small10", scenario: ["small10"],
      modes: [Mode(name: "default", arguments: [], bars: [Bar(.wholeRun, .value(100))] + Bar.exact)]
    ),
  ]
}
