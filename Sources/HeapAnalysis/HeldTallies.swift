// How much the program holds of each type, counted without looking at a name.

package import HeapModel

/// The chunks in use by the number of their type.
///
/// Free and cached chunks, and glibc's own, hold nothing of the program's.
package struct HeldTallies: Sendable {
  /// One for each type of the report's table.
  package let byType: [Tally]

  /// Counts the chunks of `report` that are in use, those of `sizes` alone if some are given.
  ///
  /// A number that the table of types does not have counts as unknown.
  package init(_ report: HeapReport, sizes: ClosedRange<UInt64>? = nil) {
    var tallies = [Tally](repeating: Tally(), count: max(1, report.held?.types.count ?? 1))
    for chunk in report.snapshot.chunks {
      guard case .inUse = chunk.state else { continue }
      if let sizes, !sizes.contains(chunk.size) { continue }
      let index = Int(chunk.held)
      tallies[index < tallies.count ? index : 0].add(size: chunk.size)
    }
    byType = tallies
  }
}

/// How much is known of what the program holds, by the evidence.
package struct TypeShares: Hashable, Sendable {
  /// The chunks of each rule of evidence, in its order.
  package private(set) var byRule = [Tally](
    repeating: Tally(), count: TypeEvidence.Rule.allCases.count)
  /// Those whose type is known.
  package private(set) var typed = Tally()
  /// Those of which only the contents tell something.
  package private(set) var content = Tally()
  /// Those that were not looked at.
  package private(set) var unknown = Tally()

  /// All of them.
  package var total: Tally {
    var sum = typed
    sum += content
    sum += unknown
    return sum
  }

  /// Makes an account of `tallies`, which belong to `types`.
  package init(_ tallies: HeldTallies, of types: [HeldType]) {
    for (type, tally) in zip(types, tallies.byType) {
      byRule[type.evidence.rule.place] += tally
      if type.evidence.rule == .none {
        unknown += tally
      } else if type.kind == .content {
        content += tally
      } else {
        typed += tally
      }
    }
  }

  /// What a rule of evidence accounts for.
  package subscript(rule: TypeEvidence.Rule) -> Tally {
    byRule[rule.place]
  }
}

extension TypeEvidence.Rule {
  /// Its place in the order of the rules, 0 for the strongest.
  var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
