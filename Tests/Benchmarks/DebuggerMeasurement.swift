// What the usual tools cost the target, as its heartbeat sees it.

import TestKit

/// The heartbeat's longest gaps, in milliseconds; nil where a program is not installed.
struct DebuggerMeasurement {
  /// gdb attaches and detaches at once.
  let attaching: [Double]?
  /// gcore writes a core file.
  let dumping: [Double]?

  /// Runs them.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(of target: BenchmarkTarget, _ options: Options) throws {
    let pid = "\(target.program.pid)"
    attaching = try (try? installedProgram("gdb")).map { gdb in
      try (0..<options.gdbRuns).map { _ in
        try gap(of: target, gdb, ["-p", pid, "-batch", "-nx", "-ex", "detach"])
      }
    }
    dumping = try (try? installedProgram("gcore")).map { gcore in
      try (0..<options.gcoreRuns).map { _ in
        let directory = try TemporaryDirectory()
        return try gap(of: target, gcore, ["-o", directory.file("core"), pid])
      }
    }
  }
}

/// The longest gap around a run of a debugger.
private func gap(
  of target: BenchmarkTarget, _ program: String, _ arguments: [String]
) throws -> Double {
  try target.gap {
    // Without what would have it ask a server for debug information.
    let run = try ToolRun(
      executable: program, arguments, environment: ["DEBUGINFOD_URLS": nil])
    guard run.exitCode == 0 else {
      throw MeasuringError.failed(program: program, run.ending, standardError: run.error)
    }
  }
}
