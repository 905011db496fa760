// Comparison with recorded outputs, which are re-recorded on request.

import Foundation
import Testing

/// Compares `text` with `Golden/NAME.txt` beside this file.
///
/// With MALLOSCOPE_RECORD_GOLDEN=1 it writes the file instead and fails, so that no run that recorded
/// can pass for one that checked.
func expectGolden(
  _ text: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let file = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(components: "Golden", "\(name).txt")
  guard ProcessInfo.processInfo.environment["MALLOSCOPE_RECORD_GOLDEN"] != "1" else {
    try Data(text.utf8).write(to: file)
    Issue.record("recorded \(name).txt", sourceLocation: sourceLocation)
    return
  }
  let recorded = try String(contentsOf: file, encoding: .utf8)
  #expect(text == recorded, "differs from \(name).txt", sourceLocation: sourceLocation)
}
