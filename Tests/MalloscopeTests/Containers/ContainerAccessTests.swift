// What the options of a debug container allow, and what the tool says where they do not suffice.

import Glibc
import TestKit
import Testing

@Suite("What a debug container may do", .serialized)
struct ContainerAccessTests {
  /// A container beside the target's, and how runs of the tool end there.
  struct Row: CustomTestStringConvertible {
    var testDescription: String
    var change: @Sendable (inout ContainerPlan) -> Void
    /// The target's user and group.
    var targetUser = 0
    /// Options of the run.
    var options: [String] = []
    var code: Int32 = 0
    /// The first line of its standard error, without the tool's name; NAME is the target's.
    var fact = ""
    /// The hints.
    var hints: [String] = []
    /// What `doctor` says among other things.
    var doctor: [String] = []

    init(
      _ name: String, targetUser: Int = 0, options: [String] = [], code: Int32 = 0,
      fact: String = "",
      hints: [String] = [], doctor: [String] = [],
      _ change: @escaping @Sendable (inout ContainerPlan) -> Void
    ) {
      testDescription = name
      self.targetUser = targetUser
      self.options = options
      self.code = code
      self.fact = fact
      self.hints = hints
      self.doctor = doctor
      self.change = change
    }
  }

  static let readable = "ok memory its memory can be read"
  static let containerHint =
    "in a container: --cap-add SYS_PTRACE, or kubectl debug --profile=sysadmin"

