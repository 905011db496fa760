// The programs whose heaps grow: started, brought to where they are ready, and asked what they hold.

package import Glibc

/// One of the programs in `Tests/Targets/Leaks`, ready.
///
/// It ends when its standard input is closed, and is killed at the latest when the last reference
/// goes.
package final class LeakingProgram {
  /// Which program, and what it is told.
  package enum Kind: Hashable, Sendable {
    /// A server in Python that keeps a large string every so many milliseconds.
    case leakingServer(milliseconds: Int)
    /// A list of small dicts in Python, outside of malloc's heap.
    case linkedDicts(perSecond: Int)
    /// An extension type of Python that forgets to free, used every so many milliseconds.
    case leakingExtension(milliseconds: Int)
    /// A server in C++ that keeps a node of 40 bytes for each request.
    case leak
    /// The same server with free memory that is of no use to it.
    case fragment
    /// The same server that frees all that it allocates.
    case steady
    /// The same server whose heap stays large after `GET /burst`.
    case retain
    /// So many requests a second to the server on a port, until it is closed.
    case load(port: UInt16, perSecond: Int)
    /// A process that does nothing.
    case idle
    /// Four threads that replace random blocks at full speed.
    case churn
    /// So many MiB of small blocks.
    case big(mebibytes: Int)
  }

  /// The running program.
  package let program: TargetProgram
  /// The port on which it serves, if it does.
  package let port: UInt16?

  /// Its process id.
  package var pid: pid_t { program.pid }

  /// Starts the program, after building it if that has not been done, and waits until it is ready.
  ///
  /// - Throws: `TestKitError`.
  package init(_ kind: Kind) throws(TestKitError) {
    program = try TargetProgram(try kind.launch())
    let facts = try program.waitReady()
    let words = facts.first { $0.hasPrefix("port ") }?.split(separator: " ")
    port = words?.last.flatMap { UInt16($0) }
  }

  /// What it says of itself by name, such as `leaked_nodes`.
  ///
  /// With `bySignal` it is asked by SIGUSR1, which only those in C++ understand.
  ///
  /// - Throws: `TestKitError`.
  package func ask(bySignal: Bool = false) throws(TestKitError) -> [String: UInt64] {
    if !bySignal { return try figures(program.ask()) }
    program.process.send(SIGUSR1)
    let deadline = Deadline(in: TargetProgram.patience)
    return try figures(program.process.readLine(by: deadline, waitingFor: "an answer"))
  }

  /// Sends it `GET path` and returns the body of what it answers.
  ///
  /// - Throws: `TestKitError`.
  package func get(_ path: String) throws(TestKitError) -> String {
    guard let port else {
      throw .notFound(program: "a server", searched: [program.process.name])
    }
    return try httpBody(port: port, path: path)
  }

  /// Closes its standard input, waits until it ends and returns how it did.
  ///
  /// - Throws: `TestKitError.deadline`.
  @discardableResult
  package func close() throws(TestKitError) -> Ending { try program.close() }
}

extension LeakingProgram.Kind {
  /// How it is started.
  ///
  /// - Throws: `TestKitError` if it has to be built and cannot be.
  fileprivate func launch() throws(TestKitError) -> ChildProcess.Launch {
    switch self {
    case .leakingServer(let milliseconds): try python("leaking_server.py", milliseconds)
    case .linkedDicts(let perSecond): try python("linked_dicts.py", perSecond)
    case .leakingExtension(let milliseconds):
      try python(
        "leaking_extension.py", milliseconds,
        path: try ExtensionModule.directory("Leaks/buffers.pyx"))
    case .leak: try server("leak")
    case .fragment: try server("fragment")
    case .steady: try server("steady")
    case .retain: try server("retain")
    case .load(let port, let perSecond): try server("load", "\(port)", "\(perSecond)")
    case .idle: try server("idle")
    case .churn: try server("churn")
    case .big(let mebibytes): try server("big", "\(mebibytes)")
    }
  }

  private func server(_ arguments: String...) throws(TestKitError) -> ChildProcess.Launch {
    ChildProcess.Launch(try CompiledProgram.path("Leaks/loaded_server.cpp"), arguments)
  }

  private func python(
    _ script: String, _ number: Int, path: String? = nil
  ) throws(TestKitError) -> ChildProcess.Launch {
    // Without the compiled forms of modules that it would leave beside them.
    var launch = ChildProcess.Launch(
      try installedProgram("python3"), ["-B", testsPath("Targets/Leaks/" + script), "\(number)"])
    launch.environment = ["PYTHONMALLOC": nil as String?, "PYTHONPATH": path]
    return launch
  }
}

/// The numbers in a line of JSON without inner objects; what is no number is left out.
///
/// - Throws: `TestKitError.malformed`.
package func figures(_ line: String) throws(TestKitError) -> [String: UInt64] {
  guard line.hasPrefix("{"), line.hasSuffix("}") else {
    throw .malformed(what: "an answer", text: line)
  }
  var figures: [String: UInt64] = [:]
  for member in line.dropFirst().dropLast().split(separator: ",") {
    let sides = member.split(separator: ":")
    guard sides.count == 2 else { throw .malformed(what: "an answer", text: line) }
    let name = sides[0].filter { $0 != "\"" && $0 != " " }
    if let number = UInt64(sides[1].drop { $0 == " " }) { figures[name] = number }
  }
  return figures
}
