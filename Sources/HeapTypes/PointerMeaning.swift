// What a pointer into a binary says of the chunk that holds it.

import HeapModel

/// What one pointer means wherever it stands.
struct PointerMeaning {
  /// What it points to, the better the later.
  enum Kind: UInt8, Comparable {
    /// Nothing that says anything.
    case nothing
    /// The head of a bin of an arena: what malloc leaves in memory that it hands out.
    case bin
    /// A literal text.
    case literal
    /// Something in an object file for which there is no symbol.
    case objectFile
    /// Functions of a class that nothing names.
    case unnamedVtable
    /// A function or data that a symbol names.
    case symbol
    /// A vtable that is used while an object is made or destroyed.
    case constructionVtable
    /// Metadata of a Swift object.
    case swift
    /// A vtable of a class whose name is known.
    case vtable

    static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }
  }

  var kind: Kind
  /// For a vtable: the distance from where the pointer stands to the object's beginning, 0 or negative.
  var offsetToTop: Int32 = 0
  /// For Swift metadata: how many bytes an object has at least, 0 if that is not known.
  var instanceSize: UInt32 = 0
  /// For Swift metadata: what sort of object it is.
  var swiftKind = SwiftKind.object

  static let nothing = PointerMeaning(kind: .nothing)
}

/// What a type is called that a pointer was found to mean, before it is known where the pointer stands.
struct MeaningName {
  /// The name of the class, of the symbol or of the file.
  var name: String
  var kind: HeldKind
  var rule: TypeEvidence.Rule
  /// The number of the binary.
  var binary: Int
  /// What was seen.
  var detail: String
  /// For data that a symbol names: whether it begins with pointers to code.
  var isTable = false
  /// Whether it is a function.
  var isFunction = false
}

/// In what manner a pointer stands in a chunk; with the pointer's meaning it makes the type.
enum PointerPlace: Int {
  /// Eight words from the first on are places of their own.
  static let words = 8
  /// The chunk is an array of objects, each with the pointer.
  case array = 8
  /// The chunk begins with the pointer, but is no object.
  case remains = 9
  /// The chunk is an object that is being destroyed.
  case ending = 10
  /// The chunk begins with the pointer, but does not have the size that objects of the class have.
  case doubtful = 11

  /// How many places there are.
  static let count = 12
}

extension MeaningName {
  /// The type of a chunk that has a pointer of meaning `kind` at `place`.
  func type(_ kind: PointerMeaning.Kind, at place: Int, in binaries: [MappedBinary]) -> HeldType {
    let path = binaries.indices.contains(binary) ? binaries[binary].path : nil
    let offset = place < PointerPlace.words ? " at +\(place * 8)" : ""
    let detail = place == 0 ? self.detail : self.detail + offset
    func held(_ name: String, _ kind: HeldKind? = nil, _ detail: String? = nil) -> HeldType {
      HeldType(
        name: name, kind: kind ?? self.kind, binary: path,
        evidence: TypeEvidence(rule, detail ?? self.detail))
    }
    switch PointerPlace(rawValue: place) {
    case .array: return held(name + "[]", nil, detail + ", again for each object")
    case .remains:
      var type = held("remains of " + name, .content)
      type.evidence = TypeEvidence(
        .content, "begins like \(name), but is no such object: \(detail)")
      return type
    case .doubtful:
      var type = held("begins like " + name, .content)
      type.evidence = TypeEvidence(
        .content, "not of the size that \(name) has, nor an array of it: \(detail)")
      return type
    case .ending: return held(name + " (deinitialising)", nil, detail)
    case nil: break
    }
    switch kind {
    case .swift where place != 0:
      return held("structure with metadata of \(name)\(offset)", .structure)
    case .unnamedVtable where place != 0:
      // C has tables of functions after zeros, too, and structures that do not begin with them.
      return HeldType(
        name: "structure with a table of functions\(offset)", kind: .structure, binary: path,
        evidence: TypeEvidence(.objectFile, detail))
    case .vtable, .swift, .unnamedVtable, .constructionVtable:
      return held(place == 0 ? name : name + offset, nil, detail)
    case .symbol:
      if isFunction { return held(place == 0 ? "callback \(name)" : "callback \(name)\(offset)") }
      if place == 0 { return held(isTable ? "ops table \(name)" : "structure with \(name)") }
      return held("structure with \(name)\(offset)")
    case .objectFile, .literal, .bin, .nothing:
      return held("structure with pointers into \(name)")
    }
  }
}
