// The lines of `malloscope watch --json`: one for each sample, and one at the end.

package import HeapAnalysis
import HeapModel

/// The documents of a watch.
package enum JSONWatch {
  /// How many types a sample has at most.
  private static let typeLimit = 200

  /// Writes the latest sample as `malloscope/histogram/1` with an object `watch`, in which the types
  /// with most bytes are if the sample has any.
  ///
  /// - Throws: what the sink throws.
  package static func writeSample<Sink: ByteSink & ~Copyable>(
    _ history: GrowthHistory, growth: GrowthOptions, tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    guard let report = history.latest else { return }
    try JSONReports.writeHistogram(
      report, types: nil, tool: tool,
      extra: { json in
        json.object("watch") { json in
          json.number("sample", history.sampleCount)
          json.number(
            "elapsed_s", digits: json.decimal(history.latestTime - history.firstTime))
          json.figures(history)
          json.number("stopped_share", digits: json.share(history.stoppedShare ?? 0))
          json.array("growing") { json in
            for row in GrowthTable(history, growth).rows where row.neverShrank {
              json.row(row, perSecond: history.rate(row))
            }
          }
          guard report.held != nil else { return }
          json.array("types") { json in
            let table = GrowthTable(history, .types, order: .bytes)
            for row in table.rows.prefix(typeLimit) {
              json.row(row, perSecond: history.rate(row))
            }
          }
        }
      }, to: &sink)
  }

  /// Writes the end of a watch as `malloscope/watch-summary/1`; `end` says why it ended.
  ///
  /// - Throws: what the sink throws.
  package static func writeSummary<Sink: ByteSink & ~Copyable>(
    _ history: GrowthHistory, end: String, gate: GateResult?, growth: GrowthOptions,
    tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    let summary = GrowthSummary(history, growth)
    var json = JSONWriter()
    json.object { json in
      json.preamble("malloscope/watch-summary/1", tool: tool, history.latest?.target)
      json.string("end", end)
      json.number("samples", summary.samples)
      json.number("incomplete_samples", summary.incomplete)
      json.number("seconds", digits: json.decimal(summary.seconds))
      json.object("stops") { json in
        json.number("longest_stop_ms", digits: Figures.milliseconds(history.longestStop))
        json.number("total_stop_ms", digits: Figures.milliseconds(history.totalStop))
        json.number("stopped_share", digits: json.share(history.stoppedShare ?? 0))
      }
      json.trend("in_use", summary.inUse)
      json.array("changes") { json in
        for change in summary.changes {
          json.object { json in
            json.string("kind", change.kind.rawValue)
            json.number("bytes", json.whole(max(0, change.bytes)))
            json.trend("trend", change.trend)
          }
        }
      }
      json.array("grown") { json in
        for grown in summary.grown {
          json.row(grown.row, perSecond: grown.trend?.perSecond)
        }
      }
      json.array("words") { json in
        for sentence in GrowthWords.sentences(summary, of: history.latest?.target) {
          json.string(nil, sentence)
        }
      }
      guard let gate else { return json.null("gate") }
      json.object("gate") { json in
        json.number("limit_bytes_per_minute", digits: json.decimal(gate.limit * 60))
        json.string("outcome", gate.outcome.rawValue)
      }
    }
    try json.finish(into: &sink)
  }
}

extension JSONWriter {
  /// A number with at most three decimals, as JSON has it.
  fileprivate func decimal(_ value: Double) -> String {
    let thousandths = (max(-9e14, min(value, 9e14)) * 1000).rounded()
    let digits = Figures.decimal(UInt64(abs(thousandths)), places: 3)
    return thousandths < 0 ? "-" + digits : digits
  }

  /// A share from 0 to 1 to the millionth: of a second, that is a microsecond.
  fileprivate func share(_ value: Double) -> String {
    Figures.decimal(UInt64(max(0, min(value, 1)) * 1e6 + 0.5), places: 6)
  }

  /// A number of bytes as far as 64 bits with a sign reach: sizes from a damaged heap go beyond.
  fileprivate func whole(_ value: Double) -> Int { Int(max(-9e18, min(value, 9e18))) }

  /// What the kernel says, and how it all changed.
  fileprivate mutating func figures(_ history: GrowthHistory) {
    let memory = history.figures?.memory
    number("resident_bytes", memory?.residentBytes)
    number("anonymous_bytes", memory?.anonymousBytes)
    number("swapped_bytes", memory?.swappedBytes)
    number("outside_malloc_bytes", history.figures?.outsideBytes)
    number("cgroup_bytes", memory?.group?.usedBytes)
    number("cgroup_limit_bytes", memory?.group?.limitBytes)
    object("growth") { json in
      for (name, figure) in JSONWriter.followed {
        json.number(name + "_bytes", history.growth(figure).map { json.whole($0) })
      }
    }
    object("per_second") { json in
      for (name, figure) in JSONWriter.followed {
        guard let rate = history.rate(figure) else {
          json.null(name + "_bytes")
          continue
        }
        json.number(name + "_bytes", digits: json.decimal(rate))
      }
    }
  }

  private static let followed: [(String, HeapFigure)] = [
    ("in_use", .inUse), ("free", .free), ("cached", .cached), ("top", .top),
    ("mmapped", .mmapped), ("outside_malloc", .outside), ("resident", .resident),
    ("cgroup", .group),
  ]

  fileprivate mutating func row(_ row: GrowthRow, perSecond: Double?) {
    object { json in
      switch row.key {
      case .sizes(let sizes):
        json.number("smallest_size", sizes.lowerBound)
        json.number("largest_size", sizes.upperBound == .max ? nil : sizes.upperBound)
      case .arena(let address):
        json.address("arena", address.bits)
        json.number("arena_index", row.now.arenaIndex)
      case .mmapped: json.string("arena", "mmap")
      case .type(let name, let kind, let binary):
        json.string("type", name)
        json.string("kind", kind.rawValue)
        json.string("binary", binary)
      }
      json.number("in_use_chunks", row.now.inUse.count)
      json.number("in_use_bytes", row.now.inUse.bytes)
      json.number("growth_chunks", row.growthCount)
      json.number("growth_bytes", json.whole(row.growth))
      if let perSecond {
        json.number("bytes_per_second", digits: json.decimal(perSecond))
      } else {
        json.null("bytes_per_second")
      }
      json.boolean("in_every_sample", row.grewInEverySample)
      json.boolean("never_shrank", row.neverShrank)
    }
  }

  fileprivate mutating func trend(_ key: String, _ trend: Trend?) {
    guard let trend else { return null(key) }
    object(key) { json in
      json.number("bytes_per_minute", digits: json.decimal(trend.perSecond * 60))
      json.number("least_bytes_per_minute", digits: json.decimal(trend.bounds.lowerBound * 60))
      json.number("most_bytes_per_minute", digits: json.decimal(trend.bounds.upperBound * 60))
      json.boolean("grows", trend.isGrowth)
    }
  }
}
