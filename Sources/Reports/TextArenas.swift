// The table of arenas, with what their pages are worth.

import HeapAnalysis
package import HeapModel

/// The arenas as text: one row each, one for the mmapped chunks, and their sum.
package enum TextArenas {
  /// Writes the report to `sink`; resident, trimmable and pinned bytes need `residency` and chunks.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, options: ReportOptions, to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    page.addTarget(report.target)
    page.line()
    page.addTotals(report)
    page.addMallocs(report.snapshot)
    page.line()
    addTable(report, to: &page)
    if report.residency != nil {
      page.line()
      page.sentence(
        label: "trim    ", labelTone: .faint,
        "resident pages that malloc_trim would give back to the kernel")
      page.sentence(
        label: "pinned  ", labelTone: .faint,
        "free and cached bytes that a live chunk on their page keeps resident")
    }
    page.addFindings(report.snapshot)
    page.addEvidence(report.target)
    try page.write(to: &sink)
  }

  private static func addTable(_ report: HeapReport, to page: inout TextPage) {
    let snapshot = report.snapshot
    let usage = report.residency.map { PageUsage(snapshot, residency: $0) }
    var table = TextTable(
      [("arena", .left), ("system", .right)] + (usage == nil ? [] : [("resident", .right)])
        + ["in use", "free", "cached", "top"].map { ($0, .right) }
        + (usage == nil ? [] : [("trim", .right), ("pinned", .right)]) + [("thr", .right)])
    func add(
      _ label: String, system: UInt64, inUse: Tally, free: Tally, cached: Tally, top: UInt64,
      pages: ArenaPages?, threads: String, tone: Tone = .plain
    ) {
      var cells = [TextTable.Cell(label, tone), page.cell(system, tone)]
      if let pages { cells.append(page.cell(pages.residentBytes, tone)) }
      cells += [inUse.bytes, free.bytes, cached.bytes, top].map { page.cell($0, tone) }
      if let pages {
        cells += [page.cell(pages.trimmableBytes, tone), page.cell(pages.pinnedBytes, tone)]
      }
      cells.append(.init(threads, tone))
      table.add(cells)
    }
    let limit = page.options.limit ?? .max
    for (position, arena) in snapshot.arenas.enumerated().prefix(limit) {
      add(
        arena.label, system: arena.systemBytes, inUse: arena.inUse, free: arena.free,
        cached: arena.cached, top: arena.topBytes, pages: usage?.arenas[position],
        threads: arena.attachedThreads.map { Figures.grouped($0) } ?? "?")
      if page.options.isVerbose { addPlaces(of: arena, report, page, to: &table) }
    }
    if snapshot.arenas.count > limit {
      table.note(page.toned("\(Figures.grouped(snapshot.arenas.count - limit)) more", .faint))
    }
    add(
      "mmap", system: snapshot.mmapped.bytes, inUse: snapshot.mmapped, free: Tally(),
      cached: Tally(), top: 0, pages: usage?.mmapped, threads: "")
    if page.options.isVerbose { addMmapped(report, page, to: &table) }
    add(
      "total", system: snapshot.systemBytes &+ snapshot.mmapped.bytes, inUse: snapshot.inUse,
      free: snapshot.free, cached: snapshot.cached, top: snapshot.topBytes, pages: usage?.total,
      threads: snapshot.attachedThreads.map { Figures.grouped($0) } ?? "?", tone: .strong)
    table.write(to: &page)
  }

  private static func addPlaces(
    of arena: ArenaSummary, _ report: HeapReport, _ page: TextPage, to table: inout TextTable
  ) {
    let noun = arena.kind == .main ? "segment" : "heap"
    table.note(
      page.toned(
        "  state at \(arena.address), \(counted(arena.segments.count, noun))"
          + (arena.isLocked ? ", locked" : ""), .faint))
    for segment in arena.segments {
      table.note(place(segment, byteCount: segment.byteCount, report, page))
    }
  }

  private static func addMmapped(
    _ report: HeapReport, _ page: TextPage, to table: inout TextTable
  ) {
    for chunk in report.snapshot.chunks where chunk.arena == nil {
      table.note(place(chunk.range, byteCount: chunk.size, report, page))
    }
  }

  private static func place(
    _ range: AddressRange, byteCount: UInt64, _ report: HeapReport, _ page: TextPage
  ) -> String {
    let resident = report.residency.map {
      ", \(page.bytes($0.residentBytes(in: range))) resident"
    }
    return page.toned("  \(range)  \(page.bytes(byteCount))\(resident ?? "")", .faint)
  }
}

extension HeapSnapshot {
  /// How many threads have an arena, nil where the layout does not say.
  var attachedThreads: Int? {
    arenas.reduce(into: Int?(0)) { sum, arena in
      sum = sum.flatMap { sum in arena.attachedThreads.map { sum &+ $0 } }
    }
  }
}
