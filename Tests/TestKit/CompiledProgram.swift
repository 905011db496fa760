// Small C and C++ programs that tests compile when they need them, with the flags they need.

import Glibc
import Synchronization

/// A program compiled from a source under `Tests/Targets`, once for each set of flags in a test run.
package enum CompiledProgram {
  private static let compiled = Mutex<[[String]: String]>([:])
  private static let directory = Mutex<TemporaryDirectory?>(nil)

  /// The path of the program compiled from `source`, such as `Threads8.cpp`
  /// or `StopTargets/churn.c`, or from all C files in a directory, such as `HeapScenario`, by
  /// `compiler` or else by the system's own.
  ///
  /// - Throws: `TestKitError.compilation` with what the compiler said, or `TestKitError.notFound`
  ///   without a compiler.
  package static func path(
    _ source: String, compiler: String? = nil, flags: [String] = []
  ) throws(TestKitError) -> String {
    let compiler = compiler ?? (source.hasSuffix(".cpp") ? "c++" : "cc")
    let key = [source, compiler] + flags
    // Holding the lock while compiling: another test that wants the same program waits for it.
    return try compiled.withLock { compiled throws(TestKitError) in
      if let path = compiled[key] { return path }
      let name = source.split(separator: "/").last ?? source[...]
      let stem = name.prefix { $0 != "." }
      let output = try scratchPath("\(stem)-\(compiled.count)")
      let run = try ToolRun(
        executable: try installedProgram(compiler),
        ["-g", "-O1", "-pthread"] + (try files(of: source)) + ["-o", output] + flags)
      guard run.ending == .exit(0) else {
        throw .compilation(source: source, output: run.output + run.error)
      }
      compiled[key] = output
      return output
    }
  }

  private static func files(of source: String) throws(TestKitError) -> [String] {
    let path = testsPath("Targets/" + source)
    guard let entries = opendir(path) else { return [path] }
    defer { closedir(entries) }
    var files: [String] = []
    while let entry = readdir(entries) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".c") { files.append(path + "/" + name) }
    }
    return files.sorted()
  }

  /// The path of a file in a directory that lasts as long as the test run.
  static func scratchPath(_ name: String) throws(TestKitError) -> String {
    try directory.withLock { directory throws(TestKitError) in
      if let directory { return directory.file(name) }
      let new = try TemporaryDirectory()
      directory = new
      // Statics are never released, and so the directory is told to go at the end.
      atexit { CompiledProgram.removeDirectory() }
      return new.file(name)
    }
  }

  private static func removeDirectory() {
    directory.withLock { $0 = nil }
  }
}
