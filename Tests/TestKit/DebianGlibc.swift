// Debian's glibcs as `Tests/fetch-glibc` leaves them, and how programs run under them.

import Glibc

/// A glibc of Debian for this machine's kind of processor, extracted but not installed.
package enum DebianGlibc: String, CaseIterable, Sendable {
  /// That of bullseye, bookworm and trixie, and two that sid and experimental have had.
  case v231 = "2.31"
  case v236 = "2.36"
  case v241 = "2.41"
  case v243 = "2.43"
  case v244 = "2.44"

  /// Its version, such as `2.31`.
  package var version: String { rawValue }

  /// The second part of its version.
  package var minor: Int { Int(rawValue.dropFirst(2)) ?? 0 }

  #if arch(arm64)
    private static let architecture = "arm64"
  #else
    private static let architecture = "amd64"
  #endif

  /// The directory of its tree.
  package var directory: String {
    testsPath("../.build/glibc/\(rawValue)-\(Self.architecture)")
  }

  /// Its dynamic loader.
  package var loader: String { directory + "/loader" }

  /// The directory of its libraries.
  package var libraries: String { directory + "/lib" }

  /// The directory of its debug files, which are named by build id in `.build-id`.
  package var debugFiles: String { directory + "/debug" }

  /// Whether it was fetched.
  package var isPresent: Bool { access(loader, R_OK) == 0 }

  /// Whether tests must not do without: what is fetched everywhere else must be there in CI.
  package static var isRequired: Bool { mustRunEverything }

  /// The error for its absence.
  package var absence: TestKitError {
    .notFound(program: "glibc \(rawValue)", searched: [directory])
  }

  /// How to run the program at `path` under it.
  ///
  /// The process is the loader's: its name is `loader`, and its executable is the loader's file.
  package func launch(_ path: String, _ arguments: [String] = []) -> ChildProcess.Launch {
    .init(loader, ["--library-path", libraries, path] + arguments)
  }

  /// How to run HeapScenario under it, with the scenario's name and its arguments.
  ///
  /// - Throws: `TestKitError`.
  package func launch(
    scenario name: String, _ arguments: [String] = []
  ) throws(TestKitError) -> ChildProcess.Launch {
    let program = try runsPrograms ? BuildProduct.heapScenario.path() : program("HeapScenario")
    return launch(program, [name] + arguments)
  }

  /// The recorder for programs under it.
  ///
  /// - Throws: `TestKitError`.
  package func recorder() throws(TestKitError) -> String {
    if runsPrograms { return try BuildProduct.allocationRecorder.path() }
    let include = testsPath("Targets/AllocationRecorder/include")
    return try program("AllocationRecorder", flags: ["-shared", "-fPIC", "-I", include])
  }

  /// A program compiled from a source or a directory of sources under `Tests/Targets`, such that it
  /// runs under this glibc.
  ///
  /// - Throws: `TestKitError`, also if this machine's glibc is newer and 2.31 is not there.
  package func program(_ source: String, flags: [String] = []) throws(TestKitError) -> String {
    guard !runsPrograms else { return try CompiledProgram.path(source, flags: flags) }
    // What was linked to the oldest runs under all.
    let oldest = DebianGlibc.v231
    guard oldest.isPresent else { throw oldest.absence }
    let root = oldest.directory + "/root"
    let directories = ["\(root)/usr/lib/x86_64-linux-gnu", "\(root)/lib/x86_64-linux-gnu"]
    let linking = ["--sysroot=\(root)", "-B" + directories[0]] + directories.map { "-L" + $0 }
    return try CompiledProgram.path(source, flags: linking + flags)
  }

  /// Whether programs that were linked on this machine run under it.
  private var runsPrograms: Bool {
    var name = [CChar](repeating: 0, count: 64)
    guard confstr(Int32(_CS_GNU_LIBC_VERSION), &name, name.count) > 0 else { return false }
    // Such as `glibc 2.36`.
    let bytes = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: ".")
    return parts.count > 1 && Int(parts[1]).map { minor >= $0 } ?? false
  }
}
