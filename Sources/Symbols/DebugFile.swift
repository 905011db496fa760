// A file with symbols and debug information, told by its build id, and what it names of malloc.

import CElfutils
import HeapModel
import LinuxTarget

/// A build id as text.
package enum BuildID {
  /// The build id in lower-case hexadecimal digits, as tools print it.
  package static func text(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

/// An opened ELF file of which only sections are used: that of a debug file's segments are empty.
struct DebugFile: ~Copyable {
  let handle: ElfHandle

  /// The most bytes of notes and links that are read.
  private static var smallSectionLimit: UInt64 { 64 << 10 }

  /// Opens the file behind `descriptor`; `path` is for messages.
  init(_ descriptor: consuming OwnedDescriptor, path: String) throws(SymbolError) {
    try self.init(try ElfHandle.open(descriptor, path: path))
  }

  /// Opens the file that `handle` is.
  init(_ handle: consuming ElfHandle) throws(SymbolError) {
    let path = handle.path
    let header = try handle.header()
    guard Int32(header.e_ident.4) == ELFCLASS64 else {
      throw .unsupported(path: path, what: .elfClass(header.e_ident.4))
    }
    guard Int32(header.e_ident.5) == ELFDATA2LSB else {
      throw .unsupported(path: path, what: .byteOrder(header.e_ident.5))
    }
    self.handle = handle
  }

  /// The build id, empty if the file has none.
  var buildID: [UInt8] {
    var found: [UInt8] = []
    _ = handle.firstSection { section in
      guard section.type == UInt32(SHT_NOTE), section.file.byteCount <= Self.smallSectionLimit,
        let bytes = try? handle.bytes(at: section.file)
      else { return false }
      found =
        bytes.note(
          named: "GNU", type: UInt32(NT_GNU_BUILD_ID), alignment: section.alignment == 8 ? 8 : 4)
        ?? []
      return !found.isEmpty
    }
    return found
  }

  /// The name that the file gives its own debug file, without any directory (`.gnu_debuglink`).
  var link: String? {
    guard let section = handle.firstSection(where: { $0.name == ".gnu_debuglink" }),
      section.file.byteCount <= Self.smallSectionLimit,
      let bytes = try? handle.bytes(at: section.file),
      let name = bytes.text(at: 0, limit: 256), !name.isEmpty,
      !name.contains(UInt8(ascii: "/"))
    else { return nil }
    return String(decoding: name, as: UTF8.self)
  }

  /// The name and the build id of the file that holds what this one shares with others, nil if it
  /// shares nothing (`.gnu_debugaltlink`, as dwz makes it).
  var sharedPart: (name: String, buildID: [UInt8])? {
    guard let section = handle.firstSection(where: { $0.name == ".gnu_debugaltlink" }),
      section.file.byteCount <= Self.smallSectionLimit,
      let bytes = try? handle.bytes(at: section.file),
      let name = bytes.text(at: 0, limit: 4096)
    else { return nil }
    return (
      String(decoding: name, as: UTF8.self), Array(bytes.bytes[(name.endIndex + 1)...])
    )
  }

  /// What the symbol table names of malloc.
  func symbols() throws(SymbolError) -> DebugSymbols {
    var found = DebugSymbols(symbols: MallocSymbols(path: handle.path))
    guard let table = try handle.symbolTable() else { return found }
    var places: [String: Set<Symbol>] = [:]
    let wanted = MallocSymbols.variableNames + MallocSymbols.threadLocalNames + DebugSymbols.code
    for (name, symbol) in table.symbols(named: wanted) {
      places[name, default: []].insert(symbol)
    }
    // A name that stands for several places tells none of them.
    for (name, symbols) in places {
      guard symbols.count == 1, let symbol = symbols.first else { continue }
      switch Int32(symbol.type) {
      case STT_OBJECT where MallocSymbols.variableNames.contains(name):
        found.symbols.variables[name] = MallocSymbols.Variable(
          address: symbol.value, byteCount: symbol.size)
      case STT_TLS where MallocSymbols.threadLocalNames.contains(name):
        found.symbols.threadLocals[name] = symbol.value
      case STT_FUNC where DebugSymbols.code.contains(name):
        found.code[name] = symbol.value
      default: break
      }
    }
    return found
  }
}

/// What a symbol table names of malloc.
struct DebugSymbols {
  /// Functions of malloc's, best first: the second may be another's in a static program.
  static let code = ["__libc_malloc", "malloc"]

  var symbols: MallocSymbols
  /// The ELF virtual addresses of these functions.
  var code: [String: UInt64] = [:]

  /// An address within malloc's code.
  var codeAddress: UInt64? { Self.code.lazy.compactMap { code[$0] }.first }
}

extension SymbolTable {
  /// The defined symbols with one of these names, each with its name, in the table's order.
  func symbols(named wanted: [String]) -> [(name: String, symbol: Symbol)] {
    let names = wanted.map { (name: $0, bytes: Array($0.utf8) + [0]) }
    var found: [(name: String, symbol: Symbol)] = []
    for index in 0..<count {
      guard var symbol = Symbol(symbols, at: index * Symbol.byteCount), symbol.isDefined,
        let name = names.first(where: {
          self.names.begins(with: $0.bytes, at: Int(symbol.nameOffset))
        })
      else { continue }
      // The same place under two strings of the same name.
      symbol.nameOffset = 0
      symbol.binding = 0
      found.append((name.name, symbol))
    }
    return found
  }
}
