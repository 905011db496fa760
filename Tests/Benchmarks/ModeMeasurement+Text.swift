// One mode's figures as a table, each beside what it is compared with and its bar.

import TestKit

extension ModeMeasurement {
  /// The table.
  func text(_ benchmark: BenchmarkCase, held: MallocInfo.Amount, heldChunkBytes: UInt64) -> String {
    let title = "\(benchmark.name):\(mode.name)"
    if let refusal { return "\(title) was refused: \(refusal)" }
    let captures = Set(runs.map(\.capture)).sorted().joined(separator: "; ")
    var lines = [
      "\(title): \(captures)", Table.heading(ratio: "x raw copy"),
      Table.row("raw copy of as much", Samples(rawCopies), .milliseconds),
    ]
    if !bareClones.isEmpty {
      lines.append(Table.row("bare clone", Samples(bareClones), .milliseconds))
    }
    lines += Figure.allCases.compactMap { figure in
      row(figure, held: figure == .bytesOff ? heldChunkBytes : held.count)
    }
    let incomplete = runs.compactMap(\.gaps)
    if let first = incomplete.first {
      lines.append("\(incomplete.count) of \(runs.count) were incomplete, the first: \(first)")
    }
    return lines.joined(separator: "\n")
  }

  /// The figure's row, nil where the tool does not have it.
  private func row(_ figure: Figure, held: UInt64) -> String? {
    let values = runs.compactMap { $0[figure] }
    guard values.count == runs.count else { return nil }
    let bar = (mode.bars + Bar.always).first { $0.figure == figure }
    let ratios = ratios(of: values, figure, bar, held: held)
    return Table.row(
      label(of: figure, values), Samples(values), figure.unit,
      ratios.map { text(ofRatios: $0, figure, bar) } ?? "",
      bar.map { $0.text(values, ratios: ratios ?? []) } ?? "")
  }

  /// What wait4 says is never less than what we have had resident ourselves.
  private func label(of figure: Figure, _ values: [Double]) -> String {
    let isFloor =
      figure == .peakMemory && Samples(values).smallest <= mebibytes(Machine.ownPeakBytes)
    return isFloor ? "\(figure.label), at most" : figure.label
  }

  /// Each value against what was measured in turn with it, or against what the target holds.
  private func ratios(
    of values: [Double], _ figure: Figure, _ bar: Bar?, held: UInt64
  ) -> [Double]? {
    switch figure.unit {
    case .milliseconds:
      zip(values, bar?.isAgainstClone == true ? bareClones : rawCopies)
        .map { $0 / max($1, leastMilliseconds) }
    case .ofHeld: values.map { $0 / max(Double(held), 1) }
    case .mebibytes, .count: nil
    }
  }

  private func text(ofRatios ratios: [Double], _ figure: Figure, _ bar: Bar?) -> String {
    guard figure.unit == .milliseconds else {
      return "up to \(decimal(Samples(ratios).largest * 100, 4)) %"
    }
    return Samples(ratios).text + (bar?.isAgainstClone == true ? " clone" : "")
  }
}

extension Samples {
  /// Ratios: the median, and the range in brackets.
  var text: String { "\(decimal(median, 2)) (\(range(decimals: 2)))" }
}

extension Bar {
  /// Whether the figure is compared with a clone.
  var isAgainstClone: Bool {
    if case .times(_, .bareClone) = limit { true } else { false }
  }

  /// The bar, and whether `values`, or their `ratios` where that is the limit, met it.
  fileprivate func text(_ values: [Double], ratios: [Double]) -> String {
    let (most, compared, text): (Double, [Double], String) =
      switch limit {
      case .value(let value): (value, values, figure.unit.text(value))
      case .times(let times, _): (times, ratios, "x " + decimal(times, 1))
      case .partOfHeld(let part): (part, ratios, decimal(part * 100, 1) + " %")
      }
    let misses = compared.count { $0 > most }
    let allowed: Int
    switch runs {
    case .median:
      return text + (Samples(compared).median <= most ? ", met" : ", not met")
    case .all: allowed = 0
    case .allButOneIn(let count): allowed = compared.count / count
    }
    return "\(text), \(compared.count - misses) of \(compared.count): "
      + (misses <= allowed ? "met" : "not met")
  }
}
