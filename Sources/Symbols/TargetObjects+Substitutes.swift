// Opening a loaded file, and what is read instead if no way leads to it: deleted, or replaced.

import HeapModel

/// What was read instead of a mapped file to which no way led.
package struct FileSubstitute: Hashable, Sendable {
  /// What it is.
  package enum Kind: Hashable, Sendable {
    /// Another file with the same build id.
    case sameBuild(path: String)
    /// What the process has of the file in its memory.
    case memory
  }

  /// What it is.
  package var kind: Kind
  /// Whether the mapped file was deleted, as far as the kernel tells.
  package var isDeleted: Bool
  /// The ways to it that were tried.
  package var attempts: [OpenAttempt]

  /// The ways, and what was found there.
  package var reason: String { attempts.map(\.description).joined(separator: "; ") }
}

extension TargetObjects {
  /// Opens the file of `module`, or else what has the same contents.
  ///
  /// If no way leads to the mapped file, one that a way leads to is taken if it has the build id that the
  /// loaded library has in memory; else memory itself is read as a file. A build id is a checksum of
  /// contents that the linker makes, so that files with the same one differ in nothing that is loaded; a
  /// library without one has no substitute but memory.
  ///
  /// - Throws: what `TargetFiles.open` and `ELFFile` throw.
  func open(_ module: LoadedModule) throws(SymbolError) -> ELFFile {
    let failure: SymbolError
    do throws(SymbolError) {
      let opened = try files.open(module.base)
      return try ELFFile(opened.descriptor, path: opened.path)
    } catch {
      failure = error
    }
    guard let lost = lostFile(failure) else { throw failure }
    return try openSubstitute(of: module, lost)
  }

  /// Opens the file of `module`, or one with the same build id; nil if only memory has it.
  ///
  /// - Throws: what `TargetFiles.open` throws, if memory is no help either.
  func openFile(of module: LoadedModule) throws(SymbolError) -> TargetFiles.OpenedFile? {
    let failure: SymbolError
    do throws(SymbolError) {
      return try files.open(module.base)
    } catch {
      failure = error
    }
    guard let attempts = lostFile(failure) else { throw failure }
    guard case .sameBuild(let path) = try openSubstitute(of: module, attempts).substitute?.kind
    else { return nil }
    return attempts.lazy.filter { $0.path == path }.first.flatMap(files.openOther)
  }

  /// The sections of the file of `module`, nil if only memory has it, where there are none.
  ///
  /// - Throws: what `openFile` and `DebugFile` throw.
  func sections(of module: LoadedModule) throws(SymbolError) -> DebugFile? {
    guard let opened = try openFile(of: module) else { return nil }
    return try DebugFile(opened.descriptor, path: module.name)
  }

  /// The ways that were tried to a file that is no longer there, or that we cannot get to; nil if something
  /// else is the matter, or if it is no regular file: to read a device's memory can do anything.
  private func lostFile(_ error: SymbolError) -> [OpenAttempt]? {
    guard case .noWayToFile(_, let attempts) = error, !attempts.isEmpty,
      !attempts.contains(where: { $0.outcome == .notRegular })
    else { return nil }
    return attempts
  }

  private func openSubstitute(
    of module: LoadedModule, _ attempts: [OpenAttempt]
  ) throws(SymbolError) -> ELFFile {
    var inMemory: ELFFile
    do throws(SymbolError) {
      inMemory = try ELFFile(
        MappedFile(module, among: modules, read: memory.reader()), of: module)
    } catch {
      // That it is no ELF file is worth knowing. Else this is the last way of several: what bars it is no
      // better to know.
      if case .notELF = error { throw error }
      throw .noWayToFile(name: module.name, attempts: attempts)
    }
    let buildID = inMemory.buildID
    var attempts = attempts
    for index in attempts.indices {
      guard let opened = files.openOther(attempts[index]) else { continue }
      let path = opened.path
      guard var file = try? ELFFile(opened.descriptor, path: path) else { continue }
      let found = file.buildID
      guard buildID.count > 1, found == buildID else {
        attempts[index].outcome = .otherBuild(expected: buildID, found: found)
        continue
      }
      file.substitute = FileSubstitute(
        kind: .sameBuild(path: path), isDeleted: module.base.isDeleted, attempts: attempts)
      return file
    }
    inMemory.substitute = FileSubstitute(
      kind: .memory, isDeleted: module.base.isDeleted, attempts: attempts)
    return inMemory
  }
}
