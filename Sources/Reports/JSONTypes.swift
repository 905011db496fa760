// The JSON document of what chunks hold.

package import HeapAnalysis
package import HeapModel

extension JSONReports {
  /// Writes `malloscope/types/1`: the rows that `types` asks for, and what they were made out by.
  ///
  /// - Throws: what the sink throws.
  package static func writeTypes<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions, tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    var json = JSONWriter()
    try json.object { json throws(Sink.Failure) in
      json.preamble("malloscope/types/1", tool: tool, report)
      json.object("totals") { $0.totals(report.snapshot) }
      try json.types(report, types, into: &sink)
      json.verdict(report.snapshot)
    }
    try json.finish(into: &sink)
  }
}

extension JSONWriter {
  /// Writes the rows and all that belongs to them.
  mutating func types<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, _ options: TypeTableOptions, into sink: inout Sink
  ) throws(Sink.Failure) {
    let table = TypeTable(report, options: options)
    string("by", options.grouping.rawValue)
    try array("types") { json throws(Sink.Failure) in
      for row in table.rows {
        try json.row(row, options, into: &sink)
        try json.drainIfFull(into: &sink)
      }
    }
    object("omitted") { json in
      json.number("rows", table.omittedRows)
      json.number("count", table.rest.count)
      json.number("bytes", table.rest.bytes)
    }
    object("attribution") { json in
      for rule in TypeEvidence.Rule.allCases {
        json.object(rule.rawValue) { json in
          json.number("chunks", table.attribution[rule].count)
          json.number("bytes", table.attribution[rule].bytes)
        }
      }
    }
    let named = Set(table.rows.compactMap(\.binary))
    array("binaries") { json in
      for binary in report.held?.binaries ?? [] where named.contains(binary.path) {
        json.object { json in
          json.string("path", binary.path)
          json.string("build_id", binary.buildID.hexadecimal)
        }
      }
    }
    array("symbol_gaps") { json in
      for gap in report.held?.gaps ?? [] {
        json.object { json in
          json.string("path", gap.path)
          json.string("build_id", gap.buildID.hexadecimal)
          json.string("reason", gap.reason)
        }
      }
    }
  }

  private mutating func row<Sink: ByteSink & ~Copyable>(
    _ row: TypeRow, _ options: TypeTableOptions, into sink: inout Sink
  ) throws(Sink.Failure) {
    try object { json throws(Sink.Failure) in
      json.string("name", row.name(isExact: true))
      json.string("kind", row.type?.kind.rawValue)
      json.string("binary", row.binary)
      json.number("count", row.held.count)
      json.number("bytes", row.held.bytes)
      if options.sizeLimit != nil {
        json.array("sizes") { json in
          for size in row.sizes {
            json.object { json in
              json.number("size", size.size)
              json.number("count", size.inUse)
              json.number("bytes", size.inUseBytes)
            }
          }
        }
      }
      if options.addressLimit != nil {
        try json.array("addresses") { json throws(Sink.Failure) in
          for chunk in row.chunks {
            json.object { json in
              json.address("address", chunk.userAddress.bits)
              json.number("size", chunk.size)
            }
            try json.drainIfFull(into: &sink)
          }
        }
      }
      guard let evidence = row.type?.evidence else { return json.null("evidence") }
      json.object("evidence") { json in
        json.string("rule", evidence.rule.rawValue)
        json.string("detail", evidence.detail)
      }
    }
  }
}

extension [UInt8] {
  /// The bytes as lower-case hexadecimal digits, nil if there are none.
  var hexadecimal: String? {
    guard !isEmpty else { return nil }
    let digits = [UInt8]("0123456789abcdef".utf8)
    return String(
      decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
