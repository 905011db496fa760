// Why a run ends without a result: one line of fact, hints that follow it, and an exit code.

import Glibc
import GlibcHeap
import HeapAnalysis
import LinuxTarget
import RemoteMemory
import StopControl
import Symbols

/// What a run that fails tells the user.
struct Failure: Error {
  /// The exit codes of the command line contract (sysexits.h where it has one).
  enum Code: Int32 {
    case found = 1
    case incomplete = 2
    case usage = 64
    case noInput = 66
    case unsupported = 69
    case internalError = 70
    case inputOutput = 74
    case notPermitted = 77
    case interrupted = 130
  }

  var code: Code
  /// What was attempted, on what, and what was observed.
  var fact: String
  /// What else is true, a line each.
  var circumstances: [String] = []
  /// At most three actions.
  var hints: [String] = []
  /// Whether another try a moment later may succeed: the process was starting a program.
  var isTransient = false

  /// Writes it to standard error.
  func print() {
    StandardError.write("malloscope: \(fact)")
    for line in circumstances { StandardError.write("  \(line)") }
    for hint in hints.prefix(3) { StandardError.write("  hint: \(hint)") }
  }
}

extension Failure {
  /// The user sent SIGINT, SIGTERM or SIGHUP.
  static let interrupted = Failure(
    code: .interrupted, fact: "interrupted; the target runs on")

  init(_ error: TargetError) {
    fact = error.fact
    hints = error.hints
    switch error {
    case .noSuchProcess, .ended, .zombie: code = .noInput
    case .hidden: code = .notPermitted
    case .kernelThread, .thirtyTwoBit, .ourselves, .procNotMounted, .procOfAnotherNamespace:
      code = .unsupported
    case .unreadable(_, let number):
      switch number {
      case EACCES, EPERM: code = .notPermitted
      case ENOENT, ESRCH: code = .noInput
      default: code = .inputOutput
      }
    case .malformed, .tooLarge, .tooManyPages: code = .unsupported
    }
  }

  /// Looking at `process` failed: what a refusal is due to is told if it can be found out.
  init(_ error: TargetError, of process: LinuxProcess) {
    self.init(error)
    // A file of its user's may be closed to us although we may attach.
    if case .unreadable(_, let number) = error, code == .notPermitted,
      !AccessProbe(process.memoryID).isReadable
    {
      explain(process.pid, errno: number)
    }
  }

  /// Replaces fact and hints by the reason for a refusal with `errno`, if one is found.
  private mutating func explain(_ pid: Int32, errno: Int32) {
    guard let diagnosis = try? AttachDiagnosis.explain(pid, errno: errno) else { return }
    if case .unexplained = diagnosis.cause { return }
    fact = diagnosis.fact
    hints = diagnosis.hints
  }

  init(_ fault: ReadFault, pid: Int32) {
    switch fault {
    case .interrupted:
      self = .interrupted
    case .targetGone:
      self.init(code: .noInput, fact: "process \(pid) ended while its memory was being read")
    case .refused(let number):
      self.init(
        code: .notPermitted,
        fact: "reading the memory of process \(pid) was refused (errno \(number))")
      explain(pid, errno: number)
    case .unmapped(let address):
      self.init(
        code: .unsupported,
        fact: "cannot read the memory of process \(pid) at \(address): it is not mapped")
    }
  }
}

/// Lines for the user beside the data.
enum StandardError {
  /// Writes one line; that nobody reads it is no error.
  static func write(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) }
  }
}

extension Failure {
  init(_ error: SymbolError, pid: Int32) {
    self.init(
      code: .notPermitted, fact: "\(error)",
      hints: [
        "the files of process \(pid) are opened through /proc/\(pid)/map_files and "
          + "/proc/\(pid)/root, which needs the same permission as attaching"
      ])
    if case .noWayToFile = error { return }
    code = .unsupported
    hints = []
  }

  /// The process could not be stopped.
  init(_ error: StopError, process: LinuxProcess) {
    switch error {
    case .processEnded(let pid):
      self.init(code: .noInput, fact: "process \(pid) ended while it was being stopped")
    case .attachRefused(_, _, let number):
      self.init(
        code: .notPermitted,
        fact: "attaching to process \(process.pid) was refused (errno \(number))")
      guard let diagnosis = try? AttachDiagnosis.explain(process.pid, errno: number) else { return }
      if case .unexplained = diagnosis.cause {} else { fact = diagnosis.fact }
      // Reading asks the kernel what attaching asks it, but for tracers, filters and other modules.
      hints = diagnosis.hints(isReadable: AccessProbe(process.memoryID).isReadable)
      // Another malloscope is gone in a moment.
      switch diagnosis.cause {
      case .traced, .unexplained: isTransient = true
      default: break
      }
    case .threadsUnreadable(let path, let number):
      self.init(
        code: .inputOutput, fact: "cannot list the threads in \(path) (errno \(number))")
    case .interrupted:
      self = .interrupted
    }
  }

  /// The user's choice of types could not be read.
  init(_ error: TypePatternError) {
    let fact =
      switch error {
      case .notAnExpression(let text, let what, let character):
        "'\(text)' is no regular expression: \(what)"
          + (character.map { " (character \($0))" } ?? "")
      case .tooLong(let characters): "the pattern has \(characters) characters, more than 4096"
      case .tooManyBrackets(let count): "the pattern has \(count) brackets, more than 64"
      case .sizeTooLarge(let text): "'\(text)' is more than 64 bits can hold"
      case .emptyRange(let text): "no size lies in '\(text)'"
      }
    self.init(
      code: .usage, fact: fact,
      hints: ["a pattern is an expression, with sizes behind it: 'std::.*[2k+]', '[1k-8k]'"])
  }

  /// The user's choice of chunks could not be read.
  init(_ error: ChunkFilterError) {
    let fact =
      switch error {
      case .notASize(let text): "'\(text)' is no size"
      case .sizeTooLarge(let text): "'\(text)' is more than 64 bits can hold"
      case .emptyRange(let text): "no size lies in '\(text)'"
      case .notAState(let text): "'\(text)' is no state"
      case .notAnArena(let text): "'\(text)' is no arena"
      case .notAnAddress(let text): "'\(text)' is no address"
      }
    let hint =
      switch error {
      case .notASize, .sizeTooLarge, .emptyRange: "sizes: 64, 48..96, >1k, ..4k, in bytes"
      case .notAState: "states: in_use, tcache, fastbin, binned, top, internal, free, cached"
      case .notAnArena: "arenas: an index such as 0, or mmap"
      case .notAnAddress: "addresses: hexadecimal, such as 0x7f2c4c000b20"
      }
    self.init(code: .usage, fact: fact, hints: [hint])
  }
}
