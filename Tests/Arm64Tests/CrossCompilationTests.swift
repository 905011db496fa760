// The C part compiled for aarch64, and what of it the emulator can run.
//
// The emulator has neither ptrace nor process_vm_readv: what needs them is compiled here, and not run.

import TestKit
import Testing

@Suite("The C part on aarch64")
struct CrossCompilationTests {
  @Test(
    "it compiles without a warning, for the kernel's and the tool's own processor",
    .enabled(
      if: ArmGlibc.compilerObstacle == nil, Comment(rawValue: ArmGlibc.compilerObstacle ?? "")),
    arguments: ["CPtrace.c", "CPtraceCalls.c", "CPtraceSignals.c", "CPtraceTerminal.c"])
  func compiles(file: String) throws {
    let run = try ToolRun(
      executable: try installedProgram(ArmGlibc.compiler),
      [
        "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", "-o", "/dev/null",
        "-I", testsPath("../CPtrace/include"), testsPath("../CPtrace/" + file),
      ])
    #expect(run.ending == .exit(0), "\(run.error)")
  }

  @Test(
    "no system call is made in another process, and memory is read",
    .enabled(
      if: ArmGlibc.obstacle == nil, Comment(rawValue: ArmGlibc.obstacle ?? "")))
  func runs() throws {
    let sources = ["CPtrace.c", "CPtraceCalls.c", "CPtraceSignals.c", "CPtraceTerminal.c"]
    let path = try ArmGlibc.v236.program(
      [testsPath("Targets/ArmCalls.c")] + sources.map { testsPath("../CPtrace/" + $0) },
      as: "ArmCalls", flags: ["-static", "-I", testsPath("../CPtrace/include")])
    let program = try ArmGlibc.emulate([path])
    let lines = try program.waitReady()
    #expect(lines == ["can_make_calls 0", "save_context -38", "set_call -38", "pread 8 1"])
  }
}
