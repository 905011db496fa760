// Naming a process by its container, however the engine spells that, and by its own name.

import Glibc
import TestKit
import Testing

@Suite("A process named by its container", .serialized)
struct ContainerNameTests {
  /// How an engine names control groups: ID stands for the container's.
  static let spellings = [
    "/docker/ID", "/system.slice/docker-ID.scope",
    "/kubepods.slice/kubepods-burstable.slice/"
      + "kubepods-burstable-pod0a1b2c3d_4e5f_6071_8293_a4b5c6d7e8f9.slice/cri-containerd-ID.scope",
    "/kubepods/besteffort/pod0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/ID",
    "/kubepods.slice/kubepods-pod0a1b2c3d_4e5f_6071_8293_a4b5c6d7e8f9.slice/crio-ID.scope",
    "/machine.slice/libpod-ID.scope", "/libpod_parent/libpod-ID",
  ]

  private func start(_ group: String, name: String? = nil) throws -> Container {
    let naming = name.map { "open('/proc/self/comm', 'w').write('\($0)'); " } ?? ""
    var plan = ContainerPlan([
      "/usr/bin/python3", "-c",
      "import sys; " + naming + "print('ready', flush=True); sys.stdin.read()",
    ])
    plan.controlGroup = group
    let container = try Container(plan, in: .bookworm)
    try container.program.waitReady()
    return container
  }

  private func spelled(_ spelling: String, _ id: String) -> String {
    spelling.split(separator: "ID").joined(separator: id[...])
      + (spelling.hasSuffix("ID") ? id : "")
  }

  @Test("by each engine's spelling, from the host and from beside it", arguments: spellings)
  func spelling(spelling: String) throws {
    try needContainers()
    let id = containerID()
    let container = try start(spelled(spelling, id))
    let pid = try container.pid()
    let podUID = spelling.contains("pod0a1b") ? "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9" : nil

    let document = try HeapDocument(
      try ToolRun(["--container", String(id.prefix(12)), "--json"]).output)
    #expect(document.target.pid == pid)
    #expect(document.target.container?.id == id)
    #expect(document.target.container?.podUid == podUID)
    #expect(document.target.container?.namespacedPid == 1)
    let text = try ToolRun([
      "--container", String(id.prefix(12)), "--pid-in-container", "1",
    ])
    #expect(text.exitCode == 0)
    #expect(text.output.contains("container \(id.prefix(12))"), "\(text.output)")
    #expect(text.output.contains("pid 1 inside"))
    let none = try ToolRun(["--container", id, "--pid-in-container", "7"])
    #expect(none.exitCode == 66)

    // Beside it, in a control group namespace of its own as engines make them.
    var plan = ContainerPlan([])
    plan.processes = .of(pid)
    plan.hidesControlGroup = true
    plan.controlGroup = "/docker/" + containerID()
    let beside = try StaticTool.run(["--container", String(id.prefix(8)), "--json"], plan)
    #expect(beside.exitCode == 0, "\(beside.error)")
    #expect(try HeapDocument(beside.output).target.container?.id == id)
    #expect(try container.program.close() == .exit(0))
  }

  @Test("of two containers with programs of the same name each can be chosen, and both are listed")
  func twins() throws {
    try needContainers()
    let name = "twin-\(UInt16.random(in: 0 ... .max))"
    let ids = [containerID(), containerID()]
    let containers = try ids.map { try start("/docker/" + $0, name: name) }
    let pids = try containers.map { try $0.pid() }
    let both = try ToolRun(["--name", "^\(name)$"])
    #expect(both.ending == .exit(64))
    #expect(both.error.contains("2 processes match"), "\(both.error)")
    for pid in pids { #expect(both.error.contains("\n  \(pid)  (1 inside)  "), "\(both.error)") }
    for (id, pid) in zip(ids, pids) {
      let one = try HeapDocument(try ToolRun(["--container", id, "--json"]).output)
      #expect(one.target.pid == pid && one.target.command == name)
    }
    // What they have in common is not enough.
    for container in containers { #expect(try container.program.close() == .exit(0)) }
  }
}
