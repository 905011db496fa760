// One run of a program from start to end, usually of the tool itself.

/// What a program wrote and how it ended.
package struct ToolRun: Sendable {
  /// Its standard output, if that was captured.
  package let output: String
  /// Its standard error.
  package let error: String
  /// How it ended.
  package let ending: Ending

  /// The exit code, nil if a signal ended it.
  package var exitCode: Int32? {
    if case .exit(let code) = ending { code } else { nil }
  }

  /// Runs the tool with `arguments`; it is killed if it takes longer than `patience`.
  ///
  /// - Throws: `TestKitError.deadline` in that case, and what starting it throws.
  package init(
    _ arguments: [String], output: ChildProcess.Stream = .capture,
    environment: [String: String?] = [:], within patience: Duration = TargetProgram.patience
  ) throws(TestKitError) {
    try self.init(
      executable: try BuildProduct.malloscope.path(), arguments, output: output,
      environment: environment, within: patience)
  }

  /// Runs any program, without anything on its standard input.
  ///
  /// - Throws: as above.
  package init(
    executable: String, _ arguments: [String], output: ChildProcess.Stream = .capture,
    environment: [String: String?] = [:], within patience: Duration = TargetProgram.patience
  ) throws(TestKitError) {
    var launch = ChildProcess.Launch(executable, arguments)
    launch.environment = environment
    launch.input = .file("/dev/null")
    launch.output = output
    let process = try ChildProcess(launch)
    let deadline = Deadline(in: patience)
    // A pipe must be emptied while the program runs; a file can be read afterwards.
    let piped = output == .pipe ? try process.readToEnd(by: deadline) : nil
    ending = try process.waitForEnd(by: deadline)
    self.output = piped ?? process.capturedOutput
    error = process.standardError
  }
}
