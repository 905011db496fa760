// Real containers: runc with root file systems of Debian, and the static tool in an empty one.

import FoundationEssentials
package import Glibc
import Synchronization

/// A root file system of a Debian as `Tests/fetch-rootfs` leaves it.
package enum ContainerRoot: String, CaseIterable, Sendable {
  case bullseye, bookworm, trixie

  /// Its directory.
  package var path: String { testsPath("../.build/rootfs/\(rawValue)") }

  /// The version of its glibc.
  package var glibc: String {
    switch self {
    case .bullseye: "2.31"
    case .bookworm: "2.36"
    case .trixie: "2.41"
    }
  }

  /// The paths of its C library as they may stand in a process's maps.
  package var libraries: [String] {
    ["/usr/lib", "/lib"].flatMap { directory in
      ["libc.so.6", "libc-\(glibc).so"].map { "\(directory)/x86_64-linux-gnu/\($0)" }
    }
  }
}

/// A copy of a program in a root file system, for as long as this value lives.
package final class InstalledCopy {
  /// Its path in the root file system.
  package let path: String
  private let hostPath: String

  /// Copies the program at `source`, as `name`.
  ///
  /// - Throws: `TestKitError.system`.
  package init(of source: String, in root: ContainerRoot, as name: String) throws(TestKitError) {
    path = "/programs/" + name
    hostPath = root.path + path
    try copyFile(source, to: hostPath)
  }

  deinit { unlink(hostPath) }
}

/// A container that runs for as long as this value lives.
///
/// Not thread-safe: one test owns it.
package final class Container {
  /// Its id, as its runtime knows it.
  package let id: String
  /// Its first process, with its standard streams.
  package let program: TargetProgram
  private let directory: TemporaryDirectory
  private let copy: InstalledCopy?

  /// Why no test can run containers here, nil if they can; nil with `CI=true`, where that is to fail.
  package static let obstacle: String? = {
    if mustRunEverything { return nil }
    do {
      let missing = ContainerRoot.allCases.filter { access($0.path, R_OK) != 0 }
      guard missing.isEmpty else {
        return "no root file system of \(missing[0]) was made (Tests/fetch-rootfs)"
      }
      guard access(StaticTool.source, X_OK) == 0 else {
        return "the static tool was not built (Sources/Packaging/package static)"
      }
      let run = try StaticTool.run(["--version"], ContainerPlan([]))
      return run.ending == .exit(0) ? nil : "no container can be started here: \(run.error)"
    } catch {
      return "no container can be started here: \(error)"
    }
  }()

  /// Starts one; with a `copying` path, that program is found in it as `/programs/ID`, which then replaces
  /// the first argument.
  ///
  /// An `overlay` is mounted over the root file system, as engines do; only the container sees it.
  ///
  /// - Throws: `TestKitError`.
  package init(
    _ plan: ContainerPlan, in root: ContainerRoot, copying source: String? = nil,
    overlay: Bool = false
  ) throws(TestKitError) {
    id = "malloscope-test-\(UInt32.random(in: 0 ... .max))"
    directory = try TemporaryDirectory()
    var plan = plan
    if let source {
      let copy = try InstalledCopy(of: source, in: root, as: id)
      plan.arguments[0] = copy.path
      self.copy = copy
    } else {
      copy = nil
    }
    let merged = directory.file("merged")
    try write(
      try plan.configuration(root: overlay ? merged : root.path),
      toFile: directory.file("config.json"))
    let run = [try installedProgram("runc"), "run", "--bundle", directory.path, id]
    guard overlay else {
      program = try TargetProgram(.init(run[0], Array(run.dropFirst())))
      return
    }
    for name in ["merged", "upper", "work"] { mkdir(directory.file(name), 0o755) }
    let options =
      "lowerdir=\(root.path),upperdir=\(directory.file("upper")),workdir=\(directory.file("work"))"
    // In a mount namespace of its own: the mount is gone with the container.
    program = try TargetProgram(
      .init(
        try installedProgram("unshare"),
        [
          "--mount", "sh", "-c",
          "mount -t overlay overlay -o \(options) \(merged) && exec \(run.joined(separator: " "))",
        ]))
  }

  deinit {
    _ = try? ToolRun(executable: installedProgram("runc"), ["delete", "--force", id])
  }

  /// The id of its first process in our PID namespace, once that is running.
  ///
  /// - Throws: `TestKitError`.
  package func pid() throws(TestKitError) -> pid_t {
    struct State: Decodable { var pid: pid_t }
    let run = try ToolRun(executable: try installedProgram("runc"), ["state", id])
    let state = try? JSONDecoder().decode(State.self, from: Data(run.output.utf8))
    guard let pid = state?.pid, pid > 0 else {
      throw .malformed(what: "the state of a container", text: run.output + run.error)
    }
    return pid
  }

  /// Has its runtime do something with it: `pause`, `resume`.
  ///
  /// - Throws: `TestKitError`.
  package func tell(_ verb: String) throws(TestKitError) {
    let run = try ToolRun(executable: try installedProgram("runc"), [verb, id])
    guard run.ending == .exit(0) else { throw .malformed(what: verb, text: run.error) }
  }
}

/// The tool as one file that needs nothing, in a container that has nothing else.
package enum StaticTool {
  /// What `Sources/Packaging/package static` makes.
  package static let source = testsPath("../.build/packages/malloscope")

  /// A root file system with the tool alone, made once in a test run.
  private static let root = Mutex<String?>(nil)

  /// Runs it with `arguments` in a container as `plan` has it, whose own arguments do not matter.
  ///
  /// - Throws: `TestKitError`.
  package static func run(
    _ arguments: [String], _ plan: ContainerPlan
  ) throws(TestKitError) -> ToolRun {
    var plan = plan
    plan.arguments = ["/malloscope"] + arguments
    let bundle = try TemporaryDirectory()
    try write(
      try plan.configuration(root: try emptyRoot()), toFile: bundle.file("config.json"))
    let id = "malloscope-tool-\(UInt32.random(in: 0 ... .max))"
    return try ToolRun(
      executable: try installedProgram("runc"), ["run", "--bundle", bundle.path, id])
  }

  private static func emptyRoot() throws(TestKitError) -> String {
    try root.withLock { root throws(TestKitError) in
      if let root { return root }
      // Where users of a namespace can get to, too.
      let path = testsPath("../.build/rootfs/tool")
      for directory in [testsPath("../.build/rootfs"), path, path + "/proc", path + "/dev"] {
        mkdir(directory, 0o755)
      }
      try copyFile(source, to: path + "/malloscope")
      root = path
      return path
    }
  }
}

/// Copies a program.
private func copyFile(_ source: String, to path: String) throws(TestKitError) {
  let bytes = try contents(ofFile: source)
  unlink(path)
  let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o755)
  guard file >= 0 else { throw .system(call: "open", subject: path, errno: errno) }
  defer { close(file) }
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    guard count > 0 else { throw .system(call: "write", subject: path, errno: errno) }
    rest = rest.dropFirst(count)
  }
  fchmod(file, 0o755)
}
