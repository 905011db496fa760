// Answers what one process's symbols and debug information say, and reads them when they are asked for.

package import HeapModel
import LinuxTarget

/// The names and types of one target process.
///
/// Of each file, symbols are read when one of them is first asked for, and so are its types. All of it belongs
/// to one thread.
package final class ProcessSymbols {
  let objects: TargetObjects
  let files: DebugFiles
  private let mappings: [MemoryMapping]
  /// The files, in the order of `binaries`, which finds them: none until that is first asked for.
  private(set) var modules: [LoadedModule] = []
  private var places: [(range: AddressRange, module: Int)] = []
  /// What was read of files, by their numbers; nil for one that could not be.
  private var symbols: [Int: ModuleSymbols?] = [:]
  var types: [Int: TypeIndex?] = [:]
  /// What all of them may take.
  let allowance: ReadingAllowance
  /// What types are called.
  let scopes = TypeScopes()
  /// What is missing of the files that were asked, by their numbers.
  var missing: [Int: [String]] = [:]

  /// Makes what answers for process `pid`, whose maps are `mappings`.
  ///
  /// Its memory is read by the id of a thread of it, `memoryID`, if not by its own. Debug files are looked for
  /// in `directory` first, if there is one.
  package convenience init(
    pid: Int32, mappings: [MemoryMapping], memoryID: Int32? = nil, directory: String? = nil,
    procRoot: String = "/proc"
  ) {
    self.init(
      pid: pid, mappings: mappings, memoryID: memoryID, directory: directory, procRoot: procRoot,
      allowance: ReadingAllowance())
  }

  /// The same, with a bound for what all files' symbols and types may take.
  init(
    pid: Int32, mappings: [MemoryMapping], memoryID: Int32? = nil, directory: String? = nil,
    procRoot: String = "/proc", allowance: ReadingAllowance
  ) {
    self.mappings = mappings
    self.allowance = allowance
    objects = TargetObjects(pid: pid, mappings: mappings, procRoot: procRoot, memoryID: memoryID)
    files = DebugFiles(directory: directory, root: "\(procRoot)/\(pid)/root")
  }

  /// The files that the target has mapped as programs or libraries, ascending by address.
  package private(set) lazy var binaries: [MappedBinary] = {
    let found = objects.binaries(mappings)
    modules = found.map(\.module)
    for (number, binary) in found.enumerated() {
      places += binary.binary.parts.map { ($0.range, number) }
    }
    places.sort { $0.range.lowerBound < $1.range.lowerBound }
    return found.map(\.binary)
  }()

  /// The symbol whose bytes hold `address`; one without a size holds what follows it up to the next one.
  package func symbol(at address: RemoteAddress) -> NamedSymbol? {
    guard let number = module(at: address) else { return nil }
    return symbols(of: number)?.symbol(at: address, path: binaries[number].path)
  }

  /// Where what the linker calls `name` is, in the file at `binary` or in any.
  ///
  /// What files export comes first, in the order of their addresses.
  package func address(of name: String, in binary: String? = nil) -> RemoteAddress? {
    let numbers = binaries.indices.filter { binary == nil || binaries[$0].path == binary }
    for number in numbers {
      guard let file = try? objects.open(modules[number]),
        let value = try? file.definitions(of: [name])[name],
        let bias = try? file.loadBias(of: modules[number])
      else { continue }
      return RemoteAddress(value &+ bias)
    }
    for number in numbers {
      guard let module = symbols(of: number), let value = module.index.address(of: name) else {
        continue
      }
      return RemoteAddress(value &+ module.bias)
    }
    return nil
  }

  /// The source's name for the linker's name, or for the encoding of a type as C++ type information has it;
  /// nil if it is none that is known.
  package func demangled(_ name: String) -> String? { Demangling.name(name) }

  /// What is missing of the files of which something was asked, in the order of their addresses.
  package var gaps: [SymbolGap] {
    missing.sorted { $0.key < $1.key }.flatMap { number, reasons in
      reasons.map {
        SymbolGap(
          path: binaries[number].path, buildID: binaries[number].buildID, reason: $0)
      }
    }
  }

  private func module(at address: RemoteAddress) -> Int? {
    guard !binaries.isEmpty else { return nil }
    let next = places.partitionPoint(before: { $0.range.lowerBound <= address })
    guard next > 0, places[next - 1].range.contains(address) else { return nil }
    return places[next - 1].module
  }

  private func symbols(of number: Int) -> ModuleSymbols? {
    if let known = symbols[number] { return known }
    guard !allowance.isUsedUp else {
      symbols[number] = .some(nil)
      missing[number, default: []].append("no symbols: those of other files take too much memory")
      return nil
    }
    var found: ModuleSymbols?
    do throws(SymbolError) {
      let read = try ModuleSymbols(modules[number], objects, files, allowance)
      if let gap = read.gap { missing[number, default: []].append(gap) }
      found = read
    } catch {
      missing[number, default: []].append(error.description)
    }
    symbols[number] = .some(found)
    return found
  }
}
