// What `doctor` prints: what was checked of a process, and what should be reported.

package import HeapModel

/// What was found out about a process without stopping it.
package struct Diagnosis: Sendable {
  /// How a check ended.
  package enum Verdict: String, Sendable {
    case passed = "ok"
    case noted = "note"
    case failed = "no"
  }

  /// One check.
  package struct Item: Sendable {
    /// How it ended.
    package var verdict: Verdict
    /// What it is about, in a word.
    package var topic: String
    /// What was observed.
    package var observation: String
  }

  /// The checks, in their order.
  package private(set) var items: [Item] = []
  /// What was decided about the copies of malloc, and by what.
  package var evidence: [LayoutEvidence] = []
  /// Lines that tell whoever mends this tool what it lacks; empty if it lacks nothing.
  package var toReport: [String] = []

  /// Makes a diagnosis without checks.
  package init() {}

  /// Adds a check.
  package mutating func add(_ verdict: Verdict, _ topic: String, _ observation: String) {
    items.append(Item(verdict: verdict, topic: topic, observation: observation))
  }
}

/// A diagnosis as text.
package enum TextDiagnosis {
  /// Writes it to `sink`.
  ///
  /// - Throws: what the sink throws.
  package static func write<Sink: ByteSink & ~Copyable>(
    _ diagnosis: Diagnosis, options: ReportOptions, to sink: inout Sink
  ) throws(Sink.Failure) {
    var page = TextPage(options)
    let width = diagnosis.items.map(\.topic.count).max() ?? 0
    for item in diagnosis.items {
      let topic = item.topic + String(repeating: " ", count: width - item.topic.count)
      let verdict = item.verdict.rawValue
      page.sentence(
        label: verdict + String(repeating: " ", count: 6 - verdict.count) + topic + "  ",
        labelTone: item.verdict == .passed ? .faint : .warning, item.observation.printable)
    }
    page.add(diagnosis.evidence)
    if !diagnosis.toReport.isEmpty {
      page.line()
      page.line(page.toned("please report these lines", .strong))
      for line in diagnosis.toReport { page.sentence(label: "  ", line.printable) }
    }
    try page.write(to: &sink)
  }
}
