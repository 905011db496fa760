// What is no process that the tool can look at: each has its exit code and its one line.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("A target that cannot be looked at is named, with its exit code")
struct BadTargetTests {
  @Test("a number that is no process")
  func noSuchProcess() throws {
    // Beyond what the kernel gives out.
    let run = try ToolRun(["99999999"])
    expectFailure(run, 66, "cannot find process 99999999 in this PID namespace")
    #expect(run.error.split(separator: "\n").dropFirst().allSatisfy { $0.hasPrefix("  hint: ") })
  }

  @Test("a process that has just ended")
  func endedProcess() throws {
    let program = try TargetProgram(scenario: "unused")
    try program.waitReady()
    try program.close()
    expectFailure(
      try ToolRun(["\(program.pid)"]), 66,
      "cannot find process \(program.pid) in this PID namespace")
  }

  @Test("a thread's number stands for its process, and that is said")
  func threadID() throws {
    let program = try TargetProgram(scenario: "threads")
    let oracle = try program.waitForOracle()
    let thread = try #require(try threads(of: program.pid).first { $0 != program.pid })
    let run = try ToolRun(["\(thread)", "--json"])
    #expect(run.exitCode == 0)
    #expect(
      run.error == "note: \(thread) is a thread of process \(program.pid); showing the process\n")
    let document = try HeapDocument(run.output)
    #expect(document.target.pid == program.pid)
    #expect(document.totals.inUseChunks == UInt64(oracle.live.count) + 5)
    #expect(try ToolRun(["\(thread)", "-q"]).error == "")
  }

  @Test("the tool itself")
  func ourselves() throws {
    let tool = try BuildProduct.malloscope.path()
    let run = try ToolRun(executable: "/bin/sh", ["-c", "echo $$; exec '\(tool)' $$"])
    let pid = try #require(run.output.split(separator: "\n").first)
    #expect(run.exitCode == 69)
    #expect(run.error == "malloscope: process \(pid) is this tool itself\n")
  }

  /// Process 2 begets the kernel's threads wherever its namespace shows them at all; elsewhere the
  /// tests of LinuxTarget do this with a file system of their own.
  static let showsKernelThreads = status(2, "Name") == "kthreadd"

  @Test("a thread of the kernel", .enabled(if: showsKernelThreads, "this container hides them"))
  func kernelThread() throws {
    expectFailure(
      try ToolRun(["2"]), 69, "process 2 (kthreadd) is a kernel thread and has no heap")
  }

  @Test("a zombie")
  func zombie() throws {
    let program = try TargetProgram(scenario: "zombie")
    let child = try childPid(program.waitForOracle())
    expectFailure(
      try ToolRun(["\(child)"]), 66,
      "process \(child) (HeapScenario) has ended and waits for its parent \(program.pid): "
        + "its memory is gone")
  }

  @Test("a process that exits while the tool attaches is shown, or its end is told")
  func exiting() throws {
    for run in 0..<60 {
      // The tool takes some 20 ms.
      let program = try TargetProgram(scenario: "exiter", ["\(run % 30)"])
      try program.waitReady()
      let tool = try ToolRun(["\(program.pid)", "--json"], within: .seconds(20))
      if tool.exitCode == 0 {
        #expect(try HeapDocument(tool.output).coverage == 1)
      } else {
        #expect(tool.exitCode == 66, "\(tool.ending): \(tool.error)")
        #expect(tool.output == "")
        #expect(tool.error.hasPrefix("malloscope: "))
        #expect(tool.error.contains("process \(program.pid)"))
      }
      #expect(try program.close() == .exit(0))
    }
  }

  @Test(
    "a process that another traces: the tracer is named, and how to do without",
    arguments: CaptureChoice.stopping)
  func traced(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "traced")
    let child = try childPid(program.waitForOracle())
    let run = try ToolRun(["\(child)"] + choice.options)
    expectFailure(
      run, 77,
      "process \(child) (HeapScenario) is already being traced by process \(program.pid) "
        + "(HeapScenario)")
    let hint =
      "  hint: read the heap without attaching: --no-stop\n"
      + "  hint: stop that tracer (process \(program.pid)) and try again\n"
    #expect(run.error.hasSuffix(hint))
    #expect(status(child, "TracerPid") == "\(program.pid)")
  }

  @Test("a process of another user")
  func notPermitted() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let run = try runAsNobody(["\(program.pid)"])
    #expect(run.exitCode == 77, "\(run.error)")
    #expect(run.output == "")
    // Whether a container is in play changes the words, not that both sides are named.
    #expect(run.error.contains("process \(program.pid) (HeapScenario)"), "\(run.error)")
    #expect(run.error.contains("uid "), "\(run.error)")
    #expect(run.error.contains("\n  hint: "), "\(run.error)")
    #expect(status(program.pid, "TracerPid") == "0")
  }

  #if arch(x86_64)
    @Test("a 32-bit process")
    func thirtyTwoBit() throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("loop32")
      try writeExecutable(minimalI386, to: path)
      var launch = ChildProcess.Launch(path)
      launch.input = .file("/dev/null")
      let process = try ChildProcess(launch)
      #expect(comes { status(process.pid, "Name") == "loop32" })
      expectFailure(
        try ToolRun(["\(process.pid)"]), 69,
        "process \(process.pid) runs a 32-bit program (\(path)); only 64-bit ones are understood")
      #expect(process.endingIfAny() == nil)
    }

    /// An ELF file for i386 with one loadable segment, whose code calls pause for ever.
    private var minimalI386: [UInt8] {
      let base: UInt32 = 0x0804_8000
      // mov eax, 29 (pause); int 0x80; jmp back
      let code: [UInt8] = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]
      var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1] + [UInt8](repeating: 0, count: 9)
      func append16(_ values: UInt16...) {
        for value in values { file += [UInt8(value & 0xff), UInt8(value >> 8)] }
      }
      func append32(_ values: UInt32...) {
        for value in values { append16(UInt16(value & 0xffff), UInt16(value >> 16)) }
      }
      let byteCount = UInt32(84 + code.count)
      append16(2, 3)
      append32(1, base + 84, 52, 0, 0)
      append16(52, 32, 1, 0, 0, 0)
      append32(1, 0, base, base, byteCount, byteCount, 5, 0x1000)
      return file + code
    }
  #endif

  private func expectFailure(
    _ run: ToolRun, _ code: Int32, _ fact: String, location: SourceLocation = #_sourceLocation
  ) {
    #expect(run.ending == .exit(code), sourceLocation: location)
    #expect(run.output == "", sourceLocation: location)
    #expect(
      run.error.split(separator: "\n").first.map(String.init) == "malloscope: " + fact,
      sourceLocation: location)
  }

  private func childPid(_ oracle: HeapOracle) throws -> Int32 {
    try #require(oracle.facts["child"]?.first.flatMap { Int32($0) })
  }
}
