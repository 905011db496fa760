// What entries that are types say: how large they are, and which ones they lead to.

import CElfutils

extension DebugEntry {
  /// How many types one may lead to before it is no typedef any more.
  static var typeDepth: Int { 8 }
  /// How many bytes of a name take as long as an entry, where entries are counted.
  static var charge: Int { 64 }

  /// Whether it is a class, a structure or a union.
  var isStructure: Bool {
    let tag = tag
    return tag == Int(DW_TAG_structure_type) || tag == Int(DW_TAG_class_type)
      || tag == Int(DW_TAG_union_type)
  }

  /// What completes this type, if it only leads to a unit of types; else itself.
  var complete: DebugEntry {
    has(Int(DW_AT_signature)) ? entry(Int(DW_AT_signature)) ?? self : self
  }

  /// The size of this type in bytes, nil if it states none that is understood.
  var typeByteCount: UInt64? {
    var type = self
    var count: UInt64 = 1
    for _ in 0..<Self.typeDepth {
      type = type.complete
      if let size = type.number(Int(DW_AT_byte_size)) {
        let (product, overflow) = size.multipliedReportingOverflow(by: count)
        return overflow ? nil : product
      }
      if type.tag == Int(DW_TAG_array_type) {
        guard let elements = type.elementCount else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: elements)
        if overflow { return nil }
        count = product
      } else if type.tag == Int(DW_TAG_pointer_type) {
        let (product, overflow) = count.multipliedReportingOverflow(by: 8)
        return overflow ? nil : product
      }
      guard let next = type.entry(Int(DW_AT_type)) else { return nil }
      type = next
    }
    return nil
  }

  /// How many elements this array has, in all its dimensions.
  private var elementCount: UInt64? {
    var product: UInt64 = 1
    for count in dimensions {
      guard let count else { return nil }
      let (result, overflow) = product.multipliedReportingOverflow(by: count)
      if overflow { return nil }
      product = result
    }
    return product
  }

  /// How many elements each dimension of this array has, nil where that is not said.
  var dimensions: [UInt64?] {
    var found: [UInt64?] = []
    var next = child
    for _ in 0..<Self.typeDepth {
      guard let range = next else { break }
      if range.tag == Int(DW_TAG_subrange_type) {
        found.append(
          range.number(Int(DW_AT_count)) ?? range.number(Int(DW_AT_upper_bound)).map { $0 &+ 1 })
      }
      next = range.sibling
    }
    return found
  }
}
