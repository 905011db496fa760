// What `malloscope watch` prints where there is no terminal to draw on.

package import HeapAnalysis
package import HeapModel

/// How a watch's rows are chosen.
package struct GrowthOptions: Hashable, Sendable {
  /// How the heap is divided.
  package var grouping: GrowthGrouping
  /// In which order.
  package var order: GrowthOrder
  /// The chunk sizes wanted, nil for all.
  package var filter: ClosedRange<UInt64>?
  /// The types wanted, nil for all.
  package var pattern: TypePattern?

  /// Makes options, by default those of a plain run.
  package init(
    grouping: GrowthGrouping = .ranges, order: GrowthOrder = .growth,
    filter: ClosedRange<UInt64>? = nil, pattern: TypePattern? = nil
  ) {
    self.grouping = grouping
    self.order = order
    self.filter = filter
    self.pattern = pattern
  }
}

extension GrowthTable {
  /// The rows of `history` that `options` ask for.
  package init(_ history: GrowthHistory, _ options: GrowthOptions) {
    self.init(
      history, options.grouping, order: options.order, filter: options.filter,
      pattern: options.pattern)
  }
}

extension GrowthSummary {
  /// Sums up a history, with the rows that `options` ask for.
  init(_ history: GrowthHistory, _ options: GrowthOptions) {
    self.init(
      history, grouping: options.grouping, filter: options.filter, pattern: options.pattern)
  }
}

