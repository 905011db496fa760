// Extension modules of Python that tests build from Cython when they need them.

import Synchronization

/// A module built from a source under `Tests/Targets`, once in a test run.
package enum ExtensionModule {
  private static let built = Mutex<[String: String]>([:])

  /// The directory that holds the module built from `source`, such as `Leaks/buffers.pyx`, to be
  /// named in `PYTHONPATH`.
  ///
  /// - Throws: `TestKitError.compilation` with what Cython or the compiler said, or
  ///   `TestKitError.notFound` without them.
  package static func directory(_ source: String) throws(TestKitError) -> String {
    // Holding the lock while building: another test that wants the same module waits for it.
    try built.withLock { built throws(TestKitError) in
      if let directory = built[source] { return directory }
      let name = source.split(separator: "/").last ?? source[...]
      let stem = String(name.prefix { $0 != "." })
      // Its own directory would have to be made and removed: the scratch directory will do, since
      // nothing else in it can be imported.
      let code = try CompiledProgram.scratchPath(stem + ".c")
      let library = try CompiledProgram.scratchPath(stem + ".so")
      try run("cython3", ["-3", testsPath("Targets/" + source), "-o", code], source)
      let includes = try run("python3-config", ["--includes"], source)
      let flags = includes.split { $0.isWhitespace }.map(String.init)
      try run("cc", ["-shared", "-fPIC", "-g", "-O1"] + flags + [code, "-o", library], source)
      let directory = String(library.dropLast(stem.count + "/.so".count))
      built[source] = directory
      return directory
    }
  }

  @discardableResult
  private static func run(
    _ program: String, _ arguments: [String], _ source: String
  ) throws(TestKitError) -> String {
    let run = try ToolRun(executable: try installedProgram(program), arguments)
    guard run.ending == .exit(0) else {
      throw .compilation(source: source, output: run.output + run.error)
    }
    return run.output
  }
}
