// What the files of a process show: where glibc is, and whose malloc the program uses.

package import HeapModel

/// The candidates for glibc's malloc in a process.
package struct LoadedImages: Sendable {
  /// Those that could be read, likely ones first.
  package var images: [LoadedImage]
  /// The module that each of them is.
  package var modules: [LoadedModule]
  /// Why others could not.
  package var failures: [SymbolError]
  /// What was read instead of files to which no way led, by the module's name.
  package var substitutes: [String: FileSubstitute] = [:]
}

/// The loaded files of one target process, as of one look at its maps.
package struct TargetObjects: Sendable {
  /// Opens them.
  package let files: TargetFiles
  /// All of them, ascending by address.
  package let modules: [LoadedModule]
  /// The program itself, nil if none is mapped.
  package let executable: LoadedModule?
  /// Where they are read if no way leads to a file.
  let memory: TargetMemory

  /// The loaded files of process `pid`, whose maps are `mappings`.
  ///
  /// Its memory is read by the id of a thread of it, `memoryID`, if not by its own.
  package init(
    pid: Int32, mappings: [MemoryMapping], procRoot: String = "/proc", memoryID: Int32? = nil
  ) {
    files = TargetFiles(pid: pid, procRoot: procRoot)
    memory = TargetMemory(id: memoryID ?? pid, procRoot: procRoot)
    modules = LoadedModule.modules(in: mappings)
    executable = Self.executable(among: modules, files)
  }

  /// Whether glibc's libc is among them.
  package var hasGlibc: Bool { modules.contains { LibraryName.isGlibc($0.fileName) } }

  /// The files that may hold glibc's malloc, likely ones first.
  ///
  /// These are the executable if it is static, every copy of libc, and glibc's malloc debugging library;
  /// in a process with none of them all files, since libc may have another name. `names` are exports
  /// whose addresses are wanted.
  package func loadedImages(exports names: [String] = []) -> LoadedImages {
    let copies = modules.filter { LibraryName.isGlibc($0.fileName) }
    let debugging = modules.filter { LibraryName.isGlibcDebug($0.fileName) }
    // Of several copies the one loaded first has the highest address, as the kernel places
    // mappings downwards; the others belong to namespaces of `dlmopen`.
    var candidates = copies.reversed() + debugging
    // A static program that loads a library has malloc twice.
    if let executable, candidates.isEmpty || isStatic(executable) {
      candidates.insert(executable, at: 0)
    }
    candidates += modules.filter(isEmulatedProgram)
    if copies.isEmpty {
      candidates += modules.filter { !$0.executableRanges.isEmpty && !candidates.contains($0) }
    }
    var result = LoadedImages(images: [], modules: [], failures: [])
    var known: [LoadedModule.FileIdentity: ELFImage] = [:]
    for module in candidates {
      do throws(SymbolError) {
        let image: ELFImage
        if let read = known[module.file] {
          image = read
        } else {
          let file = try open(module)
          image = try file.image(exports: names, wantsBanner: true)
          result.substitutes[module.name] = file.substitute
          // What memory holds is each copy's own.
          if !image.isFromMemory { known[module.file] = image }
        }
        guard let bias = module.loadBias(of: image) else {
          throw SymbolError.noLoadBias(path: module.name)
        }
        result.images.append(LoadedImage(image: image, loadBias: bias, path: module.name))
        result.modules.append(module)
      } catch {
        result.failures.append(error)
      }
    }
    return result
  }

  /// Whether `module` is a program that asks for no loader.
  private func isStatic(_ module: LoadedModule) -> Bool {
    guard let file = try? open(module) else { return false }
    return file.interpreter == nil
  }

  /// Whether `module` is a program for another machine that asks for no loader: an emulator maps it
  /// without anything that our processor may execute.
  private func isEmulatedProgram(_ module: LoadedModule) -> Bool {
    guard module.executableRanges.isEmpty, module.base.fileOffset == 0,
      module.mappings.contains(where: \.isWritable), let file = try? open(module)
    else { return false }
    return file.machine != ELFImage.Machine.native && file.isStaticProgram
  }

  private static func executable(
    among modules: [LoadedModule], _ files: TargetFiles
  ) -> LoadedModule? {
    guard let status = files.executable() else {
      // The kernel places the executable below everything that it maps later.
      return modules.first { !$0.executableRanges.isEmpty }
    }
    let sameInode = modules.filter { $0.base.inode == status.inode }
    return sameInode.first {
      $0.base.deviceMajor == status.deviceMajor && $0.base.deviceMinor == status.deviceMinor
    } ?? sameInode.first
  }
}

/// What the file name of a library tells.
enum LibraryName {
  /// Whether it is glibc's libc, under its name or, before 2.34, its versioned one.
  static func isGlibc(_ name: Substring) -> Bool {
    name == "libc.so.6" || name.hasPrefix("libc-2.") && name.hasSuffix(".so")
  }

  /// Whether it is the library that has had glibc's malloc checks since 2.34.
  static func isGlibcDebug(_ name: Substring) -> Bool {
    name.hasPrefix("libc_malloc_debug.so")
  }

  /// Whether it is a dynamic loader, whose own malloc serves only itself.
  static func isLoader(_ name: Substring) -> Bool {
    name.hasPrefix("ld-") && name.contains(".so") || name.hasPrefix("ld.so")
      || name.hasPrefix("ld64.so")
  }

  /// Whether it is musl's libc, which is its loader, too.
  static func isMusl(_ name: Substring) -> Bool {
    name.hasPrefix("ld-musl-") || name.hasPrefix("libc.musl-")
  }
}
