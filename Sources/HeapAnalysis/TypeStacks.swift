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
    let stacks = tallies.sorted { $0.key < $1.key }.compactMap { key, held in
      if case .type(let type) = groups.subjects[key / SizeRanges.count] {
        TypeStack(type: type, sizes: SizeRanges.range(at: key % SizeRanges.count), held: held)
      } else {
        nil
      }
    }
    return stacks.sorted { $0.place < $1.place }
  }

  private var place: (String, String, String, UInt64) {
    (type.binary ?? "", type.name, type.kind.rawValue, sizes.lowerBound)
  }
}
