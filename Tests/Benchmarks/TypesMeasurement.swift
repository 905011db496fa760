// What telling types costs beyond the histogram of the same heap.

import TestKit

/// `types` on a million objects of ten thousand classes, in turn with `histogram` on the same process.
struct TypesMeasurement {
  /// What it is called on the command line.
  static let name = "types"
  /// How many times the histogram's whole run `types` may take, and how many times its stop.
  private static let mostTimes = 3.0
  private static let mostStopTimes = 1.1

  /// A way to run the tool, the first of which the others are compared with.
  private static let ways: [(name: String, verb: String, options: [String])] = [
    ("histogram", "histogram", []), ("types", "types", []),
    ("types --owner", "types", ["--owner"]),
  ]

  /// Of each way, by its place: whole run and longest stop in milliseconds, peak memory in MiB.
  private var wholes: [Samples] = []
  private var stops: [Samples] = []
  private var peaks: [Samples] = []
  /// The ratios to the histogram's run beside it.
  private var wholeRatios: [Samples] = []
  private var stopRatios: [Samples] = []

  /// Measures it.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(runs: Int) throws {
    let program = try TargetProgram(
      ChildProcess.Launch(
        try CompiledProgram.path("ManyClasses.cpp", flags: ["-ftemplate-depth=20000"])))
    try program.waitReady()
    var figures = [[TypesRun]](repeating: [], count: Self.ways.count)
    for run in 0...runs {
      for (place, way) in Self.ways.enumerated() {
        let figure = try TypesRun(
          [way.verb, "\(program.pid)", "--capture", "stop", "-q"] + way.options)
        // The first brings the files into memory.
        if run > 0 { figures[place].append(figure) }
      }
    }
    for runs in figures {
      wholes.append(Samples(runs.map(\.whole)))
      stops.append(Samples(runs.map(\.stop)))
      peaks.append(Samples(runs.map(\.peak)))
      wholeRatios.append(Samples(zip(runs, figures[0]).map { $0.whole / $1.whole }))
      stopRatios.append(Samples(zip(runs, figures[0]).map { $0.stop / $1.stop }))
    }
    try program.close()
  }

  /// The figures as a table.
  var text: String {
    var rows = ["\(Self.name): 1,000,000 objects of 10,000 classes, 170 MB; --capture stop"]
    for (place, way) in Self.ways.enumerated() {
      let isJudged = way.name == "types"
      rows.append(Table.heading(way.name, ratio: "to the histogram's"))
      rows.append(
        Table.row(
          "whole run, ms", wholes[place], .milliseconds, ratio(wholeRatios[place]),
          isJudged ? judged(wholeRatios[place], Self.mostTimes) : ""))
      rows.append(
        Table.row(
          "stop, ms", stops[place], .milliseconds, ratio(stopRatios[place]),
          isJudged ? judged(stopRatios[place], Self.mostStopTimes) : ""))
      rows.append(Table.row("peak memory, MiB", peaks[place], .mebibytes))
    }
    return rows.joined(separator: "\n")
  }

  private func ratio(_ samples: Samples) -> String {
    "\(decimal(samples.median, 2)) (\(samples.range(decimals: 2)))"
  }

  private func judged(_ samples: Samples, _ most: Double) -> String {
    "\(decimal(most, 1)) \(samples.median <= most ? "met" : "not met")"
  }
}
