// What telling types needs of others: the target's memory, and what symbols say.

package import HeapModel
package import RemoteMemory

/// What answers questions about names; nothing is looked up before it is asked.
package protocol SymbolLookup: AnyObject {
  /// The symbol whose bytes hold `address`; one without a size holds what follows it up to the next one.
  func symbol(at address: RemoteAddress) -> NamedSymbol?

  /// The source's name for the linker's name, or for the encoding of a type as C++ type information has it;
  /// nil if it is none that is known.
  func demangled(_ name: String) -> String?

  /// How the class or structure `name`, with its scopes, is laid out, by the debug information of the file at
  /// `binary`, a path as the target names it; nil without any.
  func layout(of name: String, in binary: String) -> TypeLayout?
}

/// Where a type's evidence is looked for.
package struct TypeSources {
  /// The files that the target has mapped, ascending by address.
  package var binaries: [MappedBinary]
  /// The target's memory, as it is now.
  package var memory: any MemoryReader
  /// What symbols say.
  package var symbols: any SymbolLookup
  /// The size of the target's pages.
  package var pageSize: UInt64
  /// Whether debug information is asked for the size of each C++ class, which takes longer.
  package var asksLayouts: Bool

  /// Makes a set of sources.
  package init(
    binaries: [MappedBinary], memory: any MemoryReader, symbols: any SymbolLookup,
    pageSize: UInt64 = 4096, asksLayouts: Bool = false
  ) {
    self.binaries = binaries
    self.memory = memory
    self.symbols = symbols
    self.pageSize = pageSize
    self.asksLayouts = asksLayouts
  }
}
