// Where `malloc` leads: what the loader has written for those who call it.

import HeapModel

/// Where one loaded file's calls of malloc lead.
package struct MallocBinding: Hashable, Sendable {
  /// The file that calls it.
  package var user: String
  /// The file that it leads to, nil if the loader has not looked it up yet: it does so at the first call.
  package var definer: String?
}

extension TargetObjects {
  /// How many files beside the executable and libc are looked at.
  private static var otherUsers: Int { 6 }

  /// Where calls of malloc lead from the executable, from libc and from a few other files; `read` reads a
  /// word of the process.
  func bindings(read: (RemoteAddress) -> UInt64?) -> [MallocBinding] {
    var bindings: [MallocBinding] = []
    var others = 0
    for module in users() where others < Self.otherUsers {
      guard let (bias, places) = try? slots(of: module), !places.isEmpty else { continue }
      if module != executable, !LibraryName.isGlibc(module.fileName) { others += 1 }
      var definer: String?
      for place in places where definer == nil {
        guard let target = read(RemoteAddress(place &+ bias)) else { continue }
        // One that leads back into the file leads to the part that looks the function up.
        let found = modules.first { other in
          other != module && other.executableRanges.contains { $0.contains(RemoteAddress(target)) }
        }
        definer = found?.name
      }
      bindings.append(MallocBinding(user: module.name, definer: definer))
    }
    return bindings
  }

  /// Files that may call malloc, in the order in which they are asked.
  private func users() -> [LoadedModule] {
    let libraries = modules.filter { module in
      !module.executableRanges.isEmpty && module != executable
        && !LibraryName.isLoader(module.fileName)
    }
    return [executable].compactMap(\.self) + libraries.filter { LibraryName.isGlibc($0.fileName) }
      + libraries.filter { !LibraryName.isGlibc($0.fileName) }
  }

  private func slots(
    of module: LoadedModule
  ) throws(SymbolError) -> (bias: UInt64, places: [UInt64]) {
    let file = try open(module)
    // What defines it calls itself.
    if !LibraryName.isGlibc(module.fileName), try !file.definitions(of: ["malloc"]).isEmpty {
      return (0, [])
    }
    return (try file.loadBias(of: module), try file.slots(of: "malloc"))
  }
}

extension AllocatorReport {
  /// The file that malloc leads to: from the executable, else from the first that has looked it up.
  package var resolved: String? { bindings.lazy.compactMap(\.definer).first }
}
