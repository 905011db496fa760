// What the tool says of an emulator's process.

import HeapModel
import TestKit
import Testing

@Suite("The tool and an emulated program")
struct EmulatorReportTests {
  @Test(
    "both copies of malloc are shown, and that the program's threads' registers are not known is said",
    .enabled(if: ArmGlibc.obstacle == nil, Comment(rawValue: ArmGlibc.obstacle ?? "")),
    arguments: [[], ["--no-stop"]])
  func tool(options: [String]) throws {
    let glibc = try #require(ArmGlibc.usable.last)
    let program = try glibc.start(scenario: "threads", ["2000"])
    let oracle = try program.waitForOracle()
    let run = try ToolRun(["arenas", "\(program.pid)", "-v"] + options)
    // Incomplete, since it cannot be told which caches there are.
    #expect(run.exitCode == (options.isEmpty ? 2 : 0), "\(run.error)")
    let copies = run.output.split(separator: "\n").map(String.init).filter {
      $0.hasPrefix("     ") && $0.hasSuffix("/libc.so.6")
    }
    #expect(copies.count == 2, "\(run.output)")
    #expect(copies.last?.contains(" \(glibc.version) ") == true, "\(run.output)")
    let said = run.output.contains("is code for aarch64, run by an emulator")
    #expect(said == options.isEmpty, "\(run.output)")

    let list = try ToolRun(["chunks", "\(program.pid)", "--format", "csv"] + options)
    let found = Set(
      list.output.split(separator: "\n").compactMap { row -> String? in
        let fields = row.split(separator: ",")
        return fields.count == 5 && fields[3] == "in_use" ? "\(fields[0]) \(fields[2])" : nil
      })
    let missing = oracle.live.filter { !found.contains("\($0.key) \($0.value)") }
    #expect(missing.isEmpty, "\(missing.count) of \(oracle.live.count) blocks are missing")
    #expect(try program.close() == .exit(0))
  }

  @Test(
    "a tagged pointer leads to its chunk, of which the program may write what it says",
    .enabled(if: ArmGlibc.obstacle == nil, Comment(rawValue: ArmGlibc.obstacle ?? "")))
  func taggedPointer() throws {
    let glibc = try #require(ArmGlibc.usable.first { $0 == .v236 || $0 == .v241 })
    let program = try glibc.start(scenario: "main-only", ["500"], tagsMemory: true)
    let oracle = try program.waitForOracle()
    let (block, usable) = try #require(oracle.live.first { $0.key.bits >> 56 != 0 })
    let run = try ToolRun(
      ["chunks", "\(program.pid)", "--at", "\(block)", "--format", "csv"])
    let rows = run.output.split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
    #expect(rows.count == 1, "\(run.output)\(run.error)")
    let address = "0x" + String(block.bits & (1 << 56 - 1), radix: 16)
    #expect(rows.first?.first.map(String.init) == address)
    #expect(rows.first.map { String($0[2]) } == "\(usable)")
    #expect(rows.first.map { String($0[3]) } == "in_use")
  }

  @Test(
    "a clone of the emulator is shown like the process itself",
    .enabled(if: ArmGlibc.obstacle == nil, Comment(rawValue: ArmGlibc.obstacle ?? "")))
  func clone() throws {
    let glibc = try #require(ArmGlibc.usable.first)
    let program = try glibc.start(scenario: "main-only", ["500"])
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)", "--capture", "fork"])
    #expect(run.exitCode == 2, "\(run.error)")
    #expect(run.output.contains("thread with unknown cache: 1"), "\(run.output)")
  }
}
