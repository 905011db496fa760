// A case's figures as a table of 80 columns.

import TestKit

extension Measurement {
  /// The table, with a line above it that says what was measured.
  var text: String {
    let stops = runs.map(\.stop)
    let wholeRuns = runs.map(\.wholeRun)
    var lines = [
      "\(benchmark.name): \(grouped(blockCount)) blocks held, "
        + "\(decimal(mebibytes(copiedBytes), 1)) MiB copied",
      row("", "median", "min..max", "x raw copy", "bar, at most"),
      row("raw copy", rawCopies),
      row("stop", stops, beside: rawCopies, benchmark.stop),
      row("whole run", wholeRuns, beside: rawCopies, benchmark.wholeRun),
      peakRow,
      "for comparison",
      row("copy, 512 KiB buffer", pieces, beside: rawCopies),
      row("bare walk after copy", walks, beside: rawCopies),
      row("run without stop", zip(wholeRuns, stops).map { $0 - $1 }, beside: rawCopies),
      "longest pause that a thread of the target sees",
      row("nobody attached", idleGaps),
      row("malloscope", toolGaps),
    ]
    lines.append(
      gdbGaps.isEmpty
        ? "gdb is not installed" : row("gdb attach, detach", gdbGaps))
    return lines.joined(separator: "\n")
  }

  private var peakRow: String {
    let samples = Samples(runs.map { mebibytes($0.peakBytes) })
    let verdict = benchmark.peakMemory.map { text(of: $0, samples, ratios: nil) } ?? ""
    // What wait4 says is never less than what we have had resident ourselves.
    let isFloor = samples.smallest <= mebibytes(Machine.ownPeakBytes)
    let label = isFloor ? "peak memory, at most" : "peak memory"
    let median = decimal(samples.median, 1) + " MiB"
    return row(label, median, samples.range(decimals: 1), "", verdict)
  }

  /// A row of milliseconds; `references` are the raw copies that ran beside each of the values.
  private func row(
    _ label: String, _ values: [Double], beside references: [Double]? = nil, _ bar: Bar? = nil
  ) -> String {
    let samples = Samples(values)
    let ratios = references.map { Samples(zip(values, $0).map { $0 / max($1, 0.000_001) }) }
    return row(
      label, decimal(samples.median, 1) + " ms", samples.range(decimals: 1),
      ratios.map { "\(decimal($0.median, 2)) (\($0.range(decimals: 2)))" } ?? "",
      bar.map { text(of: $0, samples, ratios: ratios) } ?? "")
  }

  /// The bar, and whether the median met it.
  private func text(of bar: Bar, _ samples: Samples, ratios: Samples?) -> String {
    let (limit, found, text): (Double, Double, String)
    switch bar {
    case .timesRawCopy(let times):
      (limit, found) = (times, ratios?.median ?? .infinity)
      text = decimal(times, 2)
    case .milliseconds(let milliseconds):
      (limit, found) = (milliseconds, samples.median)
      text = "\(decimal(milliseconds, 0)) ms"
    case .mebibytesBeyondCopy(let more):
      (limit, found) = (mebibytes(copiedBytes) + more, samples.largest)
      text = "\(decimal(limit, 0)) MiB"
    }
    return "\(text) " + (found <= limit ? "met" : "not met")
  }

  private func row(
    _ label: String, _ median: String, _ range: String, _ ratio: String, _ bar: String
  ) -> String {
    let text =
      label.padded(to: 20) + median.padded(to: -9) + range.padded(to: -14) + "  "
      + ratio.padded(to: 19) + bar
    return String(text.reversed().drop { $0 == " " }.reversed())
  }
}

extension String {
  /// Filled with spaces to `width` on the right, or on the left if that is negative.
  fileprivate func padded(to width: Int) -> String {
    let fill = String(repeating: " ", count: max(0, abs(width) - count))
    return width < 0 ? fill + self : self + fill
  }
}
