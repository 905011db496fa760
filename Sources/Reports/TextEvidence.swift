// The end of a verbose text report: which evidence decided what.

import HeapModel

extension TextPage {
  /// Appends what was decided about each malloc, by what, and what else says so.
  mutating func addEvidence(_ target: TargetFacts) {
    if options.isVerbose { add(target.evidence) }
  }

  /// Appends evidence, file by file.
  mutating func add(_ evidence: [LayoutEvidence]) {
    var file: String?
    for evidence in evidence {
      if evidence.file != file {
        line()
        line(toned("evidence for the layout of \(evidence.file.printable)", .faint))
        file = evidence.file
      }
      var text = "\(evidence.value.printable), by \(evidence.decidedBy.printable)"
      if !evidence.confirmedBy.isEmpty {
        text += "; confirmed by \(evidence.confirmedBy.map(\.printable).joined(separator: ", "))"
      }
      sentence(label: "  \(evidence.what.printable): ", text)
    }
  }
}
