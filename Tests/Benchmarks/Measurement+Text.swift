// The figures of a measurement as tables.

import TestKit

extension CaseMeasurement {
  /// One table for each mode, between what it is compared with and what others cost.
  var text: String {
    let heartbeat =
      heartbeatIsRealTime ? "real-time" : "normal, so that a busy machine adds to gaps"
    let title =
      "\(benchmark.name): \(grouped(held.count)) blocks, \(decimal(mebibytes(heldChunkBytes), 1)) "
      + "MiB with their headers; heartbeat \(heartbeat)"
    let tables = modes.map { $0.text(benchmark, held: held, heldChunkBytes: heldChunkBytes) }
    return ([title, references.text] + tables + [debuggers.text]).joined(separator: "\n\n")
  }
}

extension ReferenceMeasurement {
  /// What stops nobody.
  var text: String {
    let ratios = Samples(zip(pieces, rawCopies).map { $0 / max($1, leastMilliseconds) })
    return """
      \(Table.heading("nobody attached", ratio: "x raw copy"))
      \(Table.row("gap, all quiet", Samples(idleGaps), .milliseconds))
      \(Table.row("gap beside raw copy", Samples(copyGaps), .milliseconds))
      \(Table.row("raw copy", Samples(rawCopies), .milliseconds))
      \(Table.row("copy, 512 KiB buffer", Samples(pieces), .milliseconds, ratios.text))
      """
  }
}

extension DebuggerMeasurement {
  /// What the heartbeat saw of them.
  var text: String {
    """
    \(Table.heading("others, longest gap"))
    \(Table.row("gdb attach, detach", milliseconds: attaching))
    \(Table.row("gcore", milliseconds: dumping))
    """
  }
}

extension ThreadMeasurement {
  /// Two rows for each process, and whether the cost is linear.
  var text: String {
    var lines = ["\(Self.name): a small heap", Table.heading("threads", ratio: "each thread")]
    for row in rows {
      let each = row.threads == rows[0].threads ? "" : "\(decimal(microsecondsEach(row), 1)) us"
      lines.append(Table.row("\(row.threads), total stop", row.stops, .milliseconds, each))
      lines.append(Table.row("\(row.threads), gap as seen", row.gaps, .milliseconds))
    }
    let each = rows.suffix(2).map(microsecondsEach)
    let growth = each[1] / max(each[0], 0.001)
    let verdict = growth <= Self.mostGrowth ? "met" : "not met"
    lines.append(
      "each of \(rows[rows.count - 1].threads) costs \(decimal(growth, 2)) times what each of "
        + "\(rows[rows.count - 2].threads) does; bar \(decimal(Self.mostGrowth, 1)) \(verdict)")
    return lines.joined(separator: "\n")
  }
}

/// Shorter than any clock shows: what a ratio has at least below its line.
let leastMilliseconds = 0.000_001
