// What can go wrong around a test: never the thing under test itself.

/// How a process ended.
package enum Ending: Hashable, Sendable {
  /// It exited with this code.
  case exit(Int32)
  /// This signal killed it.
  case signal(Int32)

  /// Reads a status as waitpid gives it.
  init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self = signal == 0 ? .exit(waitStatus >> 8 & 0xff) : .signal(signal)
  }
}

/// Why a test could not be set up or watched.
package enum TestKitError: Error, Equatable, Sendable {
  /// A system call failed.
  case system(call: String, subject: String, errno: Int32)
  /// A program that the test needs is in none of the places looked at.
  case notFound(program: String, searched: [String])
  /// Something did not happen in time.
  case deadline(program: String, waitingFor: String, seen: String)
  /// A program ended although more was expected of it.
  case ended(program: String, Ending, waitingFor: String, standardError: String)
  /// A program wrote something that cannot be understood.
  case malformed(what: String, text: String)
  /// A compiler refused a source.
  case compilation(source: String, output: String)
  /// A text differs from its golden file.
  case golden(file: String, difference: String)
  /// A golden file was recorded anew, which never counts as passing.
  case recorded(file: String)
}

extension TestKitError: CustomStringConvertible {
  /// One paragraph that a failing test shows.
  package var description: String {
    switch self {
    case .system(let call, let subject, let errno):
      "\(call) failed on \(subject): errno \(errno)"
    case .notFound(let program, let searched):
      "\(program) was not found in \(searched.joined(separator: ", "))"
    case .deadline(let program, let waitingFor, let seen):
      "\(program) did not get to \(waitingFor) in time; it wrote: \(seen)"
    case .ended(let program, let ending, let waitingFor, let standardError):
      "\(program) ended (\(ending)) before \(waitingFor); its standard error: \(standardError)"
    case .malformed(let what, let text):
      "cannot understand \(what): \(text)"
    case .compilation(let source, let output):
      "the compiler refused \(source):\n\(output)"
    case .golden(let file, let difference):
      "the text differs from \(file):\n\(difference)"
    case .recorded(let file):
      "recorded \(file); run again without MALLOSCOPE_RECORD_GOLDEN"
    }
  }
}

/// A moment by which something must have happened.
package struct Deadline: Sendable {
  private let end: ContinuousClock.Instant

  /// The moment `duration` from now.
  package init(in duration: Duration) {
    end = ContinuousClock.now + duration
  }

  /// Whether it has passed.
  package var hasPassed: Bool { ContinuousClock.now >= end }

  /// The time left in milliseconds, at least 0, rounded up.
  package var remainingMilliseconds: Int32 {
    let (seconds, attoseconds) = (end - ContinuousClock.now).components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
  }
}
