// A program under a copy of a glibc, and what becomes of that copy's files while it runs.

import Glibc
import TestKit
import Testing

/// What becomes of a library that is in use.
enum LostFate: Hashable, CustomTestStringConvertible {
  /// Its file is deleted.
  case deleted
  /// Another version takes its place, as in an upgrade.
  case replaced(by: DebianGlibc)
  /// A copy takes its place: the same contents in another file.
  case copied

  var testDescription: String { "\(self)" }
}

/// A HeapScenario whose C library was lost, and the tool beside it: both as the same user, who has no right
/// to open deleted files.
struct LostLibrary {
  /// The program.
  let program: TargetProgram
  /// The path that its C library had.
  let path: String
  private let directory: TemporaryDirectory
  private let tool: String

  private static let names = [
    "libc.so.6", "libpthread.so.0", "libm.so.6", "libdl.so.2", "librt.so.1",
    "libc_malloc_debug.so.0",
  ]

  /// Starts the scenario of `row` under a copy of `glibc`.
  init(_ row: MatrixRow, under glibc: DebianGlibc) throws {
    // The last two arguments are the program and its scenario.
    let launch = try glibc.launch(scenario: row.scenario)
    try self.init(
      launch.arguments[launch.arguments.count - 2], [row.scenario], under: glibc,
      preloading: row.isChecked && glibc.minor >= 34 ? "libc_malloc_debug.so.0" : nil,
      tunables: row.tunables, environment: row.environment)
  }

  /// Starts a program under a copy of `glibc`.
  init(
    _ program: String, _ arguments: [String] = [], under glibc: DebianGlibc,
    preloading library: String? = nil, tunables: [String] = [], environment: [String: String] = [:]
  ) throws {
    directory = try TemporaryDirectory()
    chmod(directory.path, 0o755)
    mkdir(directory.file("lib"), 0o755)
    for name in Self.names where access("\(glibc.libraries)/\(name)", R_OK) == 0 {
      try writeExecutable(
        try contents(ofFile: "\(glibc.libraries)/\(name)"), to: directory.file("lib/\(name)"))
    }
    path = directory.file("lib/libc.so.6")
    let copies = ["ld-copy.so": glibc.loader, "program": program]
    for (name, source) in copies {
      try writeExecutable(try contents(ofFile: source), to: directory.file(name))
    }
    tool = directory.file("malloscope")
    try writeExecutable(try contents(ofFile: BuildProduct.malloscope.path()), to: tool)
    let lib = directory.file("lib")
    let preload = library.map { ["--preload", "\(lib)/\($0)"] } ?? []
    var launch = try Self.launch(
      directory.file("ld-copy.so"),
      ["--library-path", lib] + preload + [directory.file("program")] + arguments)
    launch.environment = environment
    if !tunables.isEmpty {
      launch.environment["GLIBC_TUNABLES"] =
        tunables.map { "glibc." + $0 }.joined(separator: ":")
    }
    self.program = try TargetProgram(launch)
  }

  /// Has it happen to the libraries.
  func meet(_ fate: LostFate) throws {
    for name in Self.names {
      let path = directory.file("lib/\(name)")
      guard let bytes = try? contents(ofFile: path) else { continue }
      unlink(path)
      switch fate {
      case .deleted: break
      case .copied: try writeExecutable(bytes, to: path)
      case .replaced(let other):
        let replacement = "\(other.libraries)/\(name)"
        if access(replacement, R_OK) == 0 {
          try writeExecutable(try contents(ofFile: replacement), to: path)
        }
      }
    }
  }

  /// Runs the tool.
  func run(_ arguments: [String]) throws -> ToolRun {
    let launch = try Self.launch(tool, arguments)
    return try ToolRun(executable: launch.executable, launch.arguments)
  }

  /// How a program is started as a user without rights, or as we are if we have none.
  private static func launch(
    _ program: String, _ arguments: [String]
  ) throws -> ChildProcess.Launch {
    guard geteuid() == 0 else { return .init(program, arguments) }
    return .init(
      try installedProgram("setpriv"),
      ["--reuid=65534", "--regid=65534", "--clear-groups", program] + arguments)
  }
}
