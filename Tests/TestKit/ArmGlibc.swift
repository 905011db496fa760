// Debian's glibcs for aarch64 as `Tests/fetch-glibc` leaves them, and how programs run under them on
// another machine: compiled by the cross compiler and run by the user-mode emulator.

import Glibc
import Synchronization

/// A glibc of Debian for aarch64, extracted but not installed.
package enum ArmGlibc: String, CaseIterable, Sendable {
  case v231 = "2.31"
  case v236 = "2.36"
  case v241 = "2.41"
  case v243 = "2.43"
  case v244 = "2.44"

  /// Its version, such as `2.31`.
  package var version: String { rawValue }

  /// The directory of its tree.
  private var directory: String { testsPath("../.build/glibc/\(rawValue)-arm64") }
  /// The directory of its libraries, as the loader is told it.
  package var libraries: String { directory + "/lib" }
  private var loader: String { directory + "/loader" }
  private var isPresent: Bool { access(loader, R_OK) == 0 }

  private static let emulator = "qemu-aarch64"
  /// The compiler for aarch64.
  package static let compiler = "aarch64-linux-gnu-gcc"

  /// The versions that tests can run under; with `CI=true` all of them, so that a missing one fails.
  package static var usable: [ArmGlibc] { isRequired ? allCases : allCases.filter(\.isPresent) }

  /// Why no test can run a program for aarch64, nil if they can; nil with `CI=true`, where that is to fail.
  package static var obstacle: String? {
    if isRequired { return nil }
    for program in [emulator, compiler] where (try? installedProgram(program)) == nil {
      return "\(program) is not installed (Tests/run installs it)"
    }
    return usable.isEmpty ? "no glibc for aarch64 was fetched (Tests/fetch-glibc)" : nil
  }

  /// The same for tests that only compile.
  package static var compilerObstacle: String? {
    isRequired || (try? installedProgram(compiler)) != nil
      ? nil : "\(compiler) is not installed (Tests/run installs it)"
  }

  private static var isRequired: Bool { mustRunEverything }

  /// Starts HeapScenario in the emulator, with the scenario's name and its arguments.
  ///
  /// The process is the emulator: its addresses are the program's, its registers are not.
  ///
  /// - Throws: `TestKitError`.
  package func start(
    scenario name: String, _ arguments: [String] = [], tagsMemory: Bool = false
  ) throws(TestKitError) -> TargetProgram {
    let directory = testsPath("Targets/HeapScenario")
    let sources = try directoryEntries(directory).filter { $0.hasSuffix(".c") }
    let program = try self.program(sources.map { directory + "/" + $0 }, as: "HeapScenario")
    guard isPresent else {
      throw .notFound(program: "glibc \(rawValue) for aarch64", searched: [self.directory])
    }
    return try Self.emulate(
      [loader, "--library-path", libraries, program, name] + arguments, tagsMemory: tagsMemory)
  }

  /// Starts HeapScenario, linked statically to the cross compiler's glibc, in the emulator.
  ///
  /// - Throws: `TestKitError`.
  package static func startStatic(
    scenario name: String, _ arguments: [String] = [], flag: String
  ) throws(TestKitError) -> TargetProgram {
    let directory = testsPath("Targets/HeapScenario")
    let sources = try directoryEntries(directory).filter { $0.hasSuffix(".c") }
    let program = try v236.program(
      sources.map { directory + "/" + $0 }, as: "HeapScenario", flags: [flag])
    return try emulate([program, name] + arguments)
  }

  /// Starts a command in the emulator; with `tagsMemory` on a processor that tags memory, with a malloc
  /// that is told to.
  ///
  /// - Throws: `TestKitError`.
  package static func emulate(
    _ command: [String], tagsMemory: Bool = false
  ) throws(TestKitError) -> TargetProgram {
    var launch = ChildProcess.Launch(
      try installedProgram(emulator), (tagsMemory ? ["-cpu", "max"] : []) + command)
    // The emulator hands its environment on.
    if tagsMemory { launch.environment["GLIBC_TUNABLES"] = "glibc.mem.tagging=3" }
    return try TargetProgram(launch)
  }

  private static let compiled = Mutex<[[String]: String]>([:])

  /// A program for aarch64 compiled from `sources`, such that it runs under this glibc.
  ///
  /// - Throws: `TestKitError`.
  package func program(
    _ sources: [String], as name: String, flags: [String] = []
  ) throws(TestKitError) -> String {
    // What is linked to the cross compiler's own glibc needs that or a newer one.
    let isOld = self == .v231
    let libraries =
      isOld
      ? ["-nodefaultlibs", self.libraries + "/libc.so.6", self.libraries + "/libpthread.so.0"]
        + [loader, "-lgcc"] : []
    return try Self.compiled.withLock { compiled throws(TestKitError) in
      let key = [name, isOld ? "old" : "new"] + flags
      if let path = compiled[key] { return path }
      let output = try CompiledProgram.scratchPath(
        "\(name)-arm64-\(isOld ? "old" : "new")-\(compiled.count)")
      let run = try ToolRun(
        executable: try installedProgram(Self.compiler),
        ["-g", "-O1", "-std=gnu11", "-pthread", "-o", output] + sources + libraries + flags)
      guard run.ending == .exit(0) else {
        throw .compilation(source: name, output: run.output + run.error)
      }
      compiled[key] = output
      return output
    }
  }
}

/// The names of what is in a directory, in their order.
private func directoryEntries(_ path: String) throws(TestKitError) -> [String] {
  guard let directory = opendir(path) else {
    throw .system(call: "opendir", subject: path, errno: errno)
  }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    names.append(
      withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      })
  }
  return names.sorted()
}
