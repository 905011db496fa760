// Programs that are not ours and read what we write.

import Foundation
import TestKit
import Testing

/// A program in Python that prints what it read as JSON; Debian's packages have what they import.
enum OtherReader: String {
  case profile
  case exposition

  /// The package without which it cannot run.
  private var module: String { self == .profile ? "google.protobuf" : "prometheus_client" }

  /// Why it cannot run here, nil if it can, or must.
  var obstacle: Comment? {
    guard !mustRunEverything else { return nil }
    let run = try? ToolRun(executable: installedProgram("python3"), ["-c", "import \(module)"])
    return run?.exitCode == 0
      ? nil : "python3 has no \(module) (Tests/run installs the Debian package)"
  }

  /// What it reads in `bytes`.
  func read<Result: Decodable>(_ bytes: [UInt8], as type: Result.Type) throws -> Result {
    let directory = try TemporaryDirectory()
    let file = directory.file("input")
    try Data(bytes).write(to: URL(filePath: file))
    let run = try ToolRun(
      executable: installedProgram("python3"),
      [testsPath("ReportsTests/Decoders/\(rawValue).py"), file])
    #expect(run.exitCode == 0, "\(run.error)")
    return try JSONDecoder().decode(type, from: Data(run.output.utf8))
  }
}
