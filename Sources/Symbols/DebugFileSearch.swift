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
  private let files: DebugFiles

  /// The source file of malloc, in whatever directory.
  private static let source = "malloc.c"

  /// Looks in `directory` first, if there is one, then under the target's root and ours, and then in
  /// the library itself.
  package init(pid: Int32, objects: TargetObjects, directory: String?, procRoot: String = "/proc") {
    self.objects = objects
    files = DebugFiles(directory: directory, root: "\(procRoot)/\(pid)/root")
  }

  /// Reads what a debug file says of the malloc in `loaded`.
  ///
  /// A file counts only if it has the same build id. `wantsTypes` also asks for the layouts of
  /// structures, for which all of the file's debug information has to be decompressed; without it
  /// the symbol table alone is read.
  package func symbols(of loaded: LoadedImage, wantsTypes: Bool) -> DebugLookup {
    var lookup = DebugLookup()
    var rejected: [SymbolError] = []
    let module = module(of: loaded)
    var query = DebugFiles.Query(buildID: loaded.image.buildID, link: nil, path: loaded.path)
    if let module, let file = try? objects.sections(of: module) { query.link = file.link }
    let found: Void? = files.first(query, &rejected) { file throws(SymbolError) in
      try take(file, query, wantsTypes: wantsTypes, &lookup)
    }
    // A library that was not stripped needs no other file.
    if found == nil, let module {
      do throws(SymbolError) {
        // What memory has of it has no symbol table.
        if let file = try objects.sections(of: module) {
          try take(file, query, wantsTypes: wantsTypes, &lookup)
        }
      } catch .noSymbols {
        // Most are stripped, which needs no saying.
      } catch {
        rejected.append(error)
      }
    }
    lookup.rejected = rejected
    return lookup
  }

  private func module(of loaded: LoadedImage) -> LoadedModule? {
    objects.modules.first {
      $0.name == loaded.path && loaded.range.contains($0.base.range.lowerBound)
    }
  }

  /// Takes what `file` says.
  private func take(
    _ file: consuming DebugFile, _ query: DebugFiles.Query, wantsTypes: Bool,
    _ lookup: inout DebugLookup
  ) throws(SymbolError) {
    let found = try file.symbols()
    guard !found.symbols.isEmpty else { throw .noSymbols(path: file.handle.path) }
    if lookup.symbols == nil { lookup.symbols = found.symbols }
    guard wantsTypes else { return }
    let layouts = try layouts(in: file, codeAddress: found.codeAddress, query)
    lookup.symbols = found.symbols
    lookup.symbols?.layouts = layouts
  }

  private func layouts(
    in file: consuming DebugFile, codeAddress: UInt64?, _ query: DebugFiles.Query
  ) throws(SymbolError) -> [MallocSymbols.Structure: MallocSymbols.Layout] {
    let path = file.handle.path
    let part = file.sharedPart
    let shared = part.flatMap { files.ways(to: query).sharedFile($0, besides: path) }
    let dwarf = try DwarfHandle.open(file.handle, sharing: shared)
    return try Self.layouts(
      in: dwarf, path: path, codeAddress, missing: shared == nil ? part?.name : nil)
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
