// Where the data goes, and what happens when it cannot go there.

import Glibc
import TestKit
import Testing

@Suite("The tool's output goes where it was sent, or the failure is told")
struct OutputTests {
  static let everyOutput = [
    ["histogram"], ["histogram", "--json"], ["histogram", "--format", "csv"], ["chunks"],
    ["chunks", "--json"], ["chunks", "--format", "csv"], ["arenas"], ["arenas", "--json"],
    ["arenas", "--format", "csv"],
  ]

  @Test("a reader that is gone ends the tool by SIGPIPE, without a word", arguments: everyOutput)
  func closedPipe(arguments: [String]) throws {
    let program = try target()
    let run = try ToolRun(arguments + ["\(program.pid)"], output: .closedPipe)
    #expect(run.ending == .signal(SIGPIPE))
    #expect(run.error == "")
    try expectFree(program)
  }

  @Test("a reader that leaves after the first lines ends the tool by SIGPIPE")
  func head() throws {
    let program = try target()
    let tool = try BuildProduct.malloscope.path()
    let run = try ToolRun(
      executable: try installedProgram("bash"),
      ["-c", "'\(tool)' chunks \(program.pid) --format csv | head -1; echo ${PIPESTATUS[0]}"])
    #expect(run.output == "address,size,usable,state,arena\n141\n")
    #expect(run.error == "")
  }

  @Test("a full disk is an error, on standard output and in a file", arguments: everyOutput)
  func fullDisk(arguments: [String]) throws {
    let program = try target()
    let run = try ToolRun(arguments + ["\(program.pid)"], output: .file("/dev/full"))
    #expect(run.ending == .exit(74))
    #expect(run.error == "malloscope: cannot write standard output: No space left on device\n")
    let file = try ToolRun(arguments + ["\(program.pid)", "-o", "/dev/full", "--force"])
    #expect(file.ending == .exit(74))
    #expect(file.error == "malloscope: cannot write /dev/full: No space left on device\n")
    // It was not ours to remove.
    #expect(access("/dev/full", F_OK) == 0)
    try expectFree(program)
  }

  @Test("a file that exists is kept unless --force is given")
  func existingFile() throws {
    let program = try target()
    let directory = try TemporaryDirectory()
    let path = directory.file("report")
    try write("precious\n", toFile: path)
    let refused = try ToolRun(["\(program.pid)", "--json", "-o", path])
    #expect(refused.ending == .exit(74))
    #expect(
      refused.error
        == "malloscope: cannot write \(path): it exists\n  hint: add --force to overwrite it\n")
    #expect(try text(path) == "precious\n")
    let forced = try ToolRun(["\(program.pid)", "--json", "-o", path, "--force"])
    #expect(forced.ending == .exit(0))
    #expect(forced.output == "" && forced.error == "")
    #expect(try HeapDocument(text(path)).target.pid == program.pid)
  }

  @Test("a new file gets what standard output would")
  func newFile() throws {
    let program = try target()
    let directory = try TemporaryDirectory()
    let path = directory.file("chunks.csv")
    let run = try ToolRun(["chunks", "\(program.pid)", "--format", "csv", "--output", path])
    #expect(run.ending == .exit(0))
    #expect(run.output == "" && run.error == "")
    let direct = try ToolRun(["chunks", "\(program.pid)", "--format", "csv"])
    #expect(try text(path) == direct.output)
  }

  @Test("a file is not left behind when there is nothing to write")
  func noFileOnFailure() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("report")
    #expect(try ToolRun(["99999999", "-o", path]).ending == .exit(66))
    #expect(access(path, F_OK) != 0)
    let zombie = try TargetProgram(scenario: "traced")
    let child = try #require(try zombie.waitForOracle().facts["child"]?.first)
    #expect(try ToolRun([child, "-o", path]).ending == .exit(77))
    #expect(access(path, F_OK) != 0)
  }

  @Test("a place that does not exist is an error")
  func noSuchDirectory() throws {
    let program = try target()
    let directory = try TemporaryDirectory()
    let path = directory.file("missing/report")
    let run = try ToolRun(["\(program.pid)", "-o", path])
    #expect(run.ending == .exit(74))
    #expect(run.error == "malloscope: cannot write \(path): No such file or directory\n")
  }

  private func target() throws -> TargetProgram {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    return program
  }

  private func text(_ path: String) throws -> String {
    String(decoding: try contents(ofFile: path), as: UTF8.self)
  }

  private func expectFree(_ program: TargetProgram) throws {
    #expect(status(program.pid, "TracerPid") == "0")
    #expect(try program.ask() == "here")
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
