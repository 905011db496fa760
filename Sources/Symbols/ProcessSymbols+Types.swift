// The layouts of types, from the debug information of each file.

package import HeapModel
import LinuxTarget

extension ProcessSymbols {
  /// How the class or structure `name`, with its scopes, is laid out, by the debug information of the file at
  /// `binary`, a path as the target names it; nil without any.
  ///
  /// Names may be spelled as any compiler or demangler does.
  package func layout(of name: String, in binary: String) -> TypeLayout? {
    guard name.utf8.count <= TypeSpelling.lengthLimit else { return nil }
    for number in binaries.indices where binaries[number].path == binary {
      if let layout = types(of: number)?.layout(of: name) { return layout }
    }
    return nil
  }

  private func types(of number: Int) -> TypeIndex? {
    if let known = types[number] { return known }
    guard !allowance.isUsedUp else {
      types[number] = .some(nil)
      missing[number, default: []].append("no types: those of other files take too much memory")
      return nil
    }
    var failures: [SymbolError] = []
    let found = readTypes(of: number, &failures)
    types[number] = .some(found)
    if found == nil {
      missing[number, default: []] += failures.suffix(1).map { "no types: \($0.description)" }
    } else if found?.isComplete == false {
      missing[number, default: []].append("not all types: its debug information is too large")
    }
    return found
  }

  private func readTypes(of number: Int, _ failures: inout [SymbolError]) -> TypeIndex? {
    let module = modules[number]
    var query = DebugFiles.Query(buildID: binaries[number].buildID, link: nil, path: module.name)
    do throws(SymbolError) {
      if let file = try objects.sections(of: module) {
        query.link = file.link
        if file.hasTypes { return try index(file, query, of: number) }
      }
    } catch {
      failures.append(error)
    }
    return files.first(query, &failures) { file throws(SymbolError) in
      file.hasTypes ? try index(file, query, of: number) : nil
    }
  }

  private func index(
    _ file: consuming DebugFile, _ query: DebugFiles.Query, of number: Int
  ) throws(SymbolError) -> TypeIndex {
    let path = file.handle.path
    let part = file.sharedPart
    let shared = part.flatMap { files.ways(to: query).sharedFile($0, besides: path) }
    let dwarf = try DwarfHandle.open(file.handle, sharing: shared)
    if let part, shared == nil {
      let error = SymbolError.noTypes(path: path, reason: .inMissingFile(part.name))
      missing[number, default: []].append("not all types: \(error.description)")
    }
    return TypeIndex(dwarf, scopes, allowance)
  }
}

extension DebugFile {
  /// Whether it has debug information.
  fileprivate var hasTypes: Bool {
    handle.firstSection {
      [".debug_info", ".zdebug_info"].contains($0.name) && $0.file.byteCount > 0
    } != nil
  }
}
