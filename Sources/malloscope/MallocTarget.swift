// Which malloc a process uses, and whether it is one that can be walked.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Symbols

/// The copies of malloc in a process that are to be walked.
struct MallocTarget {
  /// Those that hold memory; if none does, the first.
  ///
  /// There is at least one.
  var instances: [MallocInstance]
  /// What has to be said about them.
  var findings: [Finding] = []
  /// What symbols say of them.
  let witnesses: MallocWitnesses
  /// What was read instead of files to which no way led, by the file's name.
  let substitutes: [String: FileSubstitute]
  /// The mappings that hold their main arenas.
  private var mappings: [MemoryMapping?]

  /// The one that the program itself uses.
  var first: MallocInstance { instances[0] }

  /// Whether they are still where they were; they are not if the process has executed another program.
  func isMapped(in mappings: [MemoryMapping]) -> Bool {
    zip(instances, self.mappings).allSatisfy { instance, mapping in
      guard let mapping else { return true }
      let now = mappings.first { $0.range.contains(instance.mainArena) }
      return now?.inode == mapping.inode && now?.fileOffset == mapping.fileOffset
    }
  }

  /// Finds them in the files that `mappings` name.
  ///
  /// - Throws: a failure that names the allocator if it is another one, or what could not be read.
  init(
    _ process: LinuxProcess, mappings: [MemoryMapping], reader: LiveMemoryReader,
    _ request: CaptureRequest
  ) throws(Failure) {
    let objects = TargetObjects(
      pid: process.pid, mappings: mappings, memoryID: process.memoryID)
    let allocator = objects.allocator { address in (try? reader.word(at: address)) ?? nil }
    guard allocator.identity.mayUseGlibcHeap || objects.hasGlibc else {
      throw Failure(
        allocator, process: process, memory: try? process.memory(), mappings: mappings, share: nil)
    }
    let loaded = objects.loadedImages(exports: MallocInstance.exportsOfInterest)
    let search = DebugFileSearch(
      pid: process.pid, objects: objects, directory: request.debugDirectory)
    let all: [MallocInstance]
    do throws(Failure) {
      all = try Self.instances(
        loaded, LiveMemory(reader, mappings: mappings), process, search)
    } catch {
      guard allocator.identity.mayUseGlibcHeap else {
        throw Failure(
          allocator, process: process, memory: try? process.memory(), mappings: mappings, share: nil
        )
      }
      throw error
    }
    instances = []
    do throws(ReadFault) {
      for instance in all where try HeapWalk.hasMemory(instance, reader: reader) {
        instances.append(instance)
      }
    } catch {
      throw Failure(error, pid: process.pid)
    }
    if instances.isEmpty { instances = [all[0]] }
    if let finding = try Self.finding(allocator, instances, process, mappings) {
      findings.append(finding)
    }
    self.mappings = instances.map { instance in
      mappings.first { $0.range.contains(instance.mainArena) }
    }
    witnesses = try MallocWitnesses(of: instances, loaded, search, request, process)
    let paths = Set(instances.map(\.path))
    substitutes = loaded.substitutes.filter { paths.contains($0.key) }
    findings += witnesses.findings
  }

  /// What is to be said of another malloc in the process.
  ///
  /// - Throws: a failure that names it if it is the program's and glibc's holds too little to be shown.
  private static func finding(
    _ allocator: AllocatorReport, _ instances: [MallocInstance], _ process: LinuxProcess,
    _ mappings: [MemoryMapping]
  ) throws(Failure) -> Finding? {
    if allocator.others.isEmpty {
      switch allocator.identity {
      case .glibc, .glibcDebug, .staticGlibc: return nil
      default: break
      }
    }
    let memory = try? process.memory()
    let isOurs = allocator.identity.mayUseGlibcHeap
    let share = try GlibcShare(of: instances, in: process, mappings, countsInUse: !isOurs)
    guard isOurs || share.isWorthShowing(beside: memory?.anonymousBytes ?? 0) else {
      throw Failure(
        allocator, process: process, memory: memory, mappings: mappings, share: share)
    }
    return allocator.finding(share, anonymousBytes: memory?.anonymousBytes)
  }

  /// The copies of malloc in the files of a process; there is at least one.
  private static func instances(
    _ loaded: LoadedImages, _ memory: LiveMemory, _ process: LinuxProcess,
    _ search: DebugFileSearch
  ) throws(Failure) -> [MallocInstance] {
    do throws(HeapError) {
      return try MallocInstance.find(in: loaded.images, memory: memory) { image in
        search.symbols(of: image, wantsTypes: true).symbols
      }
    } catch {
      if let failure = loaded.failures.first, loaded.images.isEmpty {
        throw Failure(failure, pid: process.pid)
      }
      let failure = Failure(error, pid: process.pid)
      guard let lost = loaded.lostLibrary else { throw failure }
      throw Failure(lostFile: lost.path, lost.substitute, failure)
    }
  }
}

extension LoadedImages {
  /// The library that was read from memory since its file is gone, nil if there is none; of several, the
  /// C library.
  fileprivate var lostLibrary: (path: String, substitute: FileSubstitute)? {
    let lost = images.filter { $0.image.isFromMemory }
    guard let first = lost.first(where: { $0.image.glibcBanner != nil }) ?? lost.first else {
      return nil
    }
    return substitutes[first.path].map { (first.path, $0) }
  }
}
