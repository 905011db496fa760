// The last lines of a text report: what was not as it should be.

import HeapModel

extension TextPage {
  /// How many examples of a kind of finding are shown unless all are wanted.
  private static let exampleCount = 5

  /// Appends findings by kind and the checks that failed, or all checks in a verbose report.
  mutating func addFindings(_ snapshot: HeapSnapshot) {
    if !snapshot.findings.isEmpty || snapshot.suppressedFindings > 0 {
      line()
      line(toned("findings", snapshot.isIncomplete ? .warning : .faint))
      for kind in Finding.Kind.allCases {
        add(snapshot.findings.filter { $0.kind == kind }, of: kind)
      }
      if snapshot.suppressedFindings > 0 {
        line("  and \(Figures.grouped(snapshot.suppressedFindings)) more that were not kept")
      }
    }
    addChecks(snapshot.checks)
  }

  private mutating func add(_ findings: [Finding], of kind: Finding.Kind) {
    guard !findings.isEmpty else { return }
    let lost = findings.reduce(UInt64(0)) { $0 &+ $1.bytes }
    line(
      "  \(title(of: kind)): \(Figures.grouped(findings.count))"
        + (lost > 0 ? ", \(bytes(lost))" : ""))
    let shown = options.isVerbose ? findings.count : min(findings.count, Self.exampleCount)
    for finding in findings.prefix(shown) {
      sentence(
        label: "    \(finding.address.map { "\($0)  " } ?? "")", labelTone: .faint,
        finding.detail.printable)
    }
    let hidden = findings.count - shown
    if hidden > 0 { line("    \(Figures.grouped(hidden)) more, all with -v") }
  }

  private mutating func addChecks(_ checks: [Check]) {
    let shown = options.isVerbose ? checks : checks.filter { !$0.holds }
    guard !shown.isEmpty else { return }
    let failed = checks.filter { !$0.holds }.count
    line()
    line(
      failed == 0
        ? toned("checks against glibc's own accounting, all hold", .faint)
        : toned("\(failed) of \(counted(checks.count, "check")) failed", .alarm))
    var table = TextTable([
      ("  check", .left), ("glibc says", .right), ("found", .right), ("", .left),
    ])
    for check in shown {
      table.add([
        .init("  " + check.name.printable), .init(Figures.grouped(check.expected)),
        .init(Figures.grouped(check.found)),
        check.holds ? .init("holds", .faint) : .init("differs", .alarm),
      ])
    }
    table.write(to: &self)
  }

  private func title(of kind: Finding.Kind) -> String {
    switch kind {
    case .chainBreak: "broken chunk chain"
    case .moved: "chunks that moved meanwhile"
    case .inTransit: "chunk in transit while stopped"
    case .listDamage: "damaged free list"
    case .unreadable: "unreadable memory"
    case .swapped: "memory that is swapped out"
    case .arenaDamage: "damaged arena"
    case .threadUnknown: "thread with unknown cache"
    case .threadNotStopped: "thread that did not stop"
    case .mmapMismatch: "mmapped chunks differ from glibc's count"
    case .limitReached: "limit reached"
    case .allocator: "allocator"
    case .clone: "clone"
    case .layoutDisagreement: "symbols that disagree"
    }
  }
}
