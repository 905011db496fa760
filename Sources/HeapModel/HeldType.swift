// What chunks hold: the types that were made out, and by what.

/// What sort of thing a chunk holds.
package enum HeldKind: String, Hashable, Sendable {
  /// An object of a C++ class, or an array of them.
  case cxx = "C++"
  /// A Swift object.
  case swift = "Swift"
  /// A structure that is known by pointers to functions or data of the program.
  case structure = "C"
  /// A block of a runtime library's own, known by its structure.
  case runtime
  /// A buffer that a typed object owns.
  case owned
  /// Bytes of which only a rule about their contents tells something.
  case content
}

/// By what the type of a chunk was made out.
package struct TypeEvidence: Hashable, Sendable {
  /// The sort of evidence, strongest first.
  package enum Rule: String, Hashable, Sendable, CaseIterable {
    /// A pointer into a vtable whose type information names the class.
    case rtti
    /// A pointer into a vtable that a symbol names.
    case vtableSymbol = "vtable_symbol"
    /// A pointer to Swift metadata whose descriptor names the type.
    case swiftMetadata = "swift_metadata"
    /// The structure that the block itself has.
    case structure
    /// A pointer into a table of functions that nothing names: a class without type information.
    case vtableUnnamed = "vtable_unnamed"
    /// A pointer to a function or to data that a symbol names.
    case symbol
    /// A pointer into an object file in which no symbol is that near.
    case objectFile = "object_file"
    /// The only reference from another chunk is a field of a typed object.
    case owner
    /// What the bytes look like.
    case content
    /// Not looked at.
    case none
  }

  /// The sort of evidence.
  package var rule: Rule
  /// What was seen, such as the name of a symbol; one line.
  package var detail: String

  /// Makes a record of evidence.
  package init(_ rule: Rule, _ detail: String) {
    self.rule = rule
    self.detail = detail
  }
}

/// A type that chunks hold.
package struct HeldType: Hashable, Sendable {
  /// Its name, such as `Session`, `Session[]` or `text (ASCII)`.
  package var name: String
  /// What sort of thing it is.
  package var kind: HeldKind
  /// The path of the file that implements it, nil for what is no file's.
  package var binary: String?
  /// By what it was made out.
  package var evidence: TypeEvidence

  /// Makes a type.
  package init(name: String, kind: HeldKind, binary: String?, evidence: TypeEvidence) {
    self.name = name
    self.kind = kind
    self.binary = binary
    self.evidence = evidence
  }

  /// What a chunk has whose contents were not looked at: the first element of every table of types.
  package static let unknown = HeldType(
    name: "not looked at", kind: .content, binary: nil, evidence: TypeEvidence(.none, ""))
}

/// A file that the target has mapped as a program or a library.
package struct MappedBinary: Hashable, Sendable {
  /// Consecutive memory of the file.
  package struct Part: Hashable, Sendable {
    /// Where it is, with what the loader has appended for data that begins as zeros.
    package var range: AddressRange
    /// Where in the file it begins, in bytes.
    package var fileOffset: UInt64
    /// Whether the program may execute it.
    package var isExecutable: Bool
    /// Whether the program may write it.
    package var isWritable: Bool

    /// Makes a part.
    package init(range: AddressRange, fileOffset: UInt64, isExecutable: Bool, isWritable: Bool) {
      self.range = range
      self.fileOffset = fileOffset
      self.isExecutable = isExecutable
      self.isWritable = isWritable
    }
  }

  /// Its path as the target names it.
  package var path: String
  /// Its parts, ascending by address.
  package var parts: [Part]
  /// Its build id, empty if it has none or it is not known.
  package var buildID: [UInt8]

  /// Makes a description of a file.
  package init(path: String, parts: [Part], buildID: [UInt8] = []) {
    self.path = path
    self.parts = parts
    self.buildID = buildID
  }

  /// The part of the path after the last slash.
  package var fileName: String { path.fileName }
}

/// A file of the target whose symbols could not be had, or not all.
package struct SymbolGap: Hashable, Sendable {
  /// Its path as the target names it.
  package var path: String
  /// Its build id, empty if it has none or it is not known.
  package var buildID: [UInt8]
  /// What is missing, and why.
  package var reason: String

  /// Makes a record of a gap.
  package init(path: String, buildID: [UInt8], reason: String) {
    self.path = path
    self.buildID = buildID
    self.reason = reason
  }
}

/// What the chunks of a snapshot hold.
package struct HeldTypes: Hashable, Sendable {
  /// The types, by the number that chunks carry; the first is `HeldType.unknown`.
  package var types: [HeldType]
  /// The files that the target has mapped, ascending by address.
  package var binaries: [MappedBinary]
  /// The files without symbols among those for which symbols were asked.
  package var gaps: [SymbolGap]

  /// Makes a table of types.
  package init(
    types: [HeldType] = [.unknown], binaries: [MappedBinary] = [], gaps: [SymbolGap] = []
  ) {
    self.types = types
    self.binaries = binaries
    self.gaps = gaps
  }

  /// The type of `chunk`.
  package func type(of chunk: Chunk) -> HeldType {
    let index = Int(chunk.held)
    return types.indices.contains(index) ? types[index] : .unknown
  }
}
