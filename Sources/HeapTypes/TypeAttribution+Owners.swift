// Buffers that belong to objects.

package import HeapModel

extension TypeAttribution {
  /// How many times it is looked for buffers that belong to buffers.
  private static let depth = 16

  /// Gives untyped chunks to which a single chunk leads to that.
  ///
  /// A chunk is owned if all of this holds: only its contents tell what it is; of all chunks in use just one has
  /// words that lead to it, and one of these to its first byte; that chunk is an object, a structure or a block
  /// that is known, or a buffer that is itself owned. Several words may lead to it, as those of a std::vector
  /// do. Pointers on stacks, in registers and in variables are not looked at. It is named after the owner's type
  /// and the field, `Session.buffer` where debug information has the name, else `Session+24`; what owned buffers
  /// own is `Session.buffer[]`.
  ///
  /// Nodes of lists and trees are owned together if only one chunk leads to any of them from elsewhere, as the
  /// object does that has the container.
  ///
  /// To be called after `finish`; the chunks ascend by address, and the references by place.
  package mutating func findOwners(_ chunks: inout [Chunk], _ references: [HeapReference]) {
    let nodes = NodeTypes(
      list: table.known(Self.listNode), tree: table.known(Self.treeNode))
    let sole = SoleReferences(references, between: chunks, nodes: nodes)
    let ownable = types.indices.map { isOwnable(UInt32($0), nodes) }
    var waiting = chunks.indices.filter { index in
      guard case .one(_, .some) = sole[index] else { return false }
      return ownable[Int(chunks[index].held)]
    }
    // A node whose container's owner is known is a part of that; only what is left then belongs to nodes.
    for nodesOwn in [false, true] {
      for _ in 0..<Self.depth where !waiting.isEmpty {
        owned.passedOver = 0
        var found: [(index: Int, type: UInt32)] = []
        waiting.removeAll { index in
          guard case .one(let source, let offset?) = sole[index],
            nodesOwn || nodes.links(of: chunks[source].held) == nil,
            let type = owned.type(
              of: offset, in: chunks[source].held, &table, meanings.sources.symbols)
          else { return false }
          found.append((index, type))
          return true
        }
        // Only now, so that what one round has given away owns something in the next.
        for (index, type) in found { chunks[index].held = type }
        if found.isEmpty { break }
      }
    }
  }
}

extension TypeAttribution {
  private func isOwnable(_ held: UInt32, _ nodes: NodeTypes) -> Bool {
    held != 0 && types[Int(held)].kind == .content || nodes.links(of: held) != nil
  }
}

/// What owned buffers are called, each field once.
struct OwnedNames {
  private struct Field: Hashable {
    var type: UInt32
    var offset: UInt64
  }

  /// What owns, as far as it matters for names.
  private enum Owner {
    /// Nothing that could own.
    case none
    /// An object, whose fields have names of their own.
    case object
    /// A buffer or an array, of which all fields have one name.
    case buffer
  }

  /// How many fields have names of their own; a hash table of pointers has as many as it has places.
  static let most = 20_000

  private var known: [Field: UInt32] = [:]
  /// By the number of the type.
  private var owners: [Owner] = []
  /// How many buffers the present round has left without a name for their field.
  var passedOver = 0

  /// The number of the type of what the word at `offset` of an object of `owner` leads to; nil if that is no
  /// owner.
  mutating func type(
    of offset: UInt64, in owner: UInt32, _ table: inout TypeTable, _ symbols: any SymbolLookup
  ) -> UInt32? {
    while owners.count <= Int(owner) { owners.append(Self.owner(table.types[owners.count])) }
    let sort = owners[Int(owner)]
    if sort == .none { return nil }
    let field = Field(type: owner, offset: sort == .buffer ? 0 : offset)
    if let known = known[field] { return known }
    guard known.count < Self.most else {
      passedOver += 1
      return nil
    }
    let type = table.types[Int(owner)]
    let held = sort == .buffer ? Self.inBuffer(type) : Self.inObject(type, offset, symbols)
    let number = table.number(of: held)
    known[field] = number
    return number
  }

  private static func owner(_ type: HeldType) -> Owner {
    switch type.kind {
    case .content: .none
    case .owned: .buffer
    case .cxx, .swift, .structure, .runtime: type.name.hasSuffix("[]") ? .buffer : .object
    }
  }

  /// What a buffer, or an array of objects, owns.
  private static func inBuffer(_ type: HeldType) -> HeldType {
    let isArray = type.kind != .owned
    let isNamed = type.name.hasSuffix("[]") && !isArray
    return HeldType(
      name: isNamed ? type.name : isArray ? type.name + " fields" : type.name + "[]", kind: .owned,
      binary: type.binary,
      evidence: TypeEvidence(.owner, "the only reference is in a buffer: \(type.name)"))
  }

  private static func inObject(
    _ type: HeldType, _ offset: UInt64, _ symbols: any SymbolLookup
  ) -> HeldType {
    let field = type.kind == .cxx ? name(of: offset, in: type, symbols) : nil
    let place = "the only reference is at +\(offset) of \(type.name)"
    guard let field else {
      // What is no class is called with words.
      let owner = type.kind == .cxx || !type.name.contains(" ") ? type.name : "(\(type.name))"
      return HeldType(
        name: "\(owner)+\(offset)", kind: .owned, binary: type.binary,
        evidence: TypeEvidence(.owner, place))
    }
    return HeldType(
      name: "\(type.name).\(field.name)", kind: .owned, binary: type.binary,
      evidence: TypeEvidence(
        .owner, place + (field.typeName.isEmpty ? "" : ", a \(field.typeName)")))
  }

  /// The field at `offset` of a C++ class, those of its base classes included.
  private static func name(
    of offset: UInt64, in type: HeldType, _ symbols: any SymbolLookup
  ) -> TypeLayout.Field? {
    guard let binary = type.binary else { return nil }
    var (name, offset) = (type.name, offset)
    // A base class is a part of its own; debug information that names itself as its base ends here.
    for _ in 0..<32 {
      guard let layout = symbols.layout(of: name, in: binary), offset < layout.byteCount else {
        return nil
      }
      guard let field = layout.fields.last(where: { $0.offset <= offset }) else { return nil }
      if let size = field.byteCount, offset - field.offset >= size { return nil }
      if !field.isBase { return field.name.isEmpty ? nil : field }
      (name, offset) = (field.typeName, offset - field.offset)
    }
    return nil
  }
}
