// Messages and layouts that are not as they should be yet; each belongs into the suite of its subject
// once it is.

import Glibc
import TestKit
import Testing

@Suite("Messages that are still wrong", .serialized)
struct OpenMessageTests {
  @Test("a process that exits while the tool attaches is shown or has ended, and nothing else")
  func exiting() throws {
    var codes: [Int32: Int] = [:]
    for _ in 0..<200 {
      // The tool takes some 20 ms.
      let program = try TargetProgram(
        scenario: "exiter", ["\(Int.random(in: 8..<45))"])
      try program.waitReady()
      let tool = try ToolRun(["\(program.pid)", "--json"], within: .seconds(20))
      codes[try #require(tool.exitCode), default: 0] += 1
      #expect(try program.close() == .exit(0))
    }
    #expect(Set(codes.keys).isSubset(of: [0, 66]), "\(codes)")
  }

  @Test(
    "who may not attach is told whose process it is and what may help",
    .enabled(if: geteuid() == 0, "only root can become somebody else"))
  func notPermitted() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let run = try runAsNobody(["\(program.pid)"])
    #expect(run.exitCode == 77)
    #expect(
      run.error.hasPrefix(
        "malloscope: process \(program.pid) (HeapScenario) belongs to uid 0 and this tool runs as "
          + "uid 65534 without CAP_SYS_PTRACE\n  hint: "), "\(run.error)")
  }

  @Test("a static program's own glibc is nothing to report")
  func staticGlibc() throws {
    let path = try CompiledProgram.path("Allocating.c", flags: ["-static"])
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    #expect(try reportedHeap(program.pid).findings.map(\.detail) == [])
  }

  @Test("the table of arenas fits 80 columns")
  func arenasFit() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let noColumns: [String: String?] = ["COLUMNS": nil]
    let run = try ToolRun(["arenas", "\(program.pid)"], environment: noColumns)
    #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(run.output)")
  }
}
