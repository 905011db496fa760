// Frozen control groups, in made-up trees and as the kernel has them.

import Glibc
import LinuxTarget
import TestKit
import Testing

@Suite("A process whose control group is frozen")
struct FreezerTests {
  private static let firstObstacle = TestControlGroup.obstacle("freezer", isUnified: false)
  private static let unifiedObstacle = TestControlGroup.obstacle("freezer", isUnified: true)

  /// Makes files below `files`, and process 20 in groups of both versions.
  private func state(_ groups: String, _ contents: [String: String]) throws -> Freezer? {
    let fake = try FakeProc()
    let files = try TemporaryDirectory()
    try fake.add(20, name: "web")
    try fake.write(20, "cgroup", groups)
    try fake.write(
      10, "mountinfo",
      "1 2 0:3 / /v1 rw - cgroup cgroup rw,freezer\n1 2 0:4 / /v2 rw - cgroup2 cgroup2 rw\n")
    for (path, text) in contents {
      var directory = files.path
      for part in path.split(separator: "/").dropLast() {
        directory += "/" + part
        mkdir(directory, 0o755)
      }
      try write(text + "\n", toFile: files.file(path))
    }
    var found = Freezer.state(of: 20, proc: fake.proc, files: files.path)
    found?.directory.removeFirst(files.path.count)
    return found
  }

  @Test("in version 2 the group with cgroup.freeze is named, else the one that says it is frozen")
  func versionTwo() throws {
    #expect(try state("0::/a/b\n", [:]) == nil)
    let running = ["v2/a/b/cgroup.freeze": "0", "v2/a/b/cgroup.events": "populated 1\nfrozen 0"]
    #expect(try state("0::/a/b\n", running) == nil)
    let own = try state("0::/a/b\n", ["v2/a/b/cgroup.freeze": "1"])
    #expect(own == Freezer(version: .two, directory: "/v2/a/b"))
    let events = ["v2/a/b/cgroup.freeze": "0", "v2/a/b/cgroup.events": "populated 1\nfrozen 1"]
    #expect(
      try state("0::/a/b\n", events.merging(["v2/a/cgroup.freeze": "1"]) { $1 })
        == Freezer(version: .two, directory: "/v2/a"))
    // By an ancestor that cannot be seen.
    #expect(try state("0::/a/b\n", events) == Freezer(version: .two, directory: "/v2/a/b"))
    #expect(own?.preventsStops == false)
  }

  @Test("in version 1 the group that was frozen itself is named, also while it freezes")
  func versionOne() throws {
    let groups = "6:freezer:/a/b\n0::/\n"
    #expect(try state(groups, ["v1/a/b/freezer.state": "THAWED"]) == nil)
    let inherited = [
      "v1/a/b/freezer.state": "FROZEN", "v1/a/b/freezer.self_freezing": "0",
      "v1/a/b/freezer.parent_freezing": "1",
    ]
    #expect(
      try state(groups, inherited.merging(["v1/a/freezer.self_freezing": "1"]) { $1 })
        == Freezer(version: .one, directory: "/v1/a"))
    let alone = try state(groups, inherited)
    #expect(alone == Freezer(version: .one, directory: "/v1/a/b"))
    #expect(try state(groups, ["v1/a/b/freezer.state": "FREEZING"]) == alone)
    #expect(alone?.preventsStops == true)
  }

  private func checkLive(isUnified: Bool) throws {
    let group = try TestControlGroup("freezer", isUnified: isUnified)
    let child = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/boundary.c")))
    _ = try child.readLine(by: Deadline(in: .seconds(20)))
    try group.set("cgroup.procs", String(child.pid))
    let (file, on, off) =
      isUnified ? ("cgroup.freeze", "1", "0") : ("freezer.state", "FROZEN", "THAWED")
    #expect(Freezer.state(of: child.pid) == nil)
    try group.set(file, on)
    // A frozen process does not even die.
    defer { try? group.set(file, off) }
    let expected = Freezer(version: isUnified ? .two : .one, directory: group.directory)
    #expect(Freezer.state(of: child.pid) == expected)
    let checks = try AttachFacts.gather(child.pid).checks
    let line = try #require(checks.first { $0.topic == "freezer" })
    #expect(line.verdict == .noted && line.observation.contains(group.directory + " is frozen"))
    try group.set(file, off)
    #expect(Freezer.state(of: child.pid) == nil)
    try child.finish(by: Deadline(in: .seconds(20)))
  }

  @Test(
    "the kernel's freezer of version 1 is seen",
    .enabled(if: firstObstacle == nil, Comment(rawValue: firstObstacle ?? "")))
  func liveOne() throws {
    try checkLive(isUnified: false)
  }

  @Test(
    "the kernel's freezer of version 2 is seen",
    .enabled(if: unifiedObstacle == nil, Comment(rawValue: unifiedObstacle ?? "")))
  func liveTwo() throws {
    try checkLive(isUnified: true)
  }
}
