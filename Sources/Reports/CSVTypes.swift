// The table of types as CSV, whose names need quotes.

package import HeapAnalysis
package import HeapModel

extension CSVReports {
  /// Writes the rows that `types` asks for; kind and binary are empty where a row has none.
  ///
  /// Control characters of names are written as `\u{..}`, so that a row is a line.
  ///
  /// - Throws: what the sink throws.
  package static func writeTypes<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions, to sink: inout Sink
  ) throws(Sink.Failure) {
    let table = TypeTable(report, options: types)
    var buffer = OutputBuffer()
    buffer.append("rank,count,bytes,average,type,kind,binary\n")
    for row in table.rows {
      buffer.append(decimal: row.rank)
      buffer.append(field: UInt64(row.held.count))
      buffer.append(field: row.held.bytes)
      buffer.append(field: row.held.average)
      let texts = [row.name(isExact: true), row.type?.kind.rawValue ?? "", row.binary ?? ""]
      for text in texts { buffer.append("," + text.csvField) }
      buffer.append(UInt8(ascii: "\n"))
      try buffer.drainIfFull(into: &sink)
    }
    try buffer.drain(into: &sink)
  }
}

extension String {
  /// The text as a field, in quotes if it needs them.
  var csvField: String {
    let shown = printable
    guard shown.utf8.contains(where: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") })
    else { return shown }
    // Scalar by scalar: a quote with a combining mark is another character than a quote.
    var field = "\""
    for scalar in shown.unicodeScalars {
      if scalar == "\"" { field += "\"" }
      field.unicodeScalars.append(scalar)
    }
    return field + "\""
  }
}
