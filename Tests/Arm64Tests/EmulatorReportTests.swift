// What the tool says of an emulator's process.

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
}
