// The table of what chunks hold, as jmap and Apple's heap have it.

package import HeapAnalysis
package import HeapModel

/// The types as text: one row each, how much is typed and by what, and whose symbols are missing.
package enum TextTypes {
  /// How much of the width the file of a type may take.
  private static let binaryRoom = 24
  /// How wide the column of whole names is; longer ones move what stands behind them.
  private static let wholeNameRoom = 40
  /// How many files without symbols are named unless all are wanted.
  private static let gapCount = 3

  /// Writes the report to `sink`; `types` chooses the rows.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions, options: ReportOptions, to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    page.addTarget(report.target)
    page.line()
    page.addTotals(report)
    page.addMallocs(report.snapshot)
    page.line()
    try add(report, types, to: &page, &sink)
    page.addFindings(report.snapshot)
    page.addEvidence(report.target)
    try page.write(to: &sink)
  }

  /// Appends the table and what there is to say about it; `sink` has what is too much for the page.
  static func add<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, _ types: TypeTableOptions, to page: inout TextPage, _ sink: inout Sink
  ) throws(Sink.Failure) {
    let table = TypeTable(report, options: types)
    if table.rows.isEmpty, table.omittedRows == 0 {
      page.line(
        table.attribution.total.count == 0
          ? "The program holds no chunks." : "No chunk in use is of such a type or size.")
    } else {
      // The names take what the figures leave.
      let figures = textTable(table, types, page, nameRoom: 0).width
      let room = max(16, page.options.columns - figures + types.grouping.heading.count)
      try textTable(table, types, page, nameRoom: room).write(to: &page) {
        index, page throws(Sink.Failure) in
        guard index < table.rows.count else { return }
        try addDetails(of: table.rows[index], types, to: &page, &sink)
      }
    }
    page.line()
    add(table.attribution, to: &page)
    add(report.held?.gaps ?? [], to: &page)
  }

  // MARK: The table

  /// The table with names of at most `nameRoom` columns; with 0 there are none, for its width.
  private static func textTable(
    _ table: TypeTable, _ types: TypeTableOptions, _ page: TextPage, nameRoom: Int
  ) -> TextTable {
    let isByType = types.grouping == .type
    var result = TextTable(
      ["rank", "count", "bytes", "average"].map { ($0, .right) }
        + [(types.grouping.heading, .left)]
        + (isByType ? [("kind", .left), ("binary", .left)] : []),
      maximumWidths: page.options.hasFullNames ? [4: wholeNameRoom] : [:])
    func add(_ rank: String, _ held: Tally, _ name: String, _ row: TypeRow?, _ tone: Tone) {
      var cells: [TextTable.Cell] = [
        .init(rank, .faint),
        held.count == 0 ? .none : .init(Figures.grouped(held.count), tone),
        page.cell(held.bytes, tone), page.cell(held.average, tone), .init(name, tone),
      ]
      if isByType {
        cells.append(.init(row?.type?.kind.rawValue ?? "", .faint))
        cells.append(.init(row.map { binary(of: $0, page) } ?? "", .faint))
      }
      result.add(cells)
    }
    for row in table.rows {
      let name = nameRoom == 0 ? "" : self.name(of: row, page, room: nameRoom)
      add(Figures.grouped(row.rank), row.held, name, row, .plain)
    }
    if table.omittedRows > 0 {
      let more = nameRoom == 0 ? "" : "\(Figures.grouped(table.omittedRows)) more"
      add("", table.rest, more, nil, .faint)
    }
    add("", table.total, nameRoom == 0 ? "" : "total", nil, .strong)
    return result
  }

  private static func name(of row: TypeRow, _ page: TextPage, room: Int) -> String {
    let name = row.name(isExact: page.options.showsExactBytes).printable
    return page.options.hasFullNames ? name : name.shortened(to: room, beginning: 0.6)
  }

  private static func binary(of row: TypeRow, _ page: TextPage) -> String {
    guard let path = row.binary?.printable else { return "-" }
    return page.options.hasFullNames
      ? path : path.fileName.shortened(to: Self.binaryRoom, beginning: 0.6)
  }

  /// Appends what was asked for of a row in lines of their own.
  private static func addDetails<Sink: ByteSink & ~Copyable>(
    of row: TypeRow, _ types: TypeTableOptions, to page: inout TextPage, _ sink: inout Sink
  ) throws(Sink.Failure) {
    if page.options.isVerbose, let evidence = row.type?.evidence, evidence.rule != .none {
      let detail = evidence.detail.isEmpty ? "" : ": \(evidence.detail.printable)"
      page.line(page.toned("        by \(evidence.rule.words)\(detail)", .faint))
    }
    if types.sizeLimit != nil {
      for size in row.sizes {
        page.line(
          page.toned(
            "        \(Figures.grouped(size.inUse)) of \(page.bytes(size.size)), "
              + page.bytes(size.inUseBytes), .faint))
      }
    }
    for chunk in row.chunks {
      page.line(
        page.toned("        \(chunk.userAddress)  \(page.bytes(chunk.size))", .faint))
      try page.drainIfFull(into: &sink)
    }
    let hidden = row.held.count - row.chunks.count
    if types.addressLimit != nil, hidden > 0 {
      page.line(page.toned("        \(Figures.grouped(hidden)) more", .faint))
    }
  }

  // MARK: Below the table

  private static func add(_ attribution: TypeShares, to page: inout TextPage) {
    let total = attribution.total
    guard total.count > 0 else { return }
    func share(_ part: Tally) -> String { Figures.percent(part.bytes, of: total.bytes) }
    let typed = attribution.typed
    let rules = TypeEvidence.Rule.allCases.filter {
      $0 != .content && $0 != .none && attribution[$0].count > 0
    }
    page.paragraph(
      label: "typed    ", labelTone: .faint,
      [
        "\(share(typed)) of bytes in use, "
          + "\(Figures.percent(UInt64(typed.count), of: UInt64(total.count))) of chunks"
      ])
    page.paragraph(
      label: "by       ", labelTone: .faint,
      rules.map { "\($0.words) \(share(attribution[$0]))" }
        + (attribution.content.count > 0
          ? ["contents alone \(share(attribution.content))"] : [])
        + (attribution.unknown.count > 0
          ? ["not looked at \(share(attribution.unknown))"] : []))
  }

  private static func add(_ gaps: [SymbolGap], to page: inout TextPage) {
    guard !gaps.isEmpty else { return }
    page.line()
    page.line(page.toned("no symbols for", .warning))
    for gap in gaps.prefix(page.options.isVerbose ? gaps.count : gapCount) {
      page.sentence(
        label: "  \(gap.path.printable)  ", labelTone: .faint, gap.reason.printable)
    }
    let hidden = page.options.isVerbose ? 0 : gaps.count - gapCount
    if hidden > 0 { page.line("  \(Figures.grouped(hidden)) more, all with -v") }
  }
}
