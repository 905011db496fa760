// The types that were told up to now, each once.

import HeapModel

/// The table of types, in which chunks have numbers.
struct TypeTable {
  /// What makes two types one; the details of their evidence may differ.
  private struct Key: Hashable {
    var name: String
    var kind: HeldKind
    var binary: Int
    var rule: TypeEvidence.Rule

    // Kinds and rules are few, and hashing them takes as long as a name does.
    func hash(into hasher: inout Hasher) {
      hasher.combine(name)
      hasher.combine(binary)
    }
  }

  /// The types by their numbers.
  private(set) var types: [HeldType] = [.unknown]
  private var numbers: [Key: UInt32] = [:]
  private var binaries = BinaryNumbers()

  /// The number of `type` if there is one like it.
  mutating func known(_ type: HeldType) -> UInt32? { numbers[key(type)] }

  private mutating func key(_ type: HeldType) -> Key {
    Key(
      name: type.name, kind: type.kind, binary: binaries.number(of: type.binary),
      rule: type.evidence.rule)
  }

  /// The number of `type`, which is added if there is none like it.
  mutating func number(of type: HeldType) -> UInt32 {
    let key = key(type)
    if let known = numbers[key] { return known }
    let number = UInt32(truncatingIfNeeded: types.count)
    types.append(type)
    numbers[key] = number
    return number
  }
}
