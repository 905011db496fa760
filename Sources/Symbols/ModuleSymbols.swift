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
  private let allowance: ReadingAllowance

  /// Reads the symbols of `module`.
  ///
  /// - Throws: what opening it throws.
  init(
    _ module: LoadedModule, _ objects: TargetObjects, _ files: DebugFiles,
    _ allowance: ReadingAllowance
  ) throws(SymbolError) {
    self.allowance = allowance
    let file = try objects.open(module)
    bias = try file.loadBias(of: module)
    var tables: [SymbolTable] = []
    var failures: [SymbolError] = []
    do throws(SymbolError) {
      if let exported = try file.exportedSymbols() { tables.append(exported) }
    } catch {
      failures.append(error)
    }
    let whole = Self.wholeTable(file, module, objects, files, &failures)
    let packed = whole == nil ? Self.packedTable(module, objects, &failures) : nil
    tables += [whole, packed].compactMap(\.self)
    index = SymbolIndex(tables)
    gap = whole == nil ? Self.gap(file, failures, hasFunctions: packed != nil) : nil
    allowance.take(index.byteCount)
  }

  /// The symbol whose bytes hold `address`; `path` is that of its file.
  func symbol(at address: RemoteAddress, path: String) -> NamedSymbol? {
    guard let (number, entry) = index.entry(at: address.bits &- bias) else { return nil }
    if let known = named[number] { return known }
    let name = index.name(of: entry)
    let symbol = NamedSymbol(
      linkerName: name, name: Demangling.symbol(name) ?? name, kind: entry.kind,
      start: RemoteAddress(entry.start &+ bias), byteCount: entry.byteCount, binary: path)
    if named.count < Self.namedLimit, !allowance.isUsedUp {
      named[number] = symbol
      allowance.take(
        MemoryLayout<NamedSymbol>.stride + symbol.linkerName.utf8.count + symbol.name.utf8.count)
    }
    return symbol
  }

  /// The table with all that the file has names for: its own, or a debug file's.
  private static func wholeTable(
    _ file: borrowing ELFFile, _ module: LoadedModule, _ objects: TargetObjects,
    _ files: DebugFiles, _ failures: inout [SymbolError]
  ) -> SymbolTable? {
    var query = DebugFiles.Query(buildID: file.buildID, link: nil, path: module.name)
    do throws(SymbolError) {
      if let own = try file.allSymbols() { return own }
    } catch {
      failures.append(error)
    }
    do throws(SymbolError) {
      if let sections = try objects.sections(of: module) { query.link = sections.link }
    } catch {
      failures.append(error)
    }
    return files.first(query, &failures) { debug throws(SymbolError) in
      try debug.handle.symbolTable()
    }
  }

  /// The table that is packed in the file: of functions, as distributions make it.
  private static func packedTable(
    _ module: LoadedModule, _ objects: TargetObjects, _ failures: inout [SymbolError]
  ) -> SymbolTable? {
    do throws(SymbolError) {
      guard let sections = try objects.sections(of: module),
        let packed = try sections.packedSymbols()
      else { return nil }
      return try packed.symbolTable()
    } catch {
      failures.append(error)
      return nil
    }
  }

  private static func gap(
    _ file: borrowing ELFFile, _ failures: [SymbolError], hasFunctions: Bool
  ) -> String {
    var text =
      hasFunctions
      ? "only functions beyond exported names (.gnu_debugdata); "
      : "no symbol table beyond exported names; "
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
