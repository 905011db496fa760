// Which malloc a process uses, and whether it is one that can be walked.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Symbols

/// The malloc of a process that is to be walked.
struct MallocTarget {
  /// glibc's malloc in the process.
  var instance: MallocInstance
  /// What has to be said about it.
  var findings: [Finding] = []
  /// The mapping that holds its main arena.
  private let mapping: MemoryMapping?

  /// Whether it is still where it was; it is not if the process has executed another program.
  func isMapped(in mappings: [MemoryMapping]) -> Bool {
    guard let mapping else { return true }
    let now = mappings.first { $0.range.contains(instance.mainArena) }
    return now?.inode == mapping.inode && now?.fileOffset == mapping.fileOffset
  }

  /// Finds it in the files that `mappings` name; of several copies, the first that holds memory.
  ///
  /// - Throws: a failure that names the allocator if it is another one, or what could not be read.
  init(
    _ process: LinuxProcess, mappings: [MemoryMapping], reader: LiveMemoryReader
  ) throws(Failure) {
    let objects = TargetObjects(pid: process.pid, mappings: mappings)
    let allocator = objects.allocator()
    guard allocator.identity.mayUseGlibcHeap else {
      throw Failure(allocator, process: process)
    }
    let instances = try Self.instances(
      objects.loadedImages(exports: MallocInstance.exportsOfInterest), process)
    do throws(ReadFault) {
      var used: [MallocInstance] = []
      for instance in instances where try HeapWalk.hasMemory(instance, reader: reader) {
        used.append(instance)
      }
      let instance = used.first ?? instances[0]
      self.instance = instance
      mapping = mappings.first { $0.range.contains(instance.mainArena) }
      if used.count > 1 {
        findings.append(
          Finding(
            .allocator, at: used[1].mainArena,
            "\(used.count) copies of glibc's malloc hold memory; only that of "
              + "\(instance.path) was walked"))
      }
    } catch {
      throw Failure(error, pid: process.pid)
    }
    switch allocator.identity {
    case .glibc, .glibcDebug, .staticGlibc: return
    default: break
    }
    findings.append(
      Finding(
        .allocator, at: nil,
        "malloc is provided by \(allocator.identity.path ?? "an unknown file"); what it does not pass on "
          + "to glibc is not seen"))
  }

  /// The copies of malloc in the files of a process; there is at least one.
  private static func instances(
    _ loaded: LoadedImages, _ process: LinuxProcess
  ) throws(Failure) -> [MallocInstance] {
    do throws(HeapError) {
      return try MallocInstance.find(in: loaded.images)
    } catch {
      if let failure = loaded.failures.first, loaded.images.isEmpty {
        throw Failure(failure, pid: process.pid)
      }
      throw Failure(error, pid: process.pid)
    }
  }
}
