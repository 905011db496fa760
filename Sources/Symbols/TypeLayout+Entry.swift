// The layout of a structure as its entry has it.

import CElfutils
import HeapModel

extension TypeLayout {
  /// The most fields that are read.
  private static let fieldLimit = 4096
  /// How deep structures without names within structures are looked into.
  private static let depthLimit = 8

  /// Reads the layout of the complete structure `entry`, called `name`; nil if it states no size.
  init?(_ entry: DebugEntry, name: String, _ scopes: TypeScopes) {
    guard let size = entry.number(Int(DW_AT_byte_size)) else { return nil }
    self.init(name: name, byteCount: size, fields: [])
    scopes.entriesLeft = TypeScopes.entryLimit
    add(membersOf: entry, at: 0, scopes, depth: 0)
    // Members of a union keep their order.
    fields = fields.enumerated().sorted {
      ($0.element.offset, $0.offset) < ($1.element.offset, $1.offset)
    }
    .map(\.element)
  }

  /// How many bytes its fields and their names take.
  var byteCountInMemory: Int {
    fields.reduce(0) {
      $0 + MemoryLayout<Field>.stride + $1.name.utf8.count + $1.typeName.utf8.count
    }
  }

  private mutating func add(
    membersOf entry: DebugEntry, at start: UInt64, _ scopes: TypeScopes, depth: Int
  ) {
    let isUnion = entry.tag == Int(DW_TAG_union_type)
    var next = entry.child
    while let member = next, fields.count < Self.fieldLimit, scopes.entriesLeft > 0 {
      scopes.entriesLeft -= 1
      next = member.sibling
      let isBase = member.tag == Int(DW_TAG_inheritance)
      guard isBase || member.tag == Int(DW_TAG_member),
        // Variables of the class, which are declared in it.
        !member.has(Int(DW_AT_declaration)), !member.has(Int(DW_AT_external)),
        !member.has(Int(DW_AT_bit_size)),
        let place = member.memberOffset
          ?? (isUnion && !member.has(Int(DW_AT_data_member_location)) ? 0 : nil),
        let type = member.entry(Int(DW_AT_type))?.complete
      else { continue }
      let offset = start &+ place
      let name = member.name ?? ""
      if name.isEmpty, !isBase, type.isStructure, depth < Self.depthLimit {
        add(membersOf: type, at: offset, scopes, depth: depth + 1)
        continue
      }
      let typeName = scopes.text(of: type)
      fields.append(
        Field(
          name: isBase ? typeName : name, offset: offset, byteCount: type.typeByteCount,
          typeName: typeName, isBase: isBase))
    }
  }
}
