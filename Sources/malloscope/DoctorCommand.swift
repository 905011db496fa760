// The verb `doctor`: whether a process can be attached to and its heap be read, and how its layout is known.

import ArgumentParser
import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Reports
import StopControl
import Symbols

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Whether a process can be attached to, and how its heap is read; nothing is stopped.",
    discussion: """
      Checks what attaching depends on, one condition after the other: tracers, user namespaces, \
      capabilities, users, Yama, security modules, system-call filters, a freezer; and which ways to the \
      process's memory and files are open. Says which malloc the process uses, which evidence decides how \
      it is laid out, and what symbols say of it. If a glibc has a layout that is not known, nothing of it \
      is walked; the lines to report then say what was found and what did not fit. Attaching is not tried. \
      Without a process, it says what this tool may do where it runs. The exit code is that with which the \
      other verbs would end, as far as can be told without attaching.
      """)

  @Argument(
    help: ArgumentHelp(
      "The process id, as seen in this PID namespace; without any source, only this tool is looked at.",
      valueName: "pid"))
  var target: String?

  @OptionGroup var named: NamedSourceOptions

  @Option(
    help: ArgumentHelp(
      "A directory with debug files, as for the other verbs.", valueName: "dir"))
  var debuginfo: String?

  private var hasSource: Bool { target != nil || named.isGiven }

  func validate() throws {
    if hasSource || named.pidInContainer != nil { _ = try named.source(target) }
  }

  func run() throws {
    var diagnosis = Diagnosis()
    let failure: Failure?
    if hasSource {
      let process = try named.source(target).process()
      diagnosis.add(
        .passed, "process",
        "\(process.pid) \(process.command)"
          + (process.executable.isEmpty ? "" : " (\(process.executable))")
          + Self.furtherIDs(process))
      failure = examine(process, &diagnosis)
    } else {
      failure = examineOurselves(&diagnosis)
    }
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

  /// What else the process is called: as a thread, and in PID namespaces further in.
  private static func furtherIDs(_ process: LinuxProcess) -> String {
    let thread =
      process.requestedID == process.pid ? "" : ", of which \(process.requestedID) is a thread"
    let inner = process.status.namespacedPIDs.dropFirst().map(String.init)
    guard let own = inner.last else { return thread }
    let between = inner.dropLast().map { $0 + ", then " }.joined()
    return thread + ", \(between)\(own) in its own PID namespace"
  }

  /// Checks what this tool may do at all, and of how many processes.
  private func examineOurselves(_ diagnosis: inout Diagnosis) -> Failure? {
    do throws(TargetError) {
      let facts = try AttachFacts.gather(getpid())
      diagnosis.add(.passed, "kernel", Environment.kernel)
      for check in facts.ownChecks { diagnosis.add(check) }
      let others = try LinuxProcess.all()
      let readable = others.count { AccessProbe($0.pid).isReadable }
      diagnosis.add(
        others.isEmpty || readable < others.count ? .noted : .passed, "processes",
        others.isEmpty
          ? "no other process can be seen in this PID namespace"
          : "the memory of \(readable) of the \(others.count) processes that can be seen can be read"
      )
      if let headroom = MemoryHeadroom.of(getpid()) {
        let bound =
          switch headroom.bound {
          case .machine: "the machine"
          case .cgroup(let path): "the control group \(path)"
          }
        diagnosis.add(
          .passed, "memory",
          "\(Figures.rounded(bytes: headroom.available)) can be had, bounded by \(bound)")
      }
      if let refusal = examineBudgets(&diagnosis) { return refusal }
      if let level = facts.yamaLevel, level >= 3 {
        let refusal = AttachDiagnosis(pid: 0, command: "", cause: .yama(level: level))
        return Failure(code: .notPermitted, fact: refusal.fact, hints: refusal.hints)
      }
      guard facts.filteredErrno != 0 else { return nil }
      let refusal = AttachDiagnosis(pid: 0, command: "", cause: .systemCallFilter)
      return Failure(
        code: .notPermitted,
        fact: "attaching is refused to this tool, and a system-call filter is active on it",
        hints: refusal.hints(isReadable: readable > 0))
    } catch {
      return Failure(error)
    }
  }

  /// Checks what this tool may use of the machine, and what it may cost a target by the environment.
  private func examineBudgets(_ diagnosis: inout Diagnosis) -> Failure? {
    if let quota = ProcessorQuota.of(getpid()) {
      let limit =
        "the control group \(quota.cgroup ?? "") allows \(Figures.duration(quota.time)) of a "
        + "processor in \(Figures.duration(quota.period))"
      let longest = ProcessorAllowance(quota)?.longestStop
      diagnosis.add(
        longest == nil ? .passed : .noted, "processor",
        limit + (longest.map { ", so that no stop is longer than \(Figures.duration($0))" } ?? ""))
    } else {
      diagnosis.add(.passed, "processor", "no control group limits how much of them it may use")
    }
    do throws(Failure) {
      for budget in Budget.allCases {
        guard try budget.value(nil) != nil, let text = Environment.value(budget.variable) else {
          continue
        }
        diagnosis.add(.passed, "budget", "\(budget.variable)=\(text) stands for \(budget.option)")
      }
      return nil
    } catch {
      return error
    }
  }

  /// Checks whether `process` can be attached to and read, then its malloc, and returns why it cannot be
  /// captured, nil if all is well.
  private func examine(_ process: LinuxProcess, _ diagnosis: inout Diagnosis) -> Failure? {
    let facts: AttachFacts
    do throws(TargetError) {
      facts = try AttachFacts.gather(process.pid)
    } catch {
      return Failure(error, of: process)
    }
    for check in facts.checks { diagnosis.add(check) }
    let probe = AccessProbe(process.memoryID)
    for check in probe.checks { diagnosis.add(check) }
    if let guest = GuestHost(process) { diagnosis.add(.noted, "sandbox", guest.observation) }
    var refusal: Failure?
    // Reading asks the kernel what attaching asks it, but for a tracer and for filters.
    if process.tracerPID != 0 || facts.filteredErrno != 0 || !probe.isReadable {
      let reason = AttachDiagnosis(facts, errno: probe.isReadable ? EPERM : probe.memoryFile)
      refusal = Failure(
        code: .notPermitted, fact: reason.fact, hints: reason.hints(isReadable: probe.isReadable))
    }
    guard probe.isReadable else { return refusal }
    return examineMalloc(of: process, &diagnosis) ?? refusal
  }

  /// Checks one thing after the other and returns why it went no further, nil if all is well.
  private func examineMalloc(
    of process: LinuxProcess, _ diagnosis: inout Diagnosis
  ) -> Failure? {
    do throws(Failure) {
      let mappings = try targetFailure(process) { () throws(TargetError) in
        try process.mappings()
      }
      let objects = TargetObjects(
        pid: process.pid, mappings: mappings, memoryID: process.memoryID)
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
    for (path, substitute) in target.substitutes.sorted(by: { $0.key < $1.key }) {
      diagnosis.add(.noted, "file", "\(path) \(substitute.text)")
      for attempt in substitute.attempts {
        diagnosis.add(.noted, "file", "\(attempt)")
      }
    }
    for finding in target.findings {
      diagnosis.add(.noted, finding.kind.rawValue, finding.detail)
    }
    // What only memory tells is left to a walk.
    diagnosis.evidence = target.witnesses.compared(with: HeapSnapshot()).evidence
    let disagreements = target.findings.filter { $0.kind == .layoutDisagreement }
    if !disagreements.isEmpty {
      diagnosis.toReport =
        [Version.line] + disagreements.map(\.detail)
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
    return [Version.line, failure.fact]
      + files.map { loaded in
        let identity =
          loaded.image.buildID.isEmpty
          ? "no build id" : "build id \(BuildID.text(loaded.image.buildID))"
        return "\(loaded.path): glibc \(loaded.image.glibcBanner ?? "?"), "
          + "\(loaded.image.machine.rawValue), \(identity)"
      }
  }
}

extension Diagnosis {
  /// Adds a condition of attaching.
  fileprivate mutating func add(_ check: AttachCheck) {
    let verdict: Verdict =
      switch check.verdict {
      case .met: .passed
      case .noted: .noted
      case .failed: .failed
      }
    add(verdict, check.topic, check.observation)
  }
}
