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
    if let opened = try? objects.openFile(of: module) {
      do throws(SymbolError) {
        let file = try DebugFile(opened.descriptor, path: module.name)
        query.link = file.link
        if file.hasTypes { return try index(file, query) }
      } catch {
        failures.append(error)
      }
    }
    return files.first(query, &failures) { file throws(SymbolError) in
      file.hasTypes ? try index(file, query) : nil
    }
  }

  private func index(
    _ file: consuming DebugFile, _ query: DebugFiles.Query
  ) throws(SymbolError) -> TypeIndex {
    let path = file.handle.path
    guard let part = file.sharedPart else {
      return TypeIndex(try DwarfHandle.open(file.handle), sharing: nil)
    }
    guard let shared = files.ways(to: query).sharedFile(part, besides: path) else {
      let error = SymbolError.noTypes(path: path, reason: .inMissingFile(part.name))
      if let number = binaries.firstIndex(where: { $0.path == query.path }) {
        missing[number, default: []].append("not all types: \(error.description)")
      }
      return TypeIndex(try DwarfHandle.open(file.handle), sharing: nil)
    }
    return TypeIndex(try DwarfHandle.open(file.handle), sharing: OpenTypes(shared))
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
