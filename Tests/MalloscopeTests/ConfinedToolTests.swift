// The tool where it may do less than usual: another user, another namespace, a filter, a hidden target.

import Glibc
import TestKit
import Testing

@Suite("What is said where namespaces, filters and /proc stand in the way", .serialized)
struct ConfinedToolTests {
  /// A copy of the tool that anybody can reach.
  private final class Tool {
    private let directory: TemporaryDirectory
    let path: String

    init() throws {
      directory = try TemporaryDirectory()
      chmod(directory.path, 0o755)
      path = directory.file("malloscope")
      try writeExecutable(try contents(ofFile: BuildProduct.malloscope.path()), to: path)
    }

    /// Runs it by a shell's `command`, in which `tool` stands for it and `nobody` for being nobody.
    func run(_ command: String) throws -> ToolRun {
      let setpriv = try installedProgram("setpriv")
      let script =
        "tool() { \(path) \"$@\"; }; "
        + "nobody() { \(setpriv) --reuid=65534 --regid=65534 --clear-groups \(path) \"$@\"; }; "
        + command
      return try ToolRun(executable: "/bin/sh", ["-c", script])
    }

    /// Runs it so where another /proc with such options is mounted.
    func run(_ command: String, proc options: String) throws -> ToolRun {
      let setpriv = try installedProgram("setpriv")
      let script =
        "mount -t proc -o \(options) proc /proc || exit 99; "
        + "tool() { \(path) \"$@\"; }; "
        + "nobody() { \(setpriv) --reuid=65534 --regid=65534 --clear-groups \(path) \"$@\"; }; "
        + command
      return try ToolRun(
        executable: try installedProgram("unshare"), ["--mount", "--fork", "/bin/sh", "-c", script])
    }
  }

  private static let isRoot = geteuid() == 0
  private static let groupObstacle = TestControlGroup.obstacle("freezer")

  /// Why no other /proc can be mounted here, nil if one can.
  private static let mountObstacle: String? = {
    let run = try? ToolRun(
      executable: "/bin/sh",
      [
        "-c",
        "unshare --mount sh -c 'mount -t proc -o hidepid=2 proc /proc && grep -q hidepid= /proc/mounts'",
      ])
    return run?.exitCode == 0 ? nil : "no /proc with hidepid can be mounted here"
  }()

  private func flowed(_ text: String) -> String {
    text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
  }

  private func target() throws -> TargetProgram {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    return program
  }

