// The list of chunks, one a line, for millions of them.

package import HeapAnalysis
package import HeapModel

/// The chunks as text: one row each, and how many there were.
package enum TextChunks {
  /// Writes the chunks that `filter` accepts, at most as many as the options' limit, to `sink`; on
  /// request with their types.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, filter: ChunkFilter, showsTypes: Bool = false, options: ReportOptions,
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var head = TextPage(options)
    head.addTarget(report.target)
    head.line()
    head.line(
      head.toned(
        "address".aligned(right: 18) + "size".aligned(right: 14) + "usable".aligned(right: 14)
          + "  state     arena" + (showsTypes ? "  type" : ""), .faint))
    try head.write(to: &sink)

    var buffer = OutputBuffer()
    var accepted = Tally()
    var shown = 0
    let room = options.hasFullNames ? Int.max : max(16, options.columns - 65)
    let types =
      showsTypes
      ? TypeColumn(report) { $0.printable.shortened(to: room, beginning: 0.6) } : nil
    for chunk in report.snapshot.chunks where filter.accepts(chunk) {
      accepted.add(size: chunk.size)
      if let limit = options.limit, shown >= limit { continue }
      shown += 1
      buffer.append(row: chunk)
      if let type = types?.name(of: chunk) { buffer.append(type: type, of: chunk) }
      buffer.append(UInt8(ascii: "\n"))
      try buffer.drainIfFull(into: &sink)
    }
    try buffer.drain(into: &sink)

    var foot = TextPage(options)
    foot.line()
    let hidden = accepted.count - shown
    foot.line(
      foot.toned("\(counted(accepted.count, "chunk")), \(foot.bytes(accepted.bytes))", .strong)
        + (hidden > 0 ? "; \(Figures.grouped(hidden)) of them not shown" : ""))
    foot.addCapture(report)
    foot.addFindings(report.snapshot)
    try foot.write(to: &sink)
  }
}

extension OutputBuffer {
  fileprivate mutating func append(row chunk: Chunk) {
    append(hexadecimal: chunk.userAddress.bits, width: 18)
    append(decimal: chunk.size, width: 14)
    append(decimal: chunk.usableSize, width: 14)
    append("  ")
    append(chunk.state.name)
    append(repeating: UInt8(ascii: " "), count: 10 - chunk.state.name.utf8.count)
    append(arenaOf: chunk)
  }

  /// Appends the type of the row's chunk in a column of its own.
  fileprivate mutating func append(type: String, of chunk: Chunk) {
    // The arena has a column of five; a longer number moves the type.
    let digits = chunk.arena.map { String($0).utf8.count } ?? 4
    append(repeating: UInt8(ascii: " "), count: max(0, 5 - digits) + 2)
    append(type)
  }

  /// Appends the chunk's arena as the contract names it.
  mutating func append(arenaOf chunk: Chunk) {
    if let arena = chunk.arena { append(decimal: Int(arena)) } else { append("mmap") }
  }
}
