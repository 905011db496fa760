// The types that were told up to now, each once.

import HeapModel

/// The table of types, in which chunks have numbers.
struct TypeTable {
  /// What makes two types one; the details of their evidence may differ.
  private struct Key: Hashable {
    var name: String
    var kind: HeldKind
    var binary: String?
    var rule: TypeEvidence.Rule

    // Few types have the same name, and hashing the path, too, would take most of the time.
    func hash(into hasher: inout Hasher) { hasher.combine(name) }
  }

  /// The types by their numbers.
  private(set) var types: [HeldType] = [.unknown]
  private var numbers: [Key: UInt32] = [:]

  /// The number of `type` if there is one like it.
  func known(_ type: HeldType) -> UInt32? { numbers[Self.key(type)] }

  private static func key(_ type: HeldType) -> Key {
    Key(name: type.name, kind: type.kind, binary: type.binary, rule: type.evidence.rule)
  }

  /// The number of `type`, which is added if there is none like it.
  mutating func number(of type: HeldType) -> UInt32 {
    let key = Self.key(type)
    if let known = numbers[key] { return known }
    let number = UInt32(truncatingIfNeeded: types.count)
    types.append(type)
    numbers[key] = number
    return number
  }
}
