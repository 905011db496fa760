// The rows of `malloscope watch --format csv`: the totals of each sample.

package import HeapAnalysis
import HeapModel

/// A watch as CSV.
package enum CSVWatch {
  /// Writes the header line.
  ///
  /// - Throws: what the sink throws.
  package static func writeHeader<Sink: ByteSink & ~Copyable>(
    to sink: inout Sink
  ) throws(Sink.Failure) {
    var buffer = OutputBuffer()
    buffer.append("sample,elapsed_s,in_use_bytes,in_use_chunks,free_bytes,cached_bytes,top_bytes,")
    buffer.append("mmapped_bytes,heap_bytes,outside_malloc_bytes,resident_bytes,cgroup_bytes,")
    buffer.append("stopped_ms,complete\n")
    try buffer.drain(into: &sink)
  }

  /// Writes the totals of the latest sample; a field is empty where nothing is known.
  ///
  /// - Throws: what the sink throws.
  package static func writeSample<Sink: ByteSink & ~Copyable>(
    _ history: GrowthHistory, to sink: inout Sink
  ) throws(Sink.Failure) {
    guard let figures = history.figures, let report = history.latest else { return }
    var buffer = OutputBuffer()
    buffer.append(decimal: history.sampleCount)
    let milliseconds = UInt64(max(0, history.latestTime - history.firstTime) * 1000)
    buffer.append("," + Figures.decimal(milliseconds, places: 3))
    buffer.append(field: figures.inUse.bytes)
    buffer.append(",\(figures.inUse.count)")
    for figure in [HeapFigure.free, .cached, .top, .mmapped, .heap, .outside, .resident, .group] {
      buffer.append(field: figures[figure])
    }
    buffer.append("," + Figures.milliseconds(report.capture.totalStop))
    buffer.append(report.snapshot.isIncomplete ? ",0\n" : ",1\n")
    try buffer.drain(into: &sink)
  }
}
