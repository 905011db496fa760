// The parts that all JSON documents share.

import HeapModel

/// Who wrote a report.
package struct ToolFacts: Hashable, Sendable {
  /// The program's name.
  package var name: String
  /// Its version.
  package var version: String

  /// Makes the facts.
  package init(name: String, version: String) {
    self.name = name
    self.version = version
  }
}

extension JSONWriter {
  /// Writes what every document begins with.
  mutating func preamble(_ schema: String, tool: ToolFacts, _ report: HeapReport) {
    preamble(schema, tool: tool, report.target)
    capture(report.capture)
  }

  /// Writes what a document that tells of no single capture begins with.
  mutating func preamble(_ schema: String, tool: ToolFacts, _ target: TargetFacts?) {
    string("schema", schema)
    object("tool") { json in
      json.string("name", tool.name)
      json.string("version", tool.version)
    }
    if let target { self.target(target) } else { null("target") }
  }

  /// Writes what every document ends with.
  mutating func verdict(_ snapshot: HeapSnapshot) {
    array("checks") { json in
      for check in snapshot.checks {
        json.object { json in
          json.string("name", check.name)
          json.number("expected", check.expected)
          json.number("found", check.found)
          json.boolean("holds", check.holds)
        }
      }
    }
    array("findings") { json in
      for finding in snapshot.findings { json.finding(finding) }
      if snapshot.suppressedFindings > 0 {
        json.finding(
          Finding(
            .limitReached, at: nil,
            "\(snapshot.suppressedFindings) more findings were not kept"))
      }
    }
    // Rounded down, so that only a complete result says 1.
    let millionths = UInt64(max(0, snapshot.coverage) * 1_000_000)
    number(
      "coverage",
      digits: snapshot.coverage >= 1 ? "1" : Figures.decimal(millionths, places: 6))
  }

  /// Writes a tally as `NAME_bytes` and `NAME_chunks`.
  mutating func tally(_ name: String, _ tally: Tally) {
    number(name + "_bytes", tally.bytes)
    number(name + "_chunks", tally.count)
  }

  private mutating func target(_ target: TargetFacts) {
    object("target") { json in
      json.number("pid", Int(target.pid))
      json.number("namespaced_pid", Int(target.namespacedPid))
      json.string("command", target.command)
      json.string("executable", target.executable)
      json.number("threads", target.threads)
      json.string("allocator", "glibc")
      json.string("glibc", target.glibcVersion)
      json.string("arena_layout", target.arenaLayout)
      if let container = target.container {
        json.object("container") { json in
          json.string("id", container.id)
          json.string("pod_uid", container.podUID)
          json.number("namespaced_pid", Int(target.namespacedPid))
        }
      } else {
        json.null("container")
      }
      json.array("evidence") { json in
        for evidence in target.evidence {
          json.object { json in
            json.string("file", evidence.file)
            json.string("what", evidence.what)
            json.string("value", evidence.value)
            json.string("decided_by", evidence.decidedBy)
            json.array("confirmed_by") { json in
              for witness in evidence.confirmedBy { json.string(nil, witness) }
            }
          }
        }
      }
    }
  }

  private mutating func capture(_ capture: CaptureFacts) {
    object("capture") { json in
      json.string("mode", capture.mode.rawValue)
      json.string("consistency", capture.consistency.rawValue)
      json.number("stops", capture.stops)
      json.number("longest_stop_ms", digits: Figures.milliseconds(capture.longestStop))
      json.number("total_stop_ms", digits: Figures.milliseconds(capture.totalStop))
      json.number("elapsed_ms", digits: Figures.milliseconds(capture.elapsed))
      json.number("copied_bytes", capture.copiedBytes)
      json.number("resynchronisations", capture.resynchronisations)
      json.number("retries", capture.retries)
    }
  }

  private mutating func finding(_ finding: Finding) {
    object { json in
      json.string("kind", finding.kind.rawValue)
      if let address = finding.address {
        json.address("address", address.bits)
      } else {
        json.null("address")
      }
      json.number("bytes", finding.bytes)
      json.string("detail", finding.detail)
      guard let chunk = finding.chunk else { return }
      json.object("chunk") { json in
        json.address("address", chunk.userAddress.bits)
        json.number("size", chunk.size)
        json.string("state", chunk.state.name)
        json.string("holds", chunk.holds)
      }
    }
  }
}
