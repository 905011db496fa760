// The symbols of one loaded file, from whatever has the most of them.

import CElfutils
import HeapModel
import LinuxTarget

/// The names of one loaded file.
final class ModuleSymbols {
  /// What is added to its virtual addresses to get the target's.
  let bias: UInt64
  /// Its symbols.
  let index: SymbolIndex
  /// What is missing, nil if nothing is.
  let gap: String?
  /// The symbols that were asked for, by their numbers in the index.
  private var named: [Int: NamedSymbol] = [:]

  /// The most symbols that are kept.
  private static let namedLimit = 1 << 15

  /// Reads the symbols of `module`.
  ///
  /// - Throws: what opening it throws.
  init(_ module: LoadedModule, _ objects: TargetObjects, _ files: DebugFiles) throws(SymbolError) {
    let file = try objects.open(module)
    bias = try file.loadBias(of: module)
    var tables: [SymbolTable] = []
    var failures: [SymbolError] = []
    do throws(SymbolError) {
      if let exported = try file.exportedSymbols() { tables.append(exported) }
    } catch {
      failures.append(error)
    }
    let found = Self.largerTable(file, module, objects, files, &failures)
    if let found { tables.append(found) }
    index = SymbolIndex(tables)
    gap = found == nil ? Self.gap(file, failures) : nil
  }

  /// The symbol whose bytes hold `address`; `path` is that of its file.
  func symbol(at address: RemoteAddress, path: String) -> NamedSymbol? {
    guard let (number, entry) = index.entry(at: address.bits &- bias) else { return nil }
    if let known = named[number] { return known }
    let name = index.name(of: entry)
    let symbol = NamedSymbol(
      linkerName: name, name: Demangling.symbol(name) ?? name, kind: entry.kind,
      start: RemoteAddress(entry.start &+ bias), byteCount: entry.byteCount, binary: path)
    if named.count < Self.namedLimit { named[number] = symbol }
    return symbol
  }

  /// The table with more than what the file exports: its own, a debug file's, or the packed one in it.
  private static func largerTable(
    _ file: borrowing ELFFile, _ module: LoadedModule, _ objects: TargetObjects,
    _ files: DebugFiles,
    _ failures: inout [SymbolError]
  ) -> SymbolTable? {
    do throws(SymbolError) {
      if let own = try file.allSymbols() { return own }
    } catch {
      failures.append(error)
    }
    var link: String?
    var packed: ElfHandle?
    if let opened = try? objects.openFile(of: module),
      let own = try? DebugFile(opened.descriptor, path: module.name)
    {
      link = own.link
      packed = try? own.packedSymbols()
    }
    let query = DebugFiles.Query(buildID: file.buildID, link: link, path: module.name)
    let separate = files.first(query, &failures) { debug throws(SymbolError) in
      try debug.handle.symbolTable()
    }
    if let separate { return separate }
    guard let packed else { return nil }
    return try? packed.symbolTable()
  }

  private static func gap(_ file: borrowing ELFFile, _ failures: [SymbolError]) -> String {
    var text = "no symbol table beyond exported names; "
    if case .memory = file.substitute?.kind {
      text += "its file is gone, and memory has no other; "
    }
    if let failure = failures.last { return text + failure.description }
    return text
      + (file.buildID.count > 1
        ? "no debug file with its build id was found"
        : "it has no build id to find a debug file by")
  }
}

extension SymbolIndex.Entry {
  fileprivate var kind: NamedSymbol.Kind {
    switch Int32(type) {
    case STT_FUNC, STT_GNU_IFUNC: .function
    case STT_OBJECT: .data
    default: .other
    }
  }
}

/// Where debug files of one process's files are looked for.
struct DebugFiles {
  /// Where the user wants files to be looked for first.
  let directory: String?
  /// The target's root directory.
  let root: String

  /// Whose debug file is looked for.
  struct Query {
    var buildID: [UInt8]
    /// The name that the file gives its debug file.
    var link: String?
    /// The file's path as the target names it.
    var path: String
  }

  /// What `use` makes of the first debug file that has the build id, and of which it makes something; why
  /// others were not taken is added to `rejected`.
  func first<Value>(
    _ query: Query, _ rejected: inout [SymbolError],
    _ use: (consuming DebugFile) throws(SymbolError) -> Value?
  ) -> Value? {
    guard query.buildID.count > 1 else { return nil }
    let ways = ways(to: query)
    var places = ways.places(of: query.buildID)
    if let link = query.link { places += ways.places(linked: link, from: query.path) }
    for place in places {
      do throws(SymbolError) {
        guard let file = try ways.file(at: place, buildID: query.buildID) else { continue }
        if let value = try use(file) { return value }
      } catch {
        rejected.append(error)
      }
    }
    return nil
  }

  /// The places for a query.
  func ways(to query: Query) -> DebugFileWays {
    DebugFileWays(
      directory: directory, root: root,
      names: directory == nil ? [] : DebugFileWays.names(link: query.link, path: query.path))
  }
}
