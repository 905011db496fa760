// The heap as gauges for Prometheus, a bounded number of them.

package import HeapAnalysis
package import HeapModel

/// A capture in Prometheus' text format.
///
/// Every sample has the labels `pid` and `command`, and `container_id` and `pod_uid` where they are
/// known. There are no times: what collects text files refuses them. Arenas and types beyond a few are
/// summed up as `other`, so that the number of time series does not depend on the target.
package enum PrometheusReport {
  /// How many arenas have gauges of their own.
  package static let arenaLimit = 16
  /// How many types have, unless told otherwise.
  package static let typeLimit = 20
  /// How long the name of a type may be.
  private static let nameLimit = 200

  /// Writes the gauges; those of types only if the chunks were looked at.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, typeLimit: Int = typeLimit, pattern: TypePattern? = nil,
    tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    var metrics = MetricsWriter(common: labels(of: report.target))
    metrics.gauge(
      "malloscope_target_info", "What was looked at, and by what; always 1.",
      [
        (
          [
            ("executable", report.target.executable),
            ("glibc", report.target.glibcVersion ?? ""), ("version", tool.version),
          ], "1"
        )
      ])
    addTotals(report, to: &metrics)
    addArenas(report.snapshot, to: &metrics)
    if report.held != nil { addTypes(report, typeLimit, pattern, to: &metrics) }
    addCapture(report, to: &metrics)
    var buffer = metrics.buffer
    try buffer.drain(into: &sink)
  }

  private static func labels(of target: TargetFacts) -> [(String, String)] {
    var labels = [("pid", String(target.pid)), ("command", target.command)]
    if let container = target.container {
      labels.append(("container_id", container.id))
      if let pod = container.podUID { labels.append(("pod_uid", pod)) }
    }
    return labels
  }

  // MARK: The heap

  private static func addTotals(_ report: HeapReport, to metrics: inout MetricsWriter) {
    let snapshot = report.snapshot
    metrics.gauge(
      "malloscope_heap_bytes",
      "Bytes of chunks with their headers by state; in use includes mmapped chunks.", by: "state",
      [
        ("in_use", snapshot.inUse.bytes), ("free", snapshot.free.bytes),
        ("cached", snapshot.cached.bytes), ("top", snapshot.topBytes),
      ])
    metrics.gauge(
      "malloscope_heap_chunks", "Chunks by state.", by: "state",
      [snapshot.inUse, snapshot.free, snapshot.cached].enumerated().map {
        (["in_use", "free", "cached"][$0], UInt64(max(0, $1.count)))
      })
    metrics.gauge(
      "malloscope_heap_mmapped_bytes", "Bytes of chunks with a mapping of their own.",
      String(snapshot.mmapped.bytes))
    metrics.gauge(
      "malloscope_heap_mmapped_chunks", "Chunks with a mapping of their own.",
      String(snapshot.mmapped.count))
    metrics.gauge(
      "malloscope_heap_system_bytes", "Bytes that malloc's arenas have from the kernel.",
      String(snapshot.systemBytes))
    metrics.gauge(
      "malloscope_heap_arenas", "Arenas of malloc.", String(snapshot.arenas.count))
  }

  private static func addArenas(_ snapshot: HeapSnapshot, to metrics: inout MetricsWriter) {
    let ranked = snapshot.arenas.sorted {
      $0.systemBytes == $1.systemBytes ? $0.index < $1.index : $0.systemBytes > $1.systemBytes
    }
    var parts = ranked.prefix(arenaLimit).map { (String($0.index), [$0]) }
    let rest = Array(ranked.dropFirst(arenaLimit))
    if !rest.isEmpty { parts.append(("other", rest)) }
    let figures: [(String, (ArenaSummary) -> UInt64)] = [
      ("in_use", \.inUse.bytes), ("free", \.free.bytes), ("cached", \.cached.bytes),
      ("top", \.topBytes),
    ]
    metrics.gauge(
      "malloscope_arena_bytes",
      "Bytes of an arena's chunks by state, without mmapped ones; arena 0 is the main one.",
      parts.flatMap { name, arenas in
        figures.map { state, bytes in
          let sum = arenas.reduce(UInt64(0)) { $0 &+ bytes($1) }
          return ([("arena", name), ("state", state)], String(sum))
        }
      })
    metrics.gauge(
      "malloscope_arena_system_bytes", "Bytes that an arena has from the kernel.", by: "arena",
      parts.map { ($0, $1.reduce(0) { $0 &+ $1.systemBytes }) })
  }

  // MARK: Types

  private static func addTypes(
    _ report: HeapReport, _ limit: Int, _ pattern: TypePattern?, to metrics: inout MetricsWriter
  ) {
    let table = TypeTable(report, options: TypeTableOptions(pattern: pattern, limit: limit))
    var tallies: [(labels: [String], held: Tally)] = []
    var places: [[String]: Int] = [:]
    for row in table.rows {
      guard let type = row.type else { continue }
      // Names that differ only in what is cut out of them are one.
      let name = type.name.printable.shortened(to: nameLimit, beginning: 0.6)
      let labels = [name, type.kind.rawValue, (type.binary ?? "").printable]
      let place = places[labels] ?? tallies.count
      places[labels] = place
      if place == tallies.count { tallies.append((labels, Tally())) }
      tallies[place].held += row.held
    }
    if table.omittedRows > 0 { tallies.append((["other", "", ""], table.rest)) }
    func samples(_ value: (Tally) -> UInt64) -> [(labels: [(String, String)], value: String)] {
      tallies.map { labels, held in
        (Array(zip(["type", "kind", "binary"], labels)), String(value(held)))
      }
    }
    metrics.gauge(
      "malloscope_type_bytes",
      "Bytes of chunks in use by what they hold: the types with most, and the others.",
      samples(\.bytes))
    metrics.gauge(
      "malloscope_type_chunks", "Chunks in use by what they hold.",
      samples { UInt64(max(0, $0.count)) })
    metrics.gauge(
      "malloscope_attributed_bytes", "Bytes of chunks in use by what tells their type.",
      by: "evidence",
      TypeEvidence.Rule.allCases.map { ($0.rawValue, table.attribution[$0].bytes) })
  }

  // MARK: The capture

  private static func addCapture(_ report: HeapReport, to metrics: inout MetricsWriter) {
    let capture = report.capture
    metrics.gauge(
      "malloscope_coverage_ratio", "The part of malloc's memory that was accounted for.",
      Figures.decimal(UInt64(max(0, report.snapshot.coverage) * 1_000_000), places: 6))
    metrics.gauge(
      "malloscope_capture_stops", "How often the target was stopped for this capture.",
      String(capture.stops))
    for (name, help, duration) in [
      ("longest_stop", "The longest stop of the target.", capture.longestStop),
      ("stopped", "All stops of the target together.", capture.totalStop),
      ("elapsed", "From the first look at the target to the end.", capture.elapsed),
    ] {
      metrics.gauge("malloscope_capture_\(name)_seconds", help, Figures.exactSeconds(duration))
    }
    metrics.gauge(
      "malloscope_capture_copied_bytes", "Bytes that were read from the target.",
      String(capture.copiedBytes))
    let counts = report.snapshot.findings.reduce(into: [Finding.Kind: UInt64]()) {
      $0[$1.kind, default: 0] += 1
    }
    metrics.gauge(
      "malloscope_findings", "What was not as it should be, by kind.", by: "kind",
      Finding.Kind.allCases.map { ($0.rawValue, counts[$0] ?? 0) }
        + [("not_kept", UInt64(max(0, report.snapshot.suppressedFindings)))])
  }
}