  @Test(
    "a process that /proc hides is told from one that does not exist",
    .enabled(if: mountObstacle == nil, Comment(rawValue: mountObstacle ?? "")))
  func hidden() throws {
    let tool = try Tool()
    let program = try target()
    let pid = program.pid
    let invisible = try tool.run("nobody \(pid)", proc: "hidepid=2,gid=7")
    #expect(invisible.exitCode == 77 && invisible.output == "", "\(invisible.error)")
    let fact = "process \(pid) exists but /proc hides it (mounted with hidepid="
    #expect(invisible.error.hasPrefix("malloscope: \(fact)"), "\(invisible.error)")
    #expect(invisible.error.contains("\n  hint: or with gid 7"), "\(invisible.error)")
    let noAccess = try tool.run("nobody doctor \(pid)", proc: "hidepid=1")
    #expect(noAccess.exitCode == 77, "\(noAccess.error)")
    #expect(noAccess.error.contains("/proc gives no access to it"), "\(noAccess.error)")
    let absent = try tool.run("nobody 99999999", proc: "hidepid=2")
    #expect(absent.exitCode == 66)
    #expect(absent.error.contains("cannot find process 99999999"), "\(absent.error)")
    let named = try tool.run("nobody --name HeapScenario", proc: "hidepid=2")
    #expect(named.exitCode == 66)
    #expect(named.error.contains("\n  /proc hides processes from this tool"), "\(named.error)")
    let doctor = try tool.run("nobody doctor", proc: "hidepid=2")
    #expect(doctor.exitCode == 0)
    #expect(
      flowed(doctor.output).contains("note proc /proc hides the processes of other users (mounted"))
    // Root is not hidden from.
    #expect(try tool.run("tool \(pid)", proc: "hidepid=2").exitCode == 0)
    let root = try tool.run("tool doctor", proc: "hidepid=2")
    #expect(flowed(root.output).contains("ok proc /proc hides no process"), "\(root.output)")
    #expect(try program.close() == .exit(0))
  }

  @Test("a process in a user namespace that the tool's user made can be read", .enabled(if: isRoot))
  func ownedNamespace() throws {
    let tool = try Tool()
    let directory = try TemporaryDirectory()
    chmod(directory.path, 0o755)
    let copy = directory.file("HeapScenario")
    try writeExecutable(try contents(ofFile: BuildProduct.heapScenario.path()), to: copy)
    let program = try TargetProgram(
      ChildProcess.Launch(
        try installedProgram("setpriv"),
        [
          "--reuid=65534", "--regid=65534", "--clear-groups", try installedProgram("unshare"),
          "--user", "--map-root-user", copy, "small10",
        ]))
    try program.waitReady()
    let doctor = try tool.run("nobody doctor \(program.pid)")
    #expect(doctor.exitCode == 0, "\(doctor.output)\(doctor.error)")
    let text = flowed(doctor.output)
    #expect(
      text.contains("ok namespace its user namespace was made by this tool's user"), "\(text)")
    #expect(text.contains("ok capability CAP_SYS_PTRACE counts there"), "\(text)")
    #expect(try tool.run("nobody \(program.pid)").exitCode == 0)
    let root = try tool.run("tool doctor \(program.pid)")
    #expect(
      flowed(root.output).contains("ok namespace its user namespace lies within"), "\(root.output)")
    #expect(try program.close() == .exit(0))
  }

  @Test("from within a user namespace, what is outside cannot be read", .enabled(if: isRoot))
  func outerNamespace() throws {
    let tool = try Tool()
    let program = try target()
    let fact =
      "process \(program.pid) (HeapScenario) runs in a user namespace in which this tool holds no "
      + "capability"
    let run = try tool.run("unshare --user --map-root-user \(tool.path) \(program.pid)")
    #expect(run.exitCode == 77)
    #expect(run.error.hasPrefix("malloscope: \(fact)\n  hint: "), "\(run.error)")
    let doctor = try tool.run("unshare --user --map-root-user \(tool.path) doctor \(program.pid)")
    #expect(doctor.exitCode == 77)
    let text = flowed(doctor.output)
    #expect(text.contains("no namespace it runs in a user namespace in which"), "\(text)")
    #expect(text.contains("note capability "), "\(text)")
    #expect(try program.close() == .exit(0))
  }

  @Test("where a filter denies ptrace alone, the first hint is to read without stopping")
  func filtered() throws {
    let denied = try CompiledProgram.path("StopTargets/denied.c")
    let path = try BuildProduct.malloscope.path()
    let program = try target()
    let hint = "read the heap without attaching: --no-stop"
    let run = try ToolRun(executable: denied, [path, "\(program.pid)"])
    #expect(run.exitCode == 77, "\(run.error)")
    #expect(run.error.contains("was refused, and a system-call filter is active on this tool\n"))
    #expect(run.error.contains("active on this tool\n  hint: \(hint)\n"), "\(run.error)")
    #expect(run.error.split(separator: "\n").count <= 4)
    let doctor = try ToolRun(executable: denied, [path, "doctor", "\(program.pid)"])
    #expect(doctor.exitCode == 77, "\(doctor.output)")
    let text = flowed(doctor.output)
    #expect(text.contains("no seccomp a system-call filter on this tool refuses"), "\(text)")
    #expect(text.contains("note hint \(hint)"), "\(text)")
    #expect(try ToolRun(executable: denied, [path, "\(program.pid)", "--no-stop"]).exitCode == 0)
    #expect(try ToolRun(executable: denied, [path, "doctor"]).exitCode == 77)
    #expect(try program.close() == .exit(0))
  }

  @Test("both ids of a process in a PID namespace are told, and all of one further in")
  func nestedIDs() throws {
    let inner = "unshare --pid --fork sh -c 'sleep 60 & echo $! > /dev/null; wait'"
    let outer = "unshare --pid --fork sh -c \"\(inner)\""
    let nest = try ChildProcess(ChildProcess.Launch("/bin/sh", ["-c", outer]))
    var found: Int32?
    #expect(
      comes {
        var pid = nest.pid
        while let child = childrenOf(pid).first { pid = child }
        let status = (try? contents(ofFile: "/proc/\(pid)/status")) ?? []
        let name = (try? contents(ofFile: "/proc/\(pid)/comm")) ?? []
        let line = String(decoding: status, as: UTF8.self).split(separator: "\n")
          .first { $0.hasPrefix("NSpid:") }
        guard line?.split(separator: "\t").count == 4, name == Array("sleep\n".utf8) else {
          return false
        }
        found = pid
        return true
      })
    let pid = try #require(found)
    defer { kill(pid, SIGKILL) }
    let doctor = try ToolRun(["doctor", "\(pid)"])
    let text = flowed(doctor.output)
    #expect(text.contains(", then 2 in its own PID namespace"), "\(text)")
    let run = try ToolRun(["\(pid)"])
    #expect(flowed(run.output).contains("pid 2 inside"), "\(run.output)")
  }

  @Test("--container that matches nothing says what can be seen, or that nothing can")
  func noContainer() throws {
    let run = try ToolRun(["--container", "no-such-container"])
    #expect(run.exitCode == 66)
    #expect(run.error.hasPrefix("malloscope: no process matches --container no-such-container\n"))
    #expect(run.error.contains("or --name REGEX\n"), "\(run.error)")
    #expect(try ToolRun(["--container", "no-such-unit.service"]).exitCode == 66)
  }

  @Test(
    "a container that can be seen is found, or listed if another is asked for; so is a unit",
    .enabled(if: groupObstacle == nil, Comment(rawValue: groupObstacle ?? "")))
  func seenContainer() throws {
    let id = String(repeating: "5eed", count: 16)
    let group = try TestControlGroup("freezer")
    let program = try target()
    let parent = group.directory.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    for (folder, name) in [(id, "5eed5"), (#"a\x2db.service"#, "a-b.service")] {
      let directory = group.directory + "/" + folder
      mkdir(directory, 0o755)
      defer {
        try? write("\(program.pid)", toFile: parent + "/cgroup.procs")
        rmdir(directory)
      }
      try write("\(program.pid)", toFile: directory + "/cgroup.procs")
      let found = try ToolRun(["--container", name, "--json"])
      #expect(found.exitCode == 0, "\(found.error)")
      let document = try HeapDocument(found.output)
      #expect(document.target.pid == program.pid)
      guard folder == id else { continue }
      let other = try ToolRun(["--container", "0dd"])
      #expect(other.exitCode == 66)
      #expect(
        other.error.contains("\n    5eed5eed5eed  HeapScenario (pid \(program.pid))\n"),
        "\(other.error)")
      #expect(try ToolRun(["--container", "a-b"]).exitCode == 66)
      let inside = try ToolRun(["--container", name, "--pid-in-container", "1"])
      #expect(inside.exitCode == 66)
      #expect(
        inside.error.contains("\n    \(program.pid)  HeapScenario (pid \(program.pid))\n"),
        "\(inside.error)")
    }
    #expect(try program.close() == .exit(0))
  }

  @Test("a program that is called like a virtual machine is shown, with a note")
  func guestHost() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("firecracker")
    try writeExecutable(try contents(ofFile: BuildProduct.heapScenario.path()), to: path)
    let program = try TargetProgram(ChildProcess.Launch(path, ["small10"]))
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)"])
    #expect(run.exitCode == 0)
    #expect(
      run.error
        == "note: it runs a virtual machine (firecracker): what the guest's programs allocate is not "
        + "in its malloc; for a program of the guest, run malloscope inside of the guest\n")
    #expect(try ToolRun(["\(program.pid)", "-q"]).error == "")
    let doctor = try ToolRun(["doctor", "\(program.pid)"])
    #expect(flowed(doctor.output).contains("note sandbox it runs a virtual machine"))
    #expect(try program.close() == .exit(0))
  }
}
