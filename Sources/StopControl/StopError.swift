// Why a process could not be stopped.

/// Why a stop did not come about; whatever had been stopped already was let go.
package enum StopError: Error, Equatable, Sendable {
  /// All its threads ended before they could be stopped.
  case processEnded(pid: Int32)
  /// The kernel refused to let us attach to one of its threads; `AttachDiagnosis` tells why.
  case attachRefused(pid: Int32, tid: Int32, errno: Int32)
  /// Its threads could not be listed.
  case threadsUnreadable(path: String, errno: Int32)
  /// The user interrupted us with this signal.
  case interrupted(signal: Int32)
}
