// Programs in real containers, and the tool on the host and in containers beside them.

import Glibc
import HeapModel
import TestKit
import Testing

/// Where the tool runs.
enum ToolPlace: String, CaseIterable {
  /// On the host, as root.
  case host
  /// In a container with all privileges that shares the target's PID namespace.
  case privileged
  /// In one that has but the capability to trace.
  case tracingOnly
  /// In one as an engine starts it.
  case usual
  /// As another user with capabilities in effect.
  case otherUser
  /// In one that shares the host's PID namespace.
  case hostProcesses

  /// The tool's container, nil for none, beside the process `pid`.
  func plan(beside pid: Int32) -> ContainerPlan? {
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    switch self {
    case .host: return nil
    case .privileged:
      plan.capabilities += ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "DAC_READ_SEARCH"]
      plan.deniedCalls = nil
    case .tracingOnly: plan.capabilities = ["SYS_PTRACE"]
    case .usual: break
    case .otherUser:
      plan.user = 1000
      plan.capabilities = ["SYS_PTRACE", "DAC_READ_SEARCH"]
      plan.hasAmbientCapabilities = true
    case .hostProcesses:
      plan.processes = .host
      plan.capabilities = ["SYS_PTRACE", "DAC_READ_SEARCH"]
    }
    return plan
  }

  /// What it calls the first process of a container that is `pid` on the host.
  func number(of pid: Int32) -> Int32 {
    switch self {
    case .host, .hostProcesses: pid
    default: 1
    }
  }

  /// Runs the tool there.
  func run(_ arguments: [String], beside pid: Int32) throws -> ToolRun {
    guard let plan = plan(beside: pid) else { return try ToolRun(arguments) }
    return try StaticTool.run(arguments, plan)
  }
}

/// An id as engines give them.
func containerID() -> String {
  String((0..<64).map { _ in "0123456789abcdef".randomElement() ?? "0" })
}

/// Has the test go on only where containers can be run; elsewhere it is skipped, but in CI it fails.
func needContainers() throws {
  if let obstacle = Container.obstacle { try Test.cancel(Comment(rawValue: obstacle)) }
}

@Suite("Containers", .serialized)
struct ContainerTests {
  /// How the target's container differs from what an engine makes of it.
  enum Variant: String, CaseIterable {
    case plain
    /// With a user namespace of its own.
    case users
    /// With an overlay file system as its root, whose files have other device numbers in maps.
    case overlay
  }

  /// Starts HeapScenario as the first process of a container.
  private func start(
    _ root: ContainerRoot, _ variant: Variant
  ) throws -> (Container, HeapOracle, Int32) {
    let program = try DebianGlibc.v231.program("HeapScenario")
    var plan = ContainerPlan(["", "everything"])
    if variant == .users { plan.users = .own }
    plan.isReadOnly = variant != .overlay
    let container = try Container(
      plan, in: root, copying: program, overlay: variant == .overlay)
    return (container, try container.program.waitForOracle(), try container.pid())
  }

  @Test(
    "from everywhere, each chunk and each sum is what the program and its glibc say",
    arguments: ContainerRoot.allCases, Variant.allCases)
  func agreement(root: ContainerRoot, variant: Variant) throws {
    try needContainers()
    let (container, oracle, pid) = try start(root, variant)
    let places: [ToolPlace] =
      variant == .plain ? ToolPlace.allCases : [.host, .hostProcesses]
    for place in places {
      let number = place.number(of: pid)
      let comparison = try HeapComparison(number, oracle, .init(threadVectors: 4)) {
        try place.run($0, beside: pid)
      }
      #expect(comparison.differences.prefix(5) == [], "\(place)")
      let target = comparison.document.target
      // The one of its image, not ours, which has the same path.
      #expect(target.glibc == root.glibc, "\(place)")
      #expect(target.pid == number)
      #expect(target.executable == "/programs/\(container.id)", "\(place)")
    }
    #expect(try container.program.close() == .exit(0))
  }

  @Test("beside a target in a user namespace, in that namespace, no capability is needed")
  func inUserNamespace() throws {
    try needContainers()
    let (container, oracle, pid) = try start(.trixie, .users)
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    plan.users = .of(pid)
    let comparison = try HeapComparison(1, oracle, .init(threadVectors: 4)) {
      try StaticTool.run($0, plan)
    }
    #expect(comparison.differences.prefix(5) == [])
    #expect(try container.program.close() == .exit(0))
  }

