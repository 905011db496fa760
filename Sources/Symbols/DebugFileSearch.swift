// Finding the file with the symbols of a mapped library, by its build id alone.

package import HeapModel
import LinuxTarget

/// What was found of a library's symbols.
package struct DebugLookup: Hashable, Sendable {
  /// What they say of malloc, nil if no file has any.
  package var symbols: MallocSymbols?
  /// Why files that were there told nothing, or not all.
  package var rejected: [SymbolError] = []

  /// Makes a result.
  package init(symbols: MallocSymbols? = nil, rejected: [SymbolError] = []) {
    self.symbols = symbols
    self.rejected = rejected
  }
}

/// Looks for debug files of what one process has mapped.
package struct DebugFileSearch: Sendable {
  private let objects: TargetObjects
  /// Where the user wants files to be looked for first.
  private let directory: String?
  /// The target's root directory.
  private let root: String

  /// The source file of malloc, in whatever directory.
  private static let source = "malloc.c"

  /// Looks in `directory` first, if there is one, then under the target's root and ours, and then in
  /// the library itself.
  package init(pid: Int32, objects: TargetObjects, directory: String?, procRoot: String = "/proc") {
    self.objects = objects
    self.directory = directory
    root = "\(procRoot)/\(pid)/root"
  }

  /// Reads what a debug file says of the malloc in `loaded`.
  ///
  /// A file counts only if it has the same build id. `wantsTypes` also asks for the layouts of
  /// structures, for which all of the file's debug information has to be decompressed; without it
  /// the symbol table alone is read.
  package func symbols(of loaded: LoadedImage, wantsTypes: Bool) -> DebugLookup {
    var lookup = DebugLookup()
    let module = module(of: loaded)
    let ways = DebugFileWays(
      directory: directory, root: root,
      names: directory == nil ? [] : names(of: loaded, module))
    let buildID = loaded.image.buildID
    for place in buildID.count > 1 ? ways.places(of: buildID) : [] {
      do throws(SymbolError) {
        guard let file = try ways.file(at: place, buildID: buildID) else { continue }
        if try take(file, ways, wantsTypes: wantsTypes, &lookup) { return lookup }
      } catch {
        lookup.rejected.append(error)
      }
    }
    // A library that was not stripped needs no other file.
    if let module {
      do throws(SymbolError) {
        // What memory has of it has no symbol table.
        guard let opened = try objects.openFile(of: module) else { return lookup }
        let file = try DebugFile(opened.descriptor, path: loaded.path)
        _ = try take(file, ways, wantsTypes: wantsTypes, &lookup)
      } catch {
        // Most are stripped, which needs no saying.
        if case .noSymbols = error { return lookup }
        lookup.rejected.append(error)
      }
    }
    return lookup
  }

  private func module(of loaded: LoadedImage) -> LoadedModule? {
    objects.modules.first {
      $0.name == loaded.path && loaded.range.contains($0.base.range.lowerBound)
    }
  }

  /// What a debug file of the library may be called: as the library itself says, and like it.
  private func names(of loaded: LoadedImage, _ module: LoadedModule?) -> [String] {
    var link: String?
    if let module, let opened = try? objects.openFile(of: module),
      let file = try? DebugFile(opened.descriptor, path: loaded.path)
    {
      link = file.link
    }
    return DebugFileWays.names(link: link, path: loaded.path)
  }

  /// Takes what `file` says and returns whether no other need be looked at.
  private func take(
    _ file: consuming DebugFile, _ ways: DebugFileWays, wantsTypes: Bool,
    _ lookup: inout DebugLookup
  ) throws(SymbolError) -> Bool {
    let path = file.handle.path
    let found = try file.symbols()
    guard !found.symbols.isEmpty else { throw .noSymbols(path: path) }
    if lookup.symbols == nil { lookup.symbols = found.symbols }
    guard wantsTypes else { return true }
    let layouts = try layouts(in: file, codeAddress: found.codeAddress, ways)
    lookup.symbols = found.symbols
    lookup.symbols?.layouts = layouts
    return true
  }

  private func layouts(
    in file: consuming DebugFile, codeAddress: UInt64?, _ ways: DebugFileWays
  ) throws(SymbolError) -> [MallocSymbols.Structure: MallocSymbols.Layout] {
    let path = file.handle.path
    let part = file.sharedPart
    guard let part, let shared = ways.sharedFile(part, besides: path) else {
      let dwarf = try DwarfHandle.open(file.handle)
      return try Self.layouts(in: dwarf, path: path, codeAddress, missing: part?.name)
    }
    let dwarf = try DwarfHandle.open(file.handle)
    return try dwarf.sharing(shared) { dwarf throws(SymbolError) in
      try Self.layouts(in: dwarf, path: path, codeAddress, missing: nil)
    }
  }

  private static func layouts(
    in dwarf: borrowing DwarfHandle, path: String, _ codeAddress: UInt64?, missing: String?
  ) throws(SymbolError) -> [MallocSymbols.Structure: MallocSymbols.Layout] {
    guard let unit = dwarf.unit(at: codeAddress, source: source) else {
      throw .noTypes(path: path, reason: missing.map { .inMissingFile($0) } ?? .noUnit)
    }
    var reader = StructureReader()
    reader.read(unit)
    guard reader.layouts.isEmpty else { return reader.layouts }
    throw .noTypes(path: path, reason: missing.map { .inMissingFile($0) } ?? .noStructure)
  }
}
