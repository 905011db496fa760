// A program that tests attach to: started, brought to where it says ready, and asked questions.

package import Glibc

/// A running program that says `ready` on a line and then waits for its standard input.
///
/// It is killed at the latest when the last reference goes.
package final class TargetProgram {
  /// How long a program may take to get ready, to answer, or to end.
  ///
  /// Generous, since it only has to be shorter than a test run that hangs.
  package static let patience = Duration.seconds(60)

  /// The process.
  package let process: ChildProcess

  /// Its process id.
  package var pid: pid_t { process.pid }

  /// Starts a program.
  ///
  /// - Throws: `TestKitError`.
  package init(_ launch: ChildProcess.Launch) throws(TestKitError) {
    process = try ChildProcess(launch)
  }

  /// Starts HeapScenario with the scenario's name and its arguments.
  ///
  /// - Throws: `TestKitError`.
  package convenience init(
    scenario name: String, _ arguments: [String] = [], environment: [String: String?] = [:]
  ) throws(TestKitError) {
    var launch = ChildProcess.Launch(try BuildProduct.heapScenario.path(), [name] + arguments)
    launch.environment = environment
    try self.init(launch)
  }

  /// Reads lines up to the one that begins with `marker`, and returns those before it.
  ///
  /// - Throws: `TestKitError.deadline`, or `TestKitError.ended` if it ends first.
  @discardableResult
  package func waitReady(
    marker: String = "ready", within patience: Duration = TargetProgram.patience
  ) throws(TestKitError) -> [String] {
    let deadline = Deadline(in: patience)
    var lines: [String] = []
    while true {
      let line = try process.readLine(by: deadline, waitingFor: marker)
      if line == marker || line.hasPrefix(marker + " ") { return lines }
      lines.append(line)
    }
  }

  /// Waits until the scenario is ready, and returns what it says of its heap.
  ///
  /// - Throws: `TestKitError`.
  package func waitForOracle() throws(TestKitError) -> HeapOracle {
    try HeapOracle(try waitReady())
  }

  /// Sends it a line and returns the line that it answers with.
  ///
  /// - Throws: `TestKitError`.
  package func ask(_ question: String = "") throws(TestKitError) -> String {
    try process.write(question + "\n")
    return try process.readLine(by: Deadline(in: Self.patience), waitingFor: "an answer")
  }

  /// Closes its standard input, waits until it ends and returns how it did.
  ///
  /// - Throws: `TestKitError.deadline`.
  @discardableResult
  package func close() throws(TestKitError) -> Ending {
    try process.finish(by: Deadline(in: Self.patience))
  }
}
