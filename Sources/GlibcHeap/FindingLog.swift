// Findings as they come, of which only so many are kept.

import HeapModel

/// Collects findings; damage can make millions of them, so those beyond a limit are only counted.
struct FindingLog {
  private static let limit = 1000

  private(set) var findings: [Finding] = []
  private(set) var suppressed = 0
  /// Whether findings are dropped: they were told already.
  var isMuted = false

  mutating func add(
    _ kind: Finding.Kind, at address: UInt64?, bytes: UInt64 = 0,
    _ detail: @autoclosure () -> String
  ) {
    if isMuted { return }
    guard findings.count < Self.limit else {
      suppressed += 1
      return
    }
    findings.append(Finding(kind, at: address.map(RemoteAddress.init), bytes: bytes, detail()))
  }
}
