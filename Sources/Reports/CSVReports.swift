// The CSV tables: one header line, then rows that a spreadsheet or a database takes as they are.

package import HeapAnalysis
package import HeapModel

/// The reports as CSV.
///
/// Lines end in a line feed alone. No field but the names of types and files can hold a comma or a
/// quote, so that only those are quoted where they need it.
package enum CSVReports {
  /// Writes every exact size, in the options' order and at most their limit.
  ///
  /// - Throws: what the sink throws.
  package static func writeHistogram<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, options: ReportOptions = ReportOptions(), to sink: inout Sink
  ) throws(Sink.Failure) {
    let table = HistogramTable(
      report.snapshot.sizes, grouping: .exact, order: options.order, limit: options.limit)
    var buffer = OutputBuffer()
    buffer.append("size,in_use_chunks,in_use_bytes,free_chunks,free_bytes,")
    buffer.append("cached_chunks,cached_bytes\n")
    for row in table.rows {
      buffer.append(decimal: row.sizes.lowerBound)
      for tally in [row.inUse, row.free, row.cached] { buffer.append(fields: tally) }
      buffer.append(UInt8(ascii: "\n"))
      try buffer.drainIfFull(into: &sink)
    }
    try buffer.drain(into: &sink)
  }

  /// Writes the arenas in ring order, at most the options' limit, and then the mmapped chunks as
  /// `mmap`; a field is empty where nothing is known or nothing can be.
  ///
  /// - Throws: what the sink throws.
  package static func writeArenas<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, options: ReportOptions = ReportOptions(), to sink: inout Sink
  ) throws(Sink.Failure) {
    let snapshot = report.snapshot
    let usage = report.residency.map { PageUsage(snapshot, residency: $0) }
    var buffer = OutputBuffer()
    buffer.append("arena,kind,address,heaps,system_bytes,in_use_chunks,in_use_bytes,free_chunks,")
    buffer.append("free_bytes,cached_chunks,cached_bytes,top_bytes,resident_bytes,")
    buffer.append("trimmable_bytes,pinned_bytes,attached_threads\n")
    for (position, arena) in snapshot.arenas.enumerated().prefix(options.limit ?? .max) {
      buffer.append(decimal: arena.index)
      buffer.append(",\(arena.kind.rawValue),\(arena.address),\(arena.segments.count),")
      buffer.append(decimal: arena.systemBytes)
      for tally in [arena.inUse, arena.free, arena.cached] { buffer.append(fields: tally) }
      buffer.append(field: arena.topBytes)
      buffer.append(fields: usage?.arenas[position])
      buffer.append(UInt8(ascii: ","))
      if let threads = arena.attachedThreads { buffer.append(decimal: threads) }
      buffer.append(UInt8(ascii: "\n"))
    }
    buffer.append("mmap,mmap,,,")
    buffer.append(decimal: snapshot.mmapped.bytes)
    for tally in [snapshot.mmapped, Tally(), Tally()] { buffer.append(fields: tally) }
    buffer.append(field: 0)
    buffer.append(fields: usage?.mmapped)
    buffer.append(",\n")
    try buffer.drain(into: &sink)
  }

  /// Writes the chunks that `filter` accepts, at most `limit`, ascending by address; on request with
  /// their types, which are empty for those that are not in use.
  ///
  /// - Throws: what the sink throws.
  package static func writeChunks<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, filter: ChunkFilter, limit: Int?, showsTypes: Bool = false,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var buffer = OutputBuffer()
    buffer.append("address,size,usable,state,arena")
    buffer.append(showsTypes ? ",type\n" : "\n")
    let types = showsTypes ? TypeColumn(report) { $0.csvField } : nil
    var shown = 0
    for chunk in report.snapshot.chunks where filter.accepts(chunk) {
      if let limit, shown >= limit { break }
      shown += 1
      buffer.append(hexadecimal: chunk.userAddress.bits)
      buffer.append(field: chunk.size)
      buffer.append(field: chunk.usableSize)
      buffer.append(UInt8(ascii: ","))
      buffer.append(chunk.state.name)
      buffer.append(UInt8(ascii: ","))
      buffer.append(arenaOf: chunk)
      if let types { buffer.append("," + (types.name(of: chunk) ?? "")) }
      buffer.append(UInt8(ascii: "\n"))
      try buffer.drainIfFull(into: &sink)
    }
    try buffer.drain(into: &sink)
  }
}

extension OutputBuffer {
  /// Appends a comma and the number, or nothing after it if it is not known.
  mutating func append(field number: UInt64?) {
    append(UInt8(ascii: ","))
    if let number { append(decimal: number) }
  }

  fileprivate mutating func append(fields tally: Tally) {
    append(UInt8(ascii: ","))
    append(decimal: tally.count)
    append(field: tally.bytes)
  }

  fileprivate mutating func append(fields pages: ArenaPages?) {
    guard let pages else { return append(",,,") }
    append(field: pages.residentBytes)
    append(field: pages.trimmableBytes)
    append(field: pages.pinnedBytes)
  }
}
