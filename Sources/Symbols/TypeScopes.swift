// What types are called with their scopes.

import CElfutils

/// Names entries that are types, as the source would, in any of a process's files.
///
/// An entry does not lead to the scope that it is in: that is learnt from a pass over its unit.
final class TypeScopes {
  /// Of the units that were looked through, what is in front of the names of the types in a scope.
  private var units: [UInt: [UInt: String]] = [:]
  /// How many entries were looked at for these.
  private var kept = 0

  /// How many units are being looked through, each because of one of the one before.
  private var nesting = 0

  /// How many entries are still looked at for what is asked now.
  var entriesLeft = 0

  /// Enough for what one type's members need.
  static let entryLimit = 1 << 21
  private static let nestingLimit = 4
  private static let depthLimit = 16

  /// The name of a type, nil if it has none.
  func name(of type: DebugEntry) -> String? {
    let type = type.complete
    guard let name = type.name, !name.isEmpty else { return nil }
    let full = prefix(of: type) + name
    entriesLeft -= full.utf8.count / DebugEntry.charge
    return full
  }

  /// What a member's type is called; empty if it has no name.
  func text(of type: DebugEntry?, depth: Int = 0) -> String {
    // What leads to no type leads to void.
    guard let type else { return "void" }
    guard depth < Self.depthLimit else { return "" }
    var target: String { text(of: type.entry(Int(DW_AT_type)), depth: depth + 1) }
    func adding(_ suffix: String) -> String {
      let target = target
      return target.isEmpty ? "" : target + suffix
    }
    switch type.tag {
    case Int(DW_TAG_pointer_type): return adding("*")
    case Int(DW_TAG_reference_type): return adding("&")
    case Int(DW_TAG_rvalue_reference_type): return adding("&&")
    case Int(DW_TAG_const_type): return adding(" const")
    case Int(DW_TAG_volatile_type): return adding(" volatile")
    case Int(DW_TAG_restrict_type), Int(DW_TAG_atomic_type): return target
    case Int(DW_TAG_array_type):
      return adding(type.dimensions.map { "[\($0.map(String.init) ?? "")]" }.joined())
    case Int(DW_TAG_subroutine_type): return adding(" ()")
    default: return name(of: type) ?? ""
    }
  }

  private func prefix(of type: DebugEntry) -> String {
    guard let unit = type.unit else { return "" }
    if let known = units[unit.identity] { return known[type.identity] ?? "" }
    guard nesting < Self.nestingLimit else { return "" }
    nesting += 1
    defer { nesting -= 1 }
    var found: [UInt: String] = [:]
    let before = entriesLeft
    add(childrenOf: unit, scope: "", depth: 0, to: &found)
    // What was left in the middle would pass for all; but a unit that takes most of what there is would be
    // looked through each time.
    if entriesLeft > 0 || before > Self.entryLimit / 2 {
      keep(found, of: unit, cost: before - entriesLeft)
    }
    return found[type.identity] ?? ""
  }

  private func keep(_ found: [UInt: String], of unit: DebugEntry, cost: Int) {
    if kept + cost > 2 * Self.entryLimit {
      units = [:]
      kept = 0
    }
    units[unit.identity] = found
    kept += cost
  }

  private func add(
    childrenOf parent: DebugEntry, scope: String, depth: Int,
    to found: inout [UInt: String]
  ) {
    guard depth < Self.depthLimit else { return }
    var next = parent.child
    while let entry = next, entriesLeft > 0 {
      entriesLeft -= 1
      let tag = entry.tag
      let isScope = tag == Int(DW_TAG_namespace) || entry.isStructure
      if isScope || tag == Int(DW_TAG_typedef) || tag == Int(DW_TAG_enumeration_type), depth > 0 {
        found[entry.identity] = scope
      }
      if isScope {
        let unnamed = tag == Int(DW_TAG_namespace) ? "(anonymous namespace)" : nil
        // What completes a class elsewhere is in its scope, too.
        let outer =
          entry.has(Int(DW_AT_specification))
          ? entry.entry(Int(DW_AT_specification)).flatMap { found[$0.identity] } ?? scope : scope
        if outer != scope { found[entry.identity] = outer }
        // A class that is in a unit of its own has its name there, and its scopes, if it has none here.
        let full =
          outer.isEmpty && entry.has(Int(DW_AT_signature))
          ? self.name(of: entry) : (entry.complete.name ?? unnamed).map { outer + $0 }
        if let full {
          entriesLeft -= full.utf8.count / DebugEntry.charge
          add(childrenOf: entry, scope: "\(full)::", depth: depth + 1, to: &found)
        }
      }
      next = entry.sibling
    }
  }
}
