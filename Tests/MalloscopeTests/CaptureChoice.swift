// The ways in which the tool can treat its target, for tests that hold for all or some of them.

import TestKit
import Testing

/// A value of `--capture`.
enum CaptureChoice: String, CaseIterable, CustomTestStringConvertible {
  case auto
  case stop
  case slices
  case fork
  case live

  /// The tool's options for it; slices as short as they can be told apart.
  var options: [String] {
    self == .slices
      ? ["--capture", "slices", "--max-pause", "1"] : ["--capture", rawValue]
  }

  /// Whether the target is stopped.
  var stops: Bool { self != .live }

  var testDescription: String { rawValue }

  /// Those that stop the target.
  static let stopping = allCases.filter(\.stops)
}

/// Runs a verb with `--json` on a process, treated as chosen; the run must end with `code`.
func reportedHeap(
  _ pid: Int32, _ choice: CaptureChoice, _ options: [String] = [], code: Int32 = 0
) throws -> HeapDocument {
  let run = try ToolRun(["\(pid)", "--json"] + choice.options + options)
  #expect(run.ending == .exit(code), "\(choice): \(run.error)")
  return try HeapDocument(run.output)
}
