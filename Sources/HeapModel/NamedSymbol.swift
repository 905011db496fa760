// What symbols and debug information say of addresses and types.

/// The symbol that an address of the target belongs to.
package struct NamedSymbol: Hashable, Sendable {
  /// What a symbol names.
  package enum Kind: Hashable, Sendable {
    /// Code.
    case function
    /// A variable or a constant.
    case data
    /// Something else, or nothing that is said.
    case other
  }

  /// The name as the linker knows it.
  package var linkerName: String
  /// The name as the source has it, as far as the name's encoding tells.
  package var name: String
  /// What it names.
  package var kind: Kind
  /// Where in the target what it names begins.
  package var start: RemoteAddress
  /// How many bytes it names, 0 if that is not said.
  package var byteCount: UInt64
  /// The path of its file as the target names it.
  package var binary: String

  /// Makes a symbol.
  package init(
    linkerName: String, name: String, kind: Kind, start: RemoteAddress, byteCount: UInt64,
    binary: String
  ) {
    self.linkerName = linkerName
    self.name = name
    self.kind = kind
    self.start = start
    self.byteCount = byteCount
    self.binary = binary
  }
}

/// How a structure is laid out, as debug information has it.
package struct TypeLayout: Hashable, Sendable {
  /// A member, or a base class.
  package struct Field: Hashable, Sendable {
    /// Its name, the type's for a base class; empty if it has none.
    package var name: String
    /// Where in the structure it begins, in bytes.
    package var offset: UInt64
    /// How many bytes it has, nil if that is not said.
    package var byteCount: UInt64?
    /// The name of its type, empty if it has none.
    package var typeName: String
    /// Whether it is a base class.
    package var isBase: Bool

    /// Makes a field.
    package init(
      name: String, offset: UInt64, byteCount: UInt64?, typeName: String, isBase: Bool = false
    ) {
      self.name = name
      self.offset = offset
      self.byteCount = byteCount
      self.typeName = typeName
      self.isBase = isBase
    }
  }

  /// The type's name with its scopes, such as `app::Session`.
  package var name: String
  /// How many bytes an object of it has.
  package var byteCount: UInt64
  /// Its members and base classes in the order of their offsets.
  package var fields: [Field]

  /// Makes a layout.
  package init(name: String, byteCount: UInt64, fields: [Field]) {
    self.name = name
    self.byteCount = byteCount
    self.fields = fields
  }
}
