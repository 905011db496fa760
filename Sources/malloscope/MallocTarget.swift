// Which malloc a process uses, and whether it is one that can be walked.

import GlibcHeap
import HeapModel
import LinuxTarget
import Symbols

/// The malloc of a process that is to be walked.
struct MallocTarget {
  /// glibc's malloc in the process.
  var instance: MallocInstance
  /// What has to be said about it.
  var findings: [Finding] = []

  /// Finds it in the files that `mappings` name.
  ///
  /// - Throws: a failure that names the allocator if it is another one, or what could not be read.
  init(_ process: LinuxProcess, mappings: [MemoryMapping]) throws(Failure) {
    let objects = TargetObjects(pid: process.pid, mappings: mappings)
    let allocator = objects.allocator()
    guard allocator.identity.mayUseGlibcHeap else {
      throw Failure(allocator, process: process)
    }
    let loaded = objects.loadedImages()
    do throws(HeapError) {
      let instances = try MallocInstance.find(in: loaded.images)
      instance = instances[0]
      if instances.count > 1 {
        findings.append(
          Finding(
            .allocator, at: instances[1].mainArena,
            "\(instances.count) copies of glibc's malloc are in the process; only that of "
              + "\(instance.path) was walked"))
      }
    } catch {
      if let failure = loaded.failures.first, loaded.images.isEmpty {
        throw Failure(failure, pid: process.pid)
      }
      throw Failure(error, pid: process.pid)
    }
    if case .glibc = allocator.identity { return }
    findings.append(
      Finding(
        .allocator, at: nil,
        "malloc is provided by \(allocator.identity.name); what it does not pass on to glibc is "
          + "not seen"))
  }
}
