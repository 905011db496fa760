// The screen that `malloscope PID` shows.

package import HeapAnalysis
package import HeapModel

/// The histogram as text: who, totals, arenas if there are several, sizes, findings.
package enum TextHistogram {
  /// How many arenas are shown unless all are wanted.
  private static let arenaCount = 6

  /// Writes the report to `sink`; with `types`, those rows take the place of the sizes.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions? = nil, options: ReportOptions,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    page.addTarget(report.target)
    page.line()
    page.addTotals(report)
    page.addMallocs(report.snapshot)
    addArenas(report.snapshot, to: &page)
    page.line()
    if let types {
      try TextTypes.add(report, types, to: &page, &sink)
    } else {
      addSizes(report.snapshot, to: &page)
    }
    page.addFindings(report.snapshot)
    page.addEvidence(report.target)
    try page.write(to: &sink)
  }

  private static func addArenas(_ snapshot: HeapSnapshot, to page: inout TextPage) {
    guard snapshot.arenas.count > 1 else { return }
    let isAll = page.options.isVerbose || snapshot.arenas.count <= arenaCount
    let ranked =
      isAll
      ? snapshot.arenas
      : snapshot.arenas.sorted { $0.systemBytes > $1.systemBytes }
    let shown = isAll ? ranked.count : arenaCount - 1
    var table = TextTable(
      [("arena", .left), ("threads", .right)]
        + ["system", "in use", "free", "cached", "top"].map { ($0, .right) })
    func add(_ label: String, _ arenas: ArraySlice<ArenaSummary>) {
      let threads = arenas.reduce(into: Int?(0)) { sum, arena in
        sum = sum.flatMap { sum in arena.attachedThreads.map { sum &+ $0 } }
      }
      func sum(_ bytes: (ArenaSummary) -> UInt64) -> TextTable.Cell {
        page.cell(arenas.reduce(0) { $0 &+ bytes($1) })
      }
      table.add([
        .init(label), .init(threads.map { Figures.grouped($0) } ?? "?"), sum(\.systemBytes),
        sum(\.inUse.bytes), sum(\.free.bytes), sum(\.cached.bytes), sum(\.topBytes),
      ])
    }
    for position in 0..<shown { add(ranked[position].label, ranked[position...position]) }
    if shown < ranked.count { add("\(ranked.count - shown) others", ranked[shown...]) }
    page.line()
    table.write(to: &page)
  }

  private static func addSizes(_ snapshot: HeapSnapshot, to page: inout TextPage) {
    let options = page.options
    let table = HistogramTable(
      snapshot.sizes, grouping: options.isExact ? .exact : .ranges, order: options.order,
      limit: options.limit)
    guard !table.rows.isEmpty || table.rest != nil else {
      page.line("The heap has no chunks.")
      return
    }
    // The bar takes what the figures leave; below a handful of columns it would say nothing.
    let figuresWidth = textTable(table, page, bar: nil).width
    let room = min(24, options.columns - figuresWidth - 2)
    textTable(table, page, bar: room >= 6 ? room : nil).write(to: &page)
  }

  private static func textTable(
    _ table: HistogramTable, _ page: TextPage, bar: Int?
  ) -> TextTable {
    var result = TextTable(
      [("chunk size", .right), ("chunks", .right), ("in use", .right), ("share", .right)]
        + (bar == nil ? [] : [("", .left)]) + [("free", .right), ("cached", .right)],
      minimumWidths: bar.map { [4: $0] } ?? [:])
    let total = table.total.inUse.bytes
    let largest = table.largestInUseBytes
    func add(_ label: String, _ row: HistogramRow, tone: Tone, drawsBar: Bool) {
      let isEmpty = row.inUse.count == 0
      var cells: [TextTable.Cell] = [
        .init(label, tone),
        isEmpty ? .none : .init(Figures.grouped(row.inUse.count), tone),
        page.cell(row.inUse.bytes, tone),
        isEmpty ? .none : .init(Figures.percent(row.inUse.bytes, of: total), tone),
      ]
      if let bar {
        let text = drawsBar ? self.bar(row.inUse.bytes, of: largest, width: bar, page) : ""
        cells.append(.init(text, .bar))
      }
      cells += [page.cell(row.free.bytes, tone), page.cell(row.cached.bytes, tone)]
      result.add(cells)
    }
    for row in table.rows {
      add(
        Figures.sizes(row.sizes, isExact: page.options.showsExactBytes), row, tone: .plain,
        drawsBar: true)
    }
    if let rest = table.rest {
      add("\(Figures.grouped(table.omittedRows)) more", rest, tone: .faint, drawsBar: false)
    }
    add("total", table.total, tone: .strong, drawsBar: false)
    return result
  }

  private static func bar(
    _ part: UInt64, of whole: UInt64, width: Int, _ page: TextPage
  ) -> String {
    guard whole > 0 else { return "" }
    let length = Double(part) / Double(whole) * Double(width)
    guard page.options.style.usesUnicode else {
      return String(repeating: "#", count: Int(length + 0.5))
    }
    let eighths = Int(length * 8 + 0.5)
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
    return String(repeating: "█", count: eighths / 8) + partial
  }
}

extension TextPage {
  /// A cell with bytes, a dash for none.
  func cell(_ bytes: UInt64, _ tone: Tone = .plain) -> TextTable.Cell {
    bytes == 0 ? .none : .init(self.bytes(bytes), tone)
  }
}

extension ArenaSummary {
  /// What a reader calls it.
  var label: String {
    // With several copies of malloc there are several main arenas.
    kind == .main ? (index == 0 ? "main" : "\(index) main") : String(index)
  }
}
