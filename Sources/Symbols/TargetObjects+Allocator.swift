// Telling which malloc a program uses from what its files define.

package import HeapModel

/// Whose malloc the program uses, and on what that rests.
package struct AllocatorReport: Hashable, Sendable {
  /// The verdict.
  package var identity: AllocatorIdentity
  /// Every file that defines malloc besides libc and the loader, the executable first.
  ///
  /// With more than one, which of them serves the program is told by `bindings`, or by nothing.
  package var definers: [String]
  /// What those files are, as far as that is not the verdict.
  package var others: [AllocatorIdentity] = []
  /// Where malloc leads, as seen from files that call it.
  package var bindings: [MallocBinding] = []
  /// Files that could not be examined and might define malloc.
  package var failures: [SymbolError]
}

extension TargetObjects {
  /// Finds out which malloc the program uses.
  ///
  /// Only files with executable mappings are opened, and of those only the dynamic symbols' hash
  /// table is read, unless they define malloc. `read` reads a word of the process: if more than libc
  /// defines malloc, by it is told which of them the program calls.
  package func allocator(
    read: (RemoteAddress) -> UInt64? = { _ in nil }
  ) -> AllocatorReport {
    var report = AllocatorReport(identity: .unrecognized, definers: [], failures: [])
    var found: [AllocatorIdentity] = []
    var interpreter: String?
    for module in candidates() {
      do throws(SymbolError) {
        let file = try open(module)
        if module == executable { interpreter = file.interpreter }
        guard try file.definitions(of: ["malloc"])["malloc"] != nil else { continue }
        report.definers.append(module.name)
        found.append(try Self.identity(ofDefiner: module, file))
      } catch .notELF {
        // Executable memory of a just-in-time compiler can have a file that is no program.
        continue
      } catch {
        report.failures.append(error)
      }
    }
    if !found.isEmpty { report.bindings = bindings(read: read) }
    do throws(SymbolError) {
      if let resolved = resolvedIdentity(report.resolved, found) {
        report.identity = resolved
      } else {
        report.identity = try verdict(found, interpreter: interpreter)
      }
      report.others = found.filter { $0 != report.identity }
    } catch {
      report.failures.append(error)
    }
    return report
  }

  /// The files that might define malloc for the program, each once, the executable first.
  private func candidates() -> [LoadedModule] {
    let libraries = modules.filter { module in
      !module.executableRanges.isEmpty && module != executable
        && !LibraryName.isGlibc(module.fileName) && !LibraryName.isLoader(module.fileName)
        && !LibraryName.isMusl(module.fileName)
    }
    // A program can be started by naming it to its loader; up to 2.31 that has a malloc of its own.
    let program = executable.flatMap { LibraryName.isLoader($0.fileName) ? nil : $0 }
    var seen: Set<LoadedModule.FileIdentity> = []
    return ([program].compactMap(\.self) + libraries).filter { seen.insert($0.file).inserted }
  }

  /// What the program's calls of malloc lead to, nil if that decides nothing.
  private func resolvedIdentity(
    _ path: String?, _ found: [AllocatorIdentity]
  ) -> AllocatorIdentity? {
    guard let path else { return nil }
    switch found.first(where: { $0.path == path }) {
    // It is likely to forward to another one.
    case .unknownInterposer: return nil
    case let identity?: return identity
    case nil:
      let libc = modules.first { $0.name == path && LibraryName.isGlibc($0.fileName) }
      return libc.map { .glibc(path: $0.name) }
    }
  }

  private func verdict(
    _ found: [AllocatorIdentity], interpreter: String?
  ) throws(SymbolError) -> AllocatorIdentity {
    // A known allocator is worth more than a file without a mark: that one is likely to forward.
    if let known = found.first(where: { if case .interposed = $0 { true } else { false } }) {
      return known
    }
    if let musl = muslPath(interpreter) { return .musl(path: musl) }
    if let libc = modules.last(where: { LibraryName.isGlibc($0.fileName) }) {
      let debugging = found.first { if case .glibcDebug = $0 { true } else { false } }
      return debugging ?? found.first ?? .glibc(path: libc.name)
    }
    if let first = found.first { return first }
    guard let executable, interpreter == nil else { return .unrecognized }
    return try staticIdentity(executable)
  }

  /// The path of musl's libc, nil if the program does not use it.
  ///
  /// Its loader and its libc are one file, mapped under either name.
  private func muslPath(_ interpreter: String?) -> String? {
    if let module = modules.first(where: { LibraryName.isMusl($0.fileName) }) {
      return module.name
    }
    guard let interpreter, interpreter.contains("/ld-musl-") else { return nil }
    return modules.first { $0.fileName == "libc.so" }?.name ?? interpreter
  }

  private static func identity(
    ofDefiner module: LoadedModule, _ file: borrowing ELFFile
  ) throws(SymbolError) -> AllocatorIdentity {
    if LibraryName.isGlibcDebug(module.fileName) { return .glibcDebug(path: module.name) }
    let marks = try file.definitions(of: KnownAllocator.allCases.flatMap(\.exactMarks))
    let names = [String(module.fileName), try file.sharedObjectName()].compactMap(\.self)
    let marked = KnownAllocator.allCases.first { $0.exactMarks.contains { marks[$0] != nil } }
    let named = KnownAllocator.allCases.first { allocator in
      names.contains { name in allocator.fileNamePrefixes.contains { name.hasPrefix($0) } }
    }
    if let known = marked ?? named { return .interposed(known, path: module.name) }
    if let prefixed = allocator(markedIn: try file.exportedSymbols()) {
      return .interposed(prefixed, path: module.name)
    }
    return .unknownInterposer(path: module.name)
  }

  private static func allocator(markedIn symbols: SymbolTable?) -> KnownAllocator? {
    var found: KnownAllocator?
    _ = symbols?.firstName { name in
      found = KnownAllocator.allCases.first { $0.isMark(name) }
      return found != nil
    }
    return found
  }

  /// Whose malloc a static executable holds.
  private func staticIdentity(_ module: LoadedModule) throws(SymbolError) -> AllocatorIdentity {
    let file = try open(module)
    if let symbols = try file.allSymbols() {
      let names = symbols.definitions(
        of: StaticMark.all + KnownAllocator.allCases.flatMap(\.exactMarks))
      let known = KnownAllocator.allCases.first { $0.exactMarks.contains { names[$0] != nil } }
      if let known { return .interposed(known, path: module.name) }
      if StaticMark.glibc.contains(where: { names[$0] != nil }) {
        return .staticGlibc(path: module.name)
      }
      if StaticMark.musl.contains(where: { names[$0] != nil }) { return .musl(path: module.name) }
    }
    if file.contains(StaticMark.glibcMessage) { return .staticGlibc(path: module.name) }
    return file.isMadeByGo
      ? .goRuntime(path: module.name) : .staticWithoutGlibc(path: module.name)
  }
}

/// What shows whose malloc was linked into a static executable.
private enum StaticMark {
  /// Functions that only glibc's malloc has, in every version since 2.17.
  static let glibc = ["_int_malloc", "_int_free", "__libc_memalign"]
  /// Functions that only musl's malloc has: of 1.1 and 1.2.0, and of the later one.
  static let musl = ["__malloc_donate", "__libc_malloc_impl", "__malloc_replaced"]
  static let all = glibc + musl
  /// What glibc's `free` says of a bad pointer, in every version since 2.17: it survives stripping.
  static let glibcMessage = "free(): invalid pointer"
}
