// The glibcs that Tests/fetch-glibc fetches, with the debug files of their packages.

import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import Testing

@testable import Symbols

/// One of Debian's glibcs, as files.
struct FetchedLibrary: Hashable, Sendable, CustomTestStringConvertible {
  var version: String
  var architecture: String

  var testDescription: String { "\(version) \(architecture)" }

  /// All that the script fetches.
  static let all = ["2.31", "2.36", "2.41", "2.43", "2.44"].flatMap { version in
    ["amd64", "arm64"].map { FetchedLibrary(version: version, architecture: $0) }
  }

  /// Those that are there.
  static let present = all.filter { access($0.path, R_OK) == 0 }

  /// Whether a run without some of them is a failed one.
  static let areRequired = getenv("CI").map { String(cString: $0) } == "true"

  private var directory: String {
    let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    return "/\(tests)/../.build/glibc/\(version)-\(architecture)"
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
