// The glibcs that Tests/fetch-glibc fetches, with the debug files of their packages.

import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

/// One of Debian's glibcs, as files.
struct FetchedLibrary: Hashable, Sendable, CustomTestStringConvertible {
  var version: String
  var architecture: String

  var testDescription: String { "\(version) \(architecture)" }

  /// All that the script fetches.
  static let all = DebianGlibc.allCases.flatMap { glibc in
    ["amd64", "arm64"].map { FetchedLibrary(version: glibc.version, architecture: $0) }
  }

  /// Those that are there.
  static let present = all.filter { access($0.path, R_OK) == 0 }

  private var directory: String {
    let ours = DebianGlibc.v236.directory
    let all = ours.prefix(upTo: ours.lastIndex(of: "/") ?? ours.endIndex)
    return "\(all)/\(version)-\(architecture)"
  }

  /// The library's path.
  var path: String { directory + "/lib/libc.so.6" }

  /// The directory of the debug files.
  var debugDirectory: String { directory + "/debug" }

  /// The library as a process might have it.
  func loaded() throws -> LoadedImage {
    let file = try ELFFile(try OwnedDescriptor(opening: path), path: path)
    return LoadedImage(
      image: try file.image(exports: MallocInstance.exportsOfInterest, wantsBanner: true),
      loadBias: 0x7f12_3450_0000, path: path)
  }
}

/// Looks for debug files in `directory` for a process that has nothing mapped.
func search(in directory: String?, pid: Int32 = getpid(), procRoot: String = "/proc")
  -> DebugFileSearch
{
  DebugFileSearch(
    pid: pid, objects: TargetObjects(pid: pid, mappings: [], procRoot: procRoot),
    directory: directory, procRoot: procRoot)
}
