// What a watch has shown, in words.

package import HeapAnalysis
package import HeapModel

/// Sentences about growth, for the summary and the screen.
package enum GrowthWords {
  /// What was seen since the baseline, most important first; at least one sentence.
  package static func sentences(_ summary: GrowthSummary, of target: TargetFacts?) -> [String] {
    guard summary.isTold else {
      return [
        "Too few samples to tell growth from fluctuation: \(summary.samples), of "
          + "\(Trend.fewestValues) that it takes."
      ]
    }
    var sentences = summary.changes.map { sentence($0, summary, target) }
    if !summary.changes.contains(where: { $0.kind == .inUse }) {
      sentences.append(steady(summary))
    }
    return sentences
  }

  /// A speed, with the bounds between which it lies: `1.2M/min (1.1M to 1.3M)`.
  package static func speed(_ trend: Trend) -> String {
    func minute(_ perSecond: Double) -> String {
      let text = Figures.signed(bytes: perSecond * 60)
      return text.hasPrefix("+") ? String(text.dropFirst()) : text
    }
    return "\(minute(trend.perSecond))/min (\(minute(trend.bounds.lowerBound)) to "
      + "\(minute(trend.bounds.upperBound)))"
  }

  /// What a row is called: its sizes, `main`, an arena's number, `mmap`, or a type's name.
  package static func label(_ row: GrowthRow, isExact: Bool = false) -> String {
    switch row.key {
    case .sizes(let sizes): Figures.sizes(sizes, isExact: isExact)
    case .arena(let address):
      switch row.now.arenaIndex {
      case 0: "main"
      case let index?: String(index)
      case nil: "\(address)"
      }
    case .mmapped: "mmap"
    case .type(let name, _, _): name.printable
    }
  }

  private static func sentence(
    _ change: GrowthSummary.Change, _ summary: GrowthSummary, _ target: TargetFacts?
  ) -> String {
    let bytes = Figures.rounded(bytes: UInt64(min(max(0, change.bytes), 9e18)))
    let speed = change.trend.map { ", \(Self.speed($0))" } ?? ""
    switch change.kind {
    case .inUse:
      return "In use grew by \(bytes)\(speed): the program holds this memory. Under constant load "
        + "that is a leak, or a cache without a bound."
    case .fragmentation:
      return "Free memory between chunks in use grew by \(bytes)\(speed): fragmentation, no leak. "
        + "The program gave this memory back, but chunks that stay in use keep glibc from returning "
        + "it, and later requests do not fit into it."
    case .cached:
      return
        "Chunks that glibc keeps for reuse in tcaches and fastbins grew by \(bytes)\(speed): no "
        + "leak; tcaches have a bound for each thread."
    case .retention:
      return "The program gave back \(bytes) of what it had at most, and glibc still holds them: "
        + "retention, no leak. malloc_trim(0) would return whole free pages to the kernel."
    case .outside:
      return
        "Memory that is not malloc's grew by \(bytes)\(speed), as mapped: what the program maps "
        + "itself (an interpreter's own allocator, compiled code, thread stacks), and not in this "
        + "table." + python(target)
    }
  }

  private static func steady(_ summary: GrowthSummary) -> String {
    guard let trend = summary.inUse else { return "" }
    let now = Figures.rounded(bytes: summary.now?.inUse.bytes ?? 0)
    if trend.isDecline { return "In use shrank, \(speed(trend)): it is \(now) now." }
    let growth = Double(summary.now?.inUse.bytes ?? 0) - Double(summary.baseline?.inUse.bytes ?? 0)
    return "In use did not grow for good: it is \(now), \(Figures.signed(bytes: growth)) since the "
      + "baseline."
  }

  private static func python(_ target: TargetFacts?) -> String {
    guard let target, isPython(target.command) || isPython(target.executable) else { return "" }
    return " Python keeps its objects of up to 512 bytes in such mappings (pymalloc arenas)."
  }

  private static func isPython(_ name: String) -> Bool {
    name.fileName.lowercased().hasPrefix("python")
  }
}
