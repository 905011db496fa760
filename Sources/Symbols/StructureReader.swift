// The layouts of malloc's structures as the debug information of its unit has them.

import CElfutils
import HeapModel

/// Reads the structures of one unit.
struct StructureReader {
  /// What was found.
  private(set) var layouts: [MallocSymbols.Structure: MallocSymbols.Layout] = [:]
  /// Entries that are still looked at: malloc's unit has some thousand.
  private var entriesLeft = 1 << 17
  /// Units that were read, by identity: a damaged file can have units import each other.
  private var seen: Set<UInt> = []

  /// How many members of a structure are read.
  private static let memberLimit = 256

  /// The names that a structure or a typedef of it may have.
  private static let names: [String: MallocSymbols.Structure] = [
    "malloc_state": .arena, "malloc_par": .parameters, "_heap_info": .heapInfo,
    "heap_info": .heapInfo, "tcache_perthread_struct": .tcache,
  ]
  /// Variables whose types are structures: where dwz has moved these, no child of the unit is one.
  private static let variables: [String: MallocSymbols.Structure] = [
    "main_arena": .arena, "mp_": .parameters, "tcache": .tcache,
  ]

  /// Reads the structures among the children of `unit` and of the units that it imports.
  mutating func read(_ unit: DebugEntry) {
    var units = [unit]
    while let unit = units.popLast() {
      guard seen.insert(unit.identity).inserted else { continue }
      var next = unit.child
      while let entry = next, entriesLeft > 0,
        layouts.count < MallocSymbols.Structure.allCases.count
      {
        entriesLeft -= 1
        if entry.tag == Int(DW_TAG_imported_unit) {
          if let imported = entry.entry(Int(DW_AT_import)) { units.append(imported) }
        } else {
          take(entry)
        }
        next = entry.sibling
      }
    }
  }

  private mutating func take(_ entry: DebugEntry) {
    let structure: MallocSymbols.Structure?
    switch entry.tag {
    case Int(DW_TAG_structure_type), Int(DW_TAG_typedef):
      structure = entry.name.flatMap { Self.names[$0] }
    case Int(DW_TAG_variable):
      structure = entry.name.flatMap { Self.variables[$0] }
    default:
      return
    }
    guard let structure, layouts[structure] == nil, let type = Self.structure(from: entry),
      let layout = Self.layout(of: type)
    else { return }
    layouts[structure] = layout
  }

  /// The complete structure that `entry` is, or whose type it has, or points to.
  private static func structure(from entry: DebugEntry) -> DebugEntry? {
    var entry = entry
    for _ in 0..<DebugEntry.typeDepth {
      if entry.tag == Int(DW_TAG_structure_type) {
        return entry.has(Int(DW_AT_declaration)) ? nil : entry
      }
      guard let type = entry.entry(Int(DW_AT_type)) else { return nil }
      entry = type
    }
    return nil
  }

  private static func layout(of type: DebugEntry) -> MallocSymbols.Layout? {
    guard let size = type.number(Int(DW_AT_byte_size)) else { return nil }
    var layout = MallocSymbols.Layout(byteCount: size, members: [:])
    var next = type.child
    for _ in 0..<memberLimit {
      guard let member = next else { break }
      if member.tag == Int(DW_TAG_member), let name = member.name,
        let offset = member.memberOffset
      {
        layout.members[name] = MallocSymbols.Layout.Member(
          offset: offset, byteCount: member.entry(Int(DW_AT_type))?.typeByteCount)
      }
      next = member.sibling
    }
    return layout.members.isEmpty ? nil : layout
  }
}