/// Blocks of text, one for each sample, and a summary.
package enum TextWatch {
  /// How many rows a sample shows unless told otherwise.
  private static let rowLimit = 8

  /// Writes who is watched.
  ///
  /// - Throws: what the sink throws.
  package static func writeTarget<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, options: ReportOptions, to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    page.addTarget(report.target)
    try page.write(to: &sink)
  }

  /// Writes the latest sample; `clock` is the time of day.
  ///
  /// - Throws: what the sink throws.
  package static func writeSample<Sink: ByteSink & ~Copyable>(
    _ history: GrowthHistory, clock: String, growth: GrowthOptions, options: ReportOptions,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    guard let figures = history.figures, let report = history.latest else { return }
    var page = TextPage(options)
    page.line()
    func rate(_ figure: HeapFigure) -> String {
      history.rate(figure).flatMap { abs($0) < 0.5 ? nil : " \(Figures.signed(bytes: $0))/s" } ?? ""
    }
    var pieces = [
      "in use \(page.bytes(figures.inUse.bytes))\(rate(.inUse))",
      "free \(page.bytes(figures.free.bytes))\(rate(.free))",
      "cached \(page.bytes(figures.cached.bytes))\(rate(.cached))",
      "top \(page.bytes(figures.topBytes))\(rate(.top))",
      "mmapped \(page.bytes(figures.mmapped.bytes))\(rate(.mmapped))",
    ]
    if let outside = figures.outsideBytes {
      pieces.append("outside malloc \(page.bytes(outside))\(rate(.outside))")
    }
    if let resident = figures.memory.residentBytes {
      pieces.append("RSS \(page.bytes(resident))\(rate(.resident))")
    }
    if let group = figures.memory.group {
      let limit = group.limitBytes.map { " of \(page.bytes($0))" } ?? ""
      pieces.append("cgroup \(page.bytes(group.usedBytes))\(limit)")
    }
    pieces.append(
      report.capture.stops == 0
        ? "never stopped" : "stopped \(Figures.duration(report.capture.totalStop))")
    page.paragraph(label: clock + "  ", labelTone: .strong, pieces)
    addRows(history, growth: growth, to: &page)
    page.addFindings(report.snapshot)
    try page.write(to: &sink)
  }

  /// Writes what the whole watch has shown; `end` says why it ended.
  ///
  /// - Throws: what the sink throws.
  package static func writeSummary<Sink: ByteSink & ~Copyable>(
    _ history: GrowthHistory, end: String, growth: GrowthOptions, options: ReportOptions,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    let summary = GrowthSummary(history, growth)
    page.line()
    page.sentence(
      label: "",
      "Summary of \(counted(summary.samples, "sample")) in "
        + "\(Figures.clock(seconds: summary.seconds)): \(end).")
    if let now = summary.now, let before = summary.baseline {
      func change(_ figure: HeapFigure, _ name: String) -> String? {
        guard let from = before[figure], let to = now[figure] else { return nil }
        return "\(name) \(page.bytes(from)) to \(page.bytes(to))"
      }
      page.paragraph(
        [
          change(.inUse, "in use"), change(.free, "free"), change(.cached, "cached"),
          change(.top, "top"), change(.mmapped, "mmapped"), change(.outside, "outside malloc"),
          change(.resident, "RSS"),
        ].compactMap { $0 })
    }
    for sentence in GrowthWords.sentences(summary, of: history.latest?.target) {
      page.sentence(label: "- ", sentence)
    }
    if let share = history.stoppedShare, history.totalStop > .zero {
      page.sentence(
        label: "",
        "The target was stopped \(Figures.duration(history.longestStop)) at most, "
          + "\(Figures.duration(history.totalStop)) in all, \(Figures.percent(share)) of the time.")
    }
    if summary.incomplete > 0 {
      page.sentence(
        label: "", "\(counted(summary.incomplete, "sample")) incomplete: see the findings.")
    }
    addGrown(summary, options: options, to: &page)
    try page.write(to: &sink)
  }

  private static func addRows(
    _ history: GrowthHistory, growth: GrowthOptions, to page: inout TextPage
  ) {
    let table = GrowthTable(history, growth)
    let shown = table.rows.prefix(page.options.limit ?? rowLimit)
    guard !shown.isEmpty else { return }
    var text = TextTable([
      ("", .left), heading(growth.grouping), ("chunks", .right), ("in use", .right),
      ("growth", .right), ("per second", .right),
    ])
    for row in shown {
      let rate = history.rate(row)
      text.add([
        .init(mark(row, page.options.style), .warning),
        .init(label(row, page.options)),
        .init(Figures.grouped(row.now.inUse.count)), page.cell(row.now.inUse.bytes),
        row.growth == 0 ? .none : .init(Figures.signed(bytes: row.growth)),
        rate.map { $0 == 0 ? .none : .init(Figures.signed(bytes: $0)) } ?? .none,
      ])
    }
    text.write(to: &page)
    let hidden = table.rows.count - shown.count
    if hidden > 0 { page.line(page.toned("  \(Figures.grouped(hidden)) more rows", .faint)) }
    let untracked = history.untracked(growth.grouping)
    if untracked > 0 {
      page.line(
        "  \(Figures.grouped(untracked)) more are not followed: "
          + (growth.grouping == .types ? "they hold less" : "see their ranges"))
    }
  }

  private static func heading(
    _ grouping: GrowthGrouping
  ) -> (text: String, alignment: TextTable.Alignment) {
    switch grouping {
    case .ranges, .sizes: ("chunk size", .right)
    case .arenas: ("arena", .right)
    case .types: ("type", .left)
    }
  }

  /// What a row is called; of the name of a type, as much as the figures leave room for.
  private static func label(_ row: GrowthRow, _ options: ReportOptions) -> String {
    let label = GrowthWords.label(row, isExact: options.showsExactBytes)
    guard row.key.isType, !options.hasFullNames else { return label }
    return label.shortened(to: max(16, options.columns - 52), beginning: 0.6)
  }

  private static func addGrown(
    _ summary: GrowthSummary, options: ReportOptions, to page: inout TextPage
  ) {
    guard !summary.grown.isEmpty else { return }
    page.line()
    var text = TextTable([
      ("what grew", .right), ("chunks", .right), ("in use", .right), ("per minute", .right),
      ("", .left),
    ])
    for grown in summary.grown.prefix(options.limit ?? .max) {
      let perMinute = grown.trend.map { Figures.signed(bytes: $0.perSecond * 60) }
      text.add([
        .init(label(grown.row, options)),
        .init(Figures.signed(grown.row.growthCount)),
        .init(Figures.signed(bytes: grown.row.growth)),
        perMinute.map { .init($0) } ?? .none,
        .init(
          grown.row.grewInEverySample
            ? "in every sample" : grown.row.neverShrank ? "never shrank" : "on the whole"),
      ])
    }
    text.write(to: &page)
  }

  /// What marks a row that grew in every sample, or never shrank.
  package static func mark(_ row: GrowthRow, _ style: TextStyle) -> String {
    if row.grewInEverySample { return style.usesUnicode ? "▲" : "^" }
    if row.neverShrank { return style.usesUnicode ? "△" : "'" }
    return ""
  }
}
