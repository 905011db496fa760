// What symbols say of the mallocs of a process: the second witness to how they are laid out.

import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import Symbols
import Synchronization

/// The symbols of the copies of malloc in a process, compared with how these are to be walked.
struct MallocWitnesses {
  /// One copy.
  fileprivate struct Witness {
    var instance: MallocInstance
    var lookup: DebugLookup
    var buildID: [UInt8]
    var substitute: FileSubstitute?
    var comparison: LayoutComparison
  }

  private var witnesses: [Witness] = []

  /// What was found by build id: a watch looks at the same process again and again.
  private static let known = Mutex<[[UInt8]: DebugLookup]>([:])

  /// What does not agree.
  var findings: [Finding] { witnesses.flatMap(\.comparison.findings) }

  /// Looks for the symbols of `instances`, which are in images of `loaded`.
  ///
  /// It takes some path lookups if there are none; `CaptureRequest.wantsTypes` says what more it takes.
  ///
  /// - Throws: a failure if debug information has a layout that is not known, or if the directory that
  ///   was asked for is none.
  init(
    of instances: [MallocInstance], _ files: LoadedImages, _ search: DebugFileSearch,
    _ request: CaptureRequest, _ process: LinuxProcess
  ) throws(Failure) {
    if let directory = request.debugDirectory { try Self.check(directory) }
    for instance in instances {
      guard
        let loaded = files.images.first(where: {
          $0.path == instance.path && $0.range == instance.imageRange
        })
      else { continue }
      let buildID = loaded.image.buildID
      let lookup = Self.lookUp(loaded, search, request)
      do throws(HeapError) {
        witnesses.append(
          Witness(
            instance: instance, lookup: lookup, buildID: buildID,
            substitute: files.substitutes[instance.path],
            comparison: try instance.compared(with: lookup.symbols, of: loaded)))
      } catch {
        throw Failure(error, pid: process.pid)
      }
    }
  }

  /// What was decided about all of them, by what, and what symbols say otherwise of what memory told.
  func compared(with snapshot: HeapSnapshot) -> LayoutComparison {
    var result = LayoutComparison()
    for witness in witnesses {
      result.evidence += witness.comparison.evidence
      let malloc = snapshot.mallocs.first { $0.mainArena == witness.instance.mainArena }
      if let malloc {
        let seen = witness.instance.compared(malloc.readings, with: witness.lookup.symbols)
        result.evidence += seen.evidence
        result.findings += seen.findings
      }
      result.evidence += witness.files
    }
    return result
  }

  private static func lookUp(
    _ loaded: LoadedImage, _ search: DebugFileSearch, _ request: CaptureRequest
  ) -> DebugLookup {
    let buildID = loaded.image.buildID
    if !buildID.isEmpty, let lookup = known.withLock({ $0[buildID] }) { return lookup }
    let lookup = search.symbols(of: loaded, wantsTypes: request.wantsTypes)
    if !buildID.isEmpty { known.withLock { $0[buildID] = lookup } }
    if let directory = request.debugDirectory, !request.isQuiet, lookup.symbols == nil {
      StandardError.write(
        "note: no debug file of \(loaded.path) (build id \(BuildID.text(buildID))) was found in "
          + "\(directory) or the usual places")
    }
    return lookup
  }

  private static func check(_ directory: String) throws(Failure) {
    var status = stat()
    guard unsafe stat(directory, &status) == 0 else {
      throw Failure(
        code: errno == EACCES ? .notPermitted : .noInput,
        fact: "cannot look for debug files in \(directory) (errno \(errno))")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw Failure(
        code: .noInput, fact: "cannot look for debug files in \(directory): it is no directory")
    }
  }
}

extension MallocWitnesses.Witness {
  /// Which files with symbols there are, and why others do not count.
  fileprivate var files: [LayoutEvidence] {
    let identity = buildID.isEmpty ? "no build id" : "build id \(BuildID.text(buildID))"
    var files: [LayoutEvidence] = []
    if let substitute {
      files.append(
        LayoutEvidence(
          file: instance.path, what: "file", value: substitute.text, decidedBy: substitute.reason))
    }
    files.append(
      LayoutEvidence(
        file: instance.path, what: "debug file", value: lookup.symbols?.path ?? "none",
        decidedBy: identity))
    for rejected in lookup.rejected {
      files.append(
        LayoutEvidence(
          file: instance.path, what: "debug file", value: "ignored", decidedBy: "\(rejected)"))
    }
    return files
  }
}
