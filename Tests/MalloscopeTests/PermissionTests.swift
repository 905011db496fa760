// Who may attach to whom: each reason for a refusal with real processes, and its exact words.

import Glibc
import TestKit
import Testing

@Suite("Refusals")
struct PermissionTests {
  /// A tool and a target that it may not attach to.
  struct Row: CustomTestStringConvertible {
    var testDescription: String
    /// setpriv's options for the target and for the tool.
    var target: [String]
    var tool: [String]
    var isDumpable = true
    /// The first line of standard error, PID and NAME being the target's.
    var fact: String
    var hints: [String]
  }

  /// Another user, without any capability and without a way to one.
  private static func user(_ uid: Int, _ gid: Int) -> [String] {
    [
      "--reuid", "\(uid)", "--regid", "\(gid)", "--clear-groups", "--inh-caps", "-all",
      "--bounding-set", "-sys_ptrace",
    ]
  }

  private static let rootWithoutTracing = [
    "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace",
  ]
  private static let containerHint =
    "in a container: --cap-add SYS_PTRACE, or kubectl debug --profile=sysadmin"

  static let rows = [
    Row(
      testDescription: "another user's process", target: [], tool: user(1000, 1000),
      fact: "process PID (NAME) belongs to uid 0 and this tool runs as uid 1000 without "
        + "CAP_SYS_PTRACE",
      hints: ["run it as uid 0, or with sudo", containerHint]),
    Row(
      testDescription: "a user's process, to root without SYS_PTRACE", target: user(1000, 1000),
      tool: rootWithoutTracing,
      fact: "process PID (NAME) belongs to uid 1000 and this tool runs as uid 0 without "
        + "CAP_SYS_PTRACE",
      hints: ["run it as uid 1000, or with sudo", containerHint]),
    Row(
      testDescription: "root's process, to root without SYS_PTRACE", target: [],
      tool: rootWithoutTracing,
      fact:
        "process PID (NAME) holds capabilities (0x80000) that this tool lacks, and this tool runs "
        + "without CAP_SYS_PTRACE",
      hints: ["run it with sudo", containerHint]),
    Row(
      testDescription: "another group's process", target: user(1000, 1001),
      tool: user(1000, 1000),
      fact: "process PID (NAME) belongs to gid 1001 and this tool runs with gid 1000 without "
        + "CAP_SYS_PTRACE",
      hints: ["run it with gid 1001, or with sudo", containerHint]),
    Row(
      testDescription: "a process that is not dumpable", target: user(1000, 1000),
      tool: user(1000, 1000), isDumpable: false,
      fact: "process PID (NAME) is not dumpable: it has forbidden others of its user to look at it",
      hints: ["run it with sudo", containerHint]),
  ]

  private func start(_ row: Row) throws -> TargetProgram {
    // PR_SET_DUMPABLE is 4.
    let text =
      "import ctypes, sys; " + (row.isDumpable ? "" : "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); ")
      + "print('ready', flush=True); sys.stdin.read()"
    let program = try TargetProgram(
      .init(
        try installedProgram("setpriv"),
        row.target + [try installedProgram("python3"), "-I", "-S", "-c", text]))
    try program.waitReady()
    return program
  }

  @Test("each has its line, its hints and exit code 77, from doctor too", arguments: rows)
  func refusal(row: Row) throws {
    let program = try start(row)
    func run(_ arguments: [String]) throws -> ToolRun {
      try ToolRun(
        executable: try installedProgram("setpriv"),
        row.tool + [try BuildProduct.malloscope.path()] + arguments)
    }
    let fact = row.fact.replacing("PID", with: "\(program.pid)")
      .replacing("NAME", with: status(program.pid, "Name"))
    for options in [[], ["--capture", "stop"], ["--no-stop"]] {
      let run = try run(["\(program.pid)"] + options)
      #expect(run.ending == .exit(77), "\(options): \(run.error)")
      #expect(
        run.error.split(separator: "\n").map(String.init)
          == ["malloscope: " + fact] + row.hints.map { "  hint: " + $0 }, "\(options)")
      #expect(run.output == "")
    }
    let doctor = try run(["doctor", "\(program.pid)"])
    #expect(doctor.ending == .exit(77))
    let text = doctor.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    #expect(text.contains("no heap " + fact), "\(doctor.output)")
    for hint in row.hints { #expect(text.contains("note hint " + hint), "\(doctor.output)") }
    #expect(try program.close() == .exit(0))
  }

  @Test("a user's own process needs no capability")
  func own() throws {
    let row = Row(
      testDescription: "", target: Self.user(1000, 1000), tool: Self.user(1000, 1000), fact: "",
      hints: [])
    let program = try start(row)
    let run = try ToolRun(
      executable: try installedProgram("setpriv"),
      row.tool + [try BuildProduct.malloscope.path(), "\(program.pid)"])
    #expect(run.ending == .exit(0), "\(run.error)")
    #expect(try program.close() == .exit(0))
  }
}
