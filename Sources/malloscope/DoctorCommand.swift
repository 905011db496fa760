// The verb `doctor`: whether a process's heap can be read, and how its layout is known.

import ArgumentParser
import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Reports
import Symbols

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Whether a process's heap can be read, and what decides how; nothing is stopped.",
    discussion: """
      Says which malloc the process uses, which evidence decides how it is laid out, and what symbols \
      say of it. If a glibc has a layout that is not known, nothing of it is walked; the lines to report \
      then say what was found and what did not fit. Attaching is not tried. The exit code is that with \
      which the other verbs would end, as far as can be told without attaching.
      """)

  @OptionGroup var source: SourceOptions

  @Option(
    help: ArgumentHelp(
      "A directory with debug files, as for the other verbs.", valueName: "dir"))
  var debuginfo: String?

  func run() throws {
    let process = try source.process()
    var diagnosis = Diagnosis()
    diagnosis.add(
      .passed, "process",
      "\(process.pid) \(process.command)"
        + (process.executable.isEmpty ? "" : " (\(process.executable))"))
    let failure = examine(process, &diagnosis)
    if let failure { add(failure, to: &diagnosis) }
    var output = try Output(path: nil, force: false)
    try TextDiagnosis.write(
      diagnosis,
      options: ReportOptions(
        style: TextStyle(usesColor: Environment.wantsColor, usesUnicode: Environment.usesUTF8),
        columns: Environment.columns), to: &output)
    try output.close()
    if let failure { throw ExitCode(failure.code.rawValue) }
  }

  /// Checks one thing after the other and returns why it went no further, nil if all is well.
  private func examine(_ process: LinuxProcess, _ diagnosis: inout Diagnosis) -> Failure? {
    do throws(Failure) {
      let mappings = try targetFailure(process) { () throws(TargetError) in
        try process.mappings()
      }
      let objects = TargetObjects(pid: process.pid, mappings: mappings)
      let reader = LiveMemoryReader(process)
      let allocator = objects.allocator { address in (try? reader.word(at: address)) ?? nil }
      let isOurs = allocator.identity.mayUseGlibcHeap
      let malloc =
        (isOurs ? "may be glibc's: " : "not glibc's: ")
        + "\(allocator.identity.name), \(allocator.identity.path ?? "no file known")"
      var request = CaptureRequest()
      request.debugDirectory = debuginfo
      request.wantsTypes = true
      do throws(Failure) {
        let target = try MallocTarget(process, mappings: mappings, reader: reader, request)
        // Beside another one, glibc's may hold enough to be shown.
        diagnosis.add(isOurs ? .passed : .noted, "malloc", malloc)
        add(target, to: &diagnosis)
        return nil
      } catch {
        diagnosis.add(isOurs ? .passed : .failed, "malloc", malloc)
        if isOurs, error.code == .unsupported {
          diagnosis.toReport = Self.linesToReport(error, objects)
        }
        throw error
      }
    } catch {
      return error
    }
  }

  private func add(_ target: MallocTarget, to diagnosis: inout Diagnosis) {
    for instance in target.instances {
      diagnosis.add(
        .passed, "layout",
        "\(instance.path): glibc \(instance.glibcVersion ?? "of unknown version"), main_arena at "
          + "\(instance.mainArena), arena layout \(instance.arenaLayout.name)")
    }
    for finding in target.findings {
      diagnosis.add(.noted, finding.kind.rawValue, finding.detail)
    }
    // What only memory tells is left to a walk.
    diagnosis.evidence = target.witnesses.compared(with: HeapSnapshot()).evidence
    let disagreements = target.findings.filter { $0.kind == .layoutDisagreement }
    if !disagreements.isEmpty {
      diagnosis.toReport =
        [Version.text] + disagreements.map(\.detail)
        + diagnosis.evidence.map { "\($0.file): \($0.what) \($0.value), by \($0.decidedBy)" }
    }
  }

  private func add(_ failure: Failure, to diagnosis: inout Diagnosis) {
    diagnosis.add(.failed, "heap", failure.fact)
    for line in failure.circumstances { diagnosis.add(.noted, "also", line) }
    for hint in failure.hints { diagnosis.add(.noted, "hint", hint) }
  }

  /// What is to be told of a malloc that is not known: what was found, and which files it was found in.
  private static func linesToReport(_ failure: Failure, _ objects: TargetObjects) -> [String] {
    let files = objects.loadedImages().images.filter { $0.image.glibcBanner != nil }
    return [Version.text, failure.fact]
      + files.map { loaded in
        let identity =
          loaded.image.buildID.isEmpty
          ? "no build id" : "build id \(BuildID.text(loaded.image.buildID))"
        return "\(loaded.path): glibc \(loaded.image.glibcBanner ?? "?"), "
          + "\(loaded.image.machine.rawValue), \(identity)"
      }
  }
}
