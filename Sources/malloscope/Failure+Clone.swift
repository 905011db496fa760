// What a run says that could not clone its target.

import LinuxTarget
import StopControl

extension Failure {
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
