// What chunks hold as stacks: file, type and range of sizes, for viewers of profiles.

package import HeapModel

/// The chunks in use of one type and one range of sizes.
package struct TypeStack: Hashable, Sendable {
  /// Their type.
  package var type: HeldType
  /// Their sizes, one of `SizeRanges`.
  package var sizes: ClosedRange<UInt64>
  /// The chunks.
  package var held: Tally

  /// All of those that `pattern` wants, by file, then by name, then by size.
  package static func all(of report: HeapReport, pattern: TypePattern? = nil) -> [TypeStack] {
    var groups = TypeGroups(report, TypeTableOptions(pattern: pattern))
    var tallies: [Int: Tally] = [:]
    for chunk in report.snapshot.chunks {
      guard let group = groups.group(of: chunk) else { continue }
      let key = group * SizeRanges.count + SizeRanges.index(of: chunk.size)
      tallies[key, default: Tally()].add(size: chunk.size)
    }
    let subjects = groups.subjects
    let sorted = subjects.indices.sorted { subjects[$0].precedesByFile(subjects[$1]) }
    var ranks = [Int](repeating: 0, count: subjects.count)
    for (rank, group) in sorted.enumerated() { ranks[group] = rank }
    let keyed = tallies.map { key, held in
      let (group, range) = key.quotientAndRemainder(dividingBy: SizeRanges.count)
      return (rank: ranks[group] * SizeRanges.count + range, key: key, held: held)
    }
    return keyed.sorted { $0.rank < $1.rank }.compactMap { _, key, held in
      let (group, range) = key.quotientAndRemainder(dividingBy: SizeRanges.count)
      guard case .type(let type) = subjects[group] else { return nil }
      return TypeStack(type: type, sizes: SizeRanges.range(at: range), held: held)
    }
  }
}

extension TypeRow.Subject {
  /// Whether its file comes first, or of the same file it.
  fileprivate func precedesByFile(_ other: TypeRow.Subject) -> Bool {
    guard case .type(let left) = self, case .type(let right) = other, left.binary != right.binary
    else { return precedes(other) }
    return (left.binary ?? "") < (right.binary ?? "")
  }
}