  /// Of what an interpreter allocates nobody keeps a list; but its heap adds up.
  @Test("Python of each Debian, in each way to capture", arguments: ContainerRoot.allCases)
  func python(root: ContainerRoot) throws {
    try needContainers()
    let text =
      "import sys; x = [bytes(1000) for i in range(10000)]; del x[::3]; "
      + "print('ready', flush=True); sys.stdin.read()"
    let container = try Container(ContainerPlan(["/usr/bin/python3", "-c", text]), in: root)
    try container.program.waitReady()
    let pid = try container.pid()
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    plan.capabilities = ["SYS_PTRACE"]
    for choice in [CaptureChoice.auto, .stop, .slices, .live] {
      let run = try StaticTool.run(["1", "--json"] + choice.options, plan)
      #expect(run.exitCode == 0, "\(choice): \(run.error)")
      let document = try HeapDocument(run.output)
      #expect(document.coverage == 1 && document.checks.allSatisfy { $0.holds }, "\(choice)")
      #expect(document.target.glibc == root.glibc)
      #expect(document.totals.inUseChunks > 6666)
    }
    // The filter that every engine has forbids that.
    let clone = try StaticTool.run(["1"] + CaptureChoice.fork.options, plan)
    #expect(clone.exitCode == 69)
    #expect(
      clone.error.contains(
        "process 1 was not cloned: a seccomp filter judges the system calls of its thread 1"),
      "\(clone.error)")
    #expect(try container.program.close() == .exit(0))
  }

  @Test("without the right to see which pages are in memory, all but that is told")
  func hiddenPages() throws {
    try needContainers()
    let (container, oracle, pid) = try start(.bullseye, .plain)
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    plan.user = 1000
    plan.capabilities = ["SYS_PTRACE"]
    plan.hasAmbientCapabilities = true
    let arenas = try reportedHeap(1, verb: "arenas", code: 2) { try StaticTool.run($0, plan) }
    #expect(arenas.findings.map(\.kind) == ["unreadable"])
    #expect(
      arenas.findings.first?.detail
        == "which pages are in memory is not known: cannot read /proc/1/pagemap: Permission denied "
        + "(errno 13), which CAP_DAC_READ_SEARCH allows")
    #expect(arenas.totals.systemBytes == oracle.mallInfo2?.arena)
    let histogram = try reportedHeap(1) { try StaticTool.run($0, plan) }
    #expect(histogram.totals == arenas.totals)
    #expect(try container.program.close() == .exit(0))
  }

  @Test(
    "a library that is deleted while it is in use is read nevertheless",
    arguments: ContainerRoot.allCases)
  func deletedLibrary(root: ContainerRoot) throws {
    try needContainers()
    let (container, oracle, pid) = try start(root, .overlay)
    let deleted = root.libraries.filter {
      unlink("/proc/\(pid)/root\($0)") == 0
    }
    #expect(!deleted.isEmpty)
    let maps = String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
    #expect(maps.contains("/\(root == .bullseye ? "libc-2.31.so" : "libc.so.6") (deleted)"))
    // As root who may do no more than trace.
    let limited = try HeapComparison(pid, oracle, .init(threadVectors: 4)) { arguments in
      try ToolRun(
        executable: try installedProgram("setpriv"),
        ["--bounding-set=-all,+sys_ptrace", "--inh-caps=-all", BuildProduct.malloscope.path()]
          + arguments)
    }
    #expect(limited.differences.prefix(5) == [])
    #expect(limited.document.target.evidence.contains { $0.what == "file" })
    // Where only tracing is permitted, the kernel does not open deleted files; memory is read.
    for place in [ToolPlace.host, .privileged, .tracingOnly] {
      let comparison = try HeapComparison(place.number(of: pid), oracle, .init(threadVectors: 4)) {
        try place.run($0, beside: pid)
      }
      #expect(comparison.differences.prefix(5) == [], "\(place)")
      let file = comparison.document.target.evidence.first { $0.what == "file" }
      #expect((file != nil) == (place == .tracingOnly), "\(place)")
    }
    #expect(try container.program.close() == .exit(0))
  }

  @Test("a target that has changed its root, in a PID namespace or not", arguments: [false, true])
  func changedRoot(isNested: Bool) throws {
    try needContainers()
    let copy = try InstalledCopy(
      of: try DebianGlibc.v231.program("HeapScenario"), in: .trixie,
      as: "malloscope-test-\(UInt32.random(in: 0 ... .max))")
    let change = [
      try installedProgram("chroot"), ContainerRoot.trixie.path, copy.path, "everything",
    ]
    let command =
      isNested ? [try installedProgram("unshare"), "--pid", "--fork"] + change : change
    let program = try TargetProgram(.init(command[0], Array(command.dropFirst())))
    let oracle = try program.waitForOracle()
    let children = try contents(ofFile: "/proc/\(program.pid)/task/\(program.pid)/children")
    let child = Int32(String(decoding: children, as: UTF8.self).prefix { $0 != " " })
    let pid = isNested ? try #require(child) : program.pid
    // Its files have other names in its own view, in ours, and in a container's.
    for place in [ToolPlace.host, .hostProcesses] {
      let comparison = try HeapComparison(pid, oracle, .init(threadVectors: 4)) {
        try place.run($0, beside: pid)
      }
      #expect(comparison.differences.prefix(5) == [], "\(place)")
      #expect(comparison.document.target.glibc == "2.41")
    }
    let doctor = try ToolRun(["doctor", "\(pid)"])
    #expect(doctor.output.contains("1 in its own PID namespace") == isNested, "\(doctor.output)")
    #expect(try program.close() == .exit(0))
  }

  @Test("a target that is frozen with its container is read without a stop, and stays frozen")
  func frozen() throws {
    try needContainers()
    let (container, oracle, pid) = try start(.bookworm, .plain)
    try container.tell("pause")
    for place in [ToolPlace.host, .tracingOnly] {
      let comparison = try HeapComparison(place.number(of: pid), oracle, .init(threadVectors: 4)) {
        try place.run($0, beside: pid)
      }
      #expect(comparison.differences.prefix(5) == [], "\(place)")
    }
    let clone = try ToolRun(["\(pid)"] + CaptureChoice.fork.options)
    #expect(clone.ending == .exit(69))
    #expect(
      clone.error.hasPrefix("malloscope: process \(pid) was not cloned: its control group "),
      "\(clone.error)")
    let text = try ToolRun(["\(pid)"])
    #expect(text.output.contains("stopped  never, it was frozen"), "\(text.output)")
    #expect(text.error.hasPrefix("note: process \(pid) is read without a stop: "), "\(text.error)")
    let state = status(pid, "State")
    #expect(state.hasPrefix("D") || state.hasPrefix("S"), "\(state)")
    try container.tell("resume")
    #expect(try container.program.close() == .exit(0))
  }
}
