// What a run says that could not clone its target.

import LinuxTarget
import StopControl

extension Failure {
  /// The clone of `process` ended before it was read.
  static func cloneEnded(of process: LinuxProcess) -> Failure {
    Failure(
      code: .unsupported,
      fact: "the clone of process \(process.pid) was ended while it was being read; the process "
        + "itself runs on",
      hints: [
        "the kernel ends clones first when memory runs out: see the limits of its cgroup",
        "--capture slices needs no clone",
      ])
  }

  /// The process could not be cloned, or not be rid of its clone.
  init(_ error: CloneError, process: LinuxProcess) {
    self.init(code: .unsupported, fact: error.fact, hints: error.hints)
    switch error {
    case .notStopped(let error): self.init(error, process: process)
    case .anotherProcess: code = .noInput
    case .keeperNotStarted: code = .inputOutput
    case .keeperEnded, .keeperUnintelligible, .notReaped: code = .internalError
    case .unknownProcessor, .threadNotStopped, .threadsKeepAppearing, .stoppedByJobControl,
      .filtered, .noThread, .disturbed, .refused,
      .tooLittleMemory, .tooManyTasks:
      break
    }
  }
}