  static let rows = [
    Row("default capabilities, uid 0", doctor: [readable]) { _ in },
    Row("with SYS_PTRACE", doctor: [readable, "ok capability CAP_SYS_PTRACE is in effect"]) {
      $0.capabilities.append("SYS_PTRACE")
    },
    Row(
      "without a system-call filter",
      doctor: [readable, "ok seccomp no system-call filter is active on this tool"]
    ) { $0.deniedCalls = nil },
    Row(
      "uid 1000 with SYS_PTRACE in effect",
      doctor: [
        "note memory its memory file cannot be opened (Permission denied (errno 13)), though it can "
          + "be attached to; process_vm_readv is used instead"
      ]
    ) {
      $0.user = 1000
      $0.capabilities = ["SYS_PTRACE"]
      $0.hasAmbientCapabilities = true
    },
    Row("uid 1000 with SYS_PTRACE and DAC_READ_SEARCH in effect", doctor: [readable]) {
      $0.user = 1000
      $0.capabilities = ["SYS_PTRACE", "DAC_READ_SEARCH"]
      $0.hasAmbientCapabilities = true
    },
    Row(
      "uid 1000 with SYS_PTRACE not in effect", code: 77,
      fact: "attaching to process 1 (NAME) was refused: this container has SYS_PTRACE but not in "
        + "effect, because the tool runs as uid 1000",
      hints: [
        "run the debug container as root (runAsUser: 0, or --user 0)",
        "set the capability on the binary: setcap cap_sys_ptrace+ep",
      ]
    ) {
      $0.user = 1000
      $0.capabilities.append("SYS_PTRACE")
    },
    Row(
      "uid 1000, privileged", code: 77,
      fact: "attaching to process 1 (NAME) was refused: this container has SYS_PTRACE but not in "
        + "effect, because the tool runs as uid 1000",
      hints: [
        "run the debug container as root (runAsUser: 0, or --user 0)",
        "set the capability on the binary: setcap cap_sys_ptrace+ep",
      ]
    ) {
      $0.user = 1000
      $0.capabilities += ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "DAC_READ_SEARCH"]
      $0.deniedCalls = nil
    },
    Row(
      "uid 1000 without SYS_PTRACE", code: 77,
      fact:
        "process 1 (NAME) belongs to uid 0 and this tool runs as uid 1000 without CAP_SYS_PTRACE",
      hints: ["run it as uid 0, or with sudo", containerHint]
    ) { $0.user = 1000 },
    Row(
      "no capabilities", code: 77,
      fact: "process 1 (NAME) holds capabilities (0xa80425fb) that this tool lacks, and this tool "
        + "runs without CAP_SYS_PTRACE",
      hints: ["run it with sudo", containerHint]
    ) { $0.capabilities = [] },
    Row(
      "default capabilities, target another user", targetUser: 1000, code: 77,
      fact:
        "process 1 (NAME) belongs to uid 1000 and this tool runs as uid 0 without CAP_SYS_PTRACE",
      hints: ["run it as uid 1000, or with sudo", containerHint]
    ) { _ in },
    Row("SYS_PTRACE, target another user", targetUser: 1000, doctor: [readable]) {
      $0.capabilities.append("SYS_PTRACE")
    },
    Row("the target's own user, no capabilities", targetUser: 1000, doctor: [readable]) {
      $0.user = 1000
      $0.capabilities = []
    },
    Row("SYS_PTRACE alone", doctor: [readable]) { $0.capabilities = ["SYS_PTRACE"] },
    Row(
      "ptrace filtered", code: 77,
      fact: "attaching to process 1 (NAME) was refused, and a system-call filter is active on this "
        + "tool",
      hints: [
        "read the heap without attaching: --no-stop",
        "add the capability, which docker's filter looks at before kernel 4.8: --cap-add SYS_PTRACE",
        "run without the filter: --security-opt seccomp=unconfined",
      ],
      doctor: [
        "no seccomp a system-call filter on this tool refuses attaching to any process: Operation not "
          + "permitted (errno 1)"
      ]
    ) { $0.deniedCalls = ["ptrace"] },
    Row("ptrace filtered, without a stop", options: ["--no-stop"]) {
      $0.deniedCalls = ["ptrace"]
    },
    Row(
      "process_vm_readv filtered",
      doctor: [
        "note memory process_vm_readv is refused (Operation not permitted (errno 1)); its memory "
          + "file is used instead"
      ]
    ) { $0.deniedCalls = ["process_vm_readv"] },
    Row("both filtered, without a stop", options: ["--no-stop"]) {
      $0.deniedCalls = ["process_vm_readv", "ptrace"]
    },
  ]

  @Test("beside a target that an engine started", arguments: rows)
  func beside(row: Row) throws {
    try needContainers()
    let program = try DebianGlibc.v231.program("HeapScenario")
    var target = ContainerPlan(["", "main-only", "300"])
    target.user = row.targetUser
    let container = try Container(target, in: .bookworm, copying: program)
    try container.program.waitReady()
    let pid = try container.pid()
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    plan.controlGroup = "/docker/" + containerID()
    row.change(&plan)

    let run = try StaticTool.run(["1"] + row.options, plan)
    #expect(run.ending == .exit(row.code), "\(run.error)")
    let doctor = try StaticTool.run(["doctor", "1"], plan)
    let text = doctor.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    for line in row.doctor { #expect(text.contains(line), "\(doctor.output)") }
    if row.code == 0 {
      #expect(run.output.contains("glibc 2.36") && run.error == "", "\(run.error)")
    } else {
      let name = String(container.id.prefix(15))
      let fact = row.fact.split(separator: "NAME").joined(separator: name[...])
      let expected =
        ["malloscope: " + fact] + row.hints.map { "  hint: " + $0 }
      #expect(run.error.split(separator: "\n").map(String.init) == expected)
      #expect(run.output == "")
      #expect(doctor.ending == .exit(row.code), "\(doctor.output)")
      #expect(text.contains(" no heap " + fact), "\(doctor.output)")
    }
    #expect(try container.program.close() == .exit(0))
  }

  @Test("without the target's PID namespace, what the number means is said")
  func otherNamespace() throws {
    try needContainers()
    var plan = ContainerPlan([])
    plan.capabilities = ["SYS_PTRACE"]
    for verb in [["4711"], ["doctor", "4711"], ["watch", "4711", "1", "1"]] {
      let run = try StaticTool.run(verb, plan)
      #expect(run.ending == .exit(66))
      let lines = run.error.split(separator: "\n")
      #expect(lines.first == "malloscope: cannot find process 4711 in this PID namespace")
      let hint =
        "  hint: the number may be a host PID: share the target's PID namespace "
        + "(--pid=container:NAME, kubectl debug --target=CONTAINER) or run on the node"
      #expect(lines.dropFirst().first.map(String.init) == hint)
    }
    let own = try StaticTool.run(["doctor"], plan)
    #expect(own.ending == .exit(0))
    let text = own.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    #expect(text.contains("no other process can be seen in this PID namespace"), "\(own.output)")
  }
}
