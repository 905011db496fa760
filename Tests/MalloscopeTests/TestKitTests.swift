// What the other tests lean on must itself fail when it should.

import Glibc
import TestKit
import Testing

@Suite("The test kit")
struct TestKitTests {
  @Test("a program that ends instead of getting ready is reported with its standard error")
  func endedProgramIsReported() throws {
    let program = try TargetProgram(scenario: "no-such-scenario")
    let failure = #expect(throws: TestKitError.self) { try program.waitReady() }
    guard case .ended("HeapScenario", .exit(70), "ready", let standardError) = failure else {
      Issue.record("unexpected: \(String(describing: failure))")
      return
    }
    #expect(standardError == "HeapScenario: failed: no scenario of that name\n")
  }

  @Test("a program that never gets ready is given up, and is gone afterwards")
  func silentProgramIsGivenUp() throws {
    var pid: pid_t = 0
    do {
      let program = try TargetProgram(.init(try installedProgram("sleep"), ["1000"]))
      pid = program.pid
      #expect(throws: TestKitError.self) { try program.waitReady(within: .milliseconds(50)) }
      #expect(kill(pid, 0) == 0)
    }
    #expect(kill(pid, 0) == -1)
  }

  @Test("a run that takes too long is given up")
  func slowRunIsGivenUp() throws {
    #expect(throws: TestKitError.self) {
      try ToolRun(
        executable: try installedProgram("sleep"), ["1000"], within: .milliseconds(50))
    }
  }

  @Test("a run's two outputs and its ending are kept apart")
  func runKeepsOutputsApart() throws {
    let shell = try installedProgram("bash")
    for output in [ChildProcess.Stream.capture, .pipe] {
      let run = try ToolRun(
        executable: shell, ["-c", "echo one; echo two >&2; exit 9"], output: output)
      #expect(run.output == "one\n")
      #expect(run.error == "two\n")
      #expect(run.exitCode == 9)
    }
    let killed = try ToolRun(executable: shell, ["-c", "kill -9 $$"])
    #expect(killed.ending == .signal(SIGKILL))
    #expect(killed.exitCode == nil)
  }

  @Test("a closed pipe and a full disk reach the program as such")
  func badOutputs() throws {
    let cat = try installedProgram("cat")
    #expect(
      try ToolRun(executable: cat, ["/proc/self/maps"], output: .closedPipe).ending
        == .signal(SIGPIPE))
    let full = try ToolRun(executable: cat, ["/proc/self/maps"], output: .file("/dev/full"))
    #expect(full.exitCode == 1)
  }

  @Test("a program can be given a terminal of 80 columns")
  func terminalIsOne() throws {
    var launch = ChildProcess.Launch(try installedProgram("bash"), ["-c", "tty && stty size"])
    launch.input = .terminal
    launch.output = .terminal
    launch.error = .terminal
    let process = try ChildProcess(launch)
    let text = try process.readToEnd(by: Deadline(in: .seconds(20)))
    #expect(text.hasPrefix("/dev/pts/"))
    #expect(text.hasSuffix("\r\n24 80\r\n"))
    #expect(try process.waitForEnd(by: Deadline(in: .seconds(20))) == .exit(0))
  }

  @Test("a source that does not compile is reported with the compiler's words")
  func compilerErrorIsShown() throws {
    let failure = #expect(throws: TestKitError.self) {
      try CompiledProgram.path("Threads8.cpp", flags: ["--no-such-flag"])
    }
    guard case .compilation("Threads8.cpp", let output) = failure else {
      Issue.record("unexpected: \(String(describing: failure))")
      return
    }
    #expect(output.contains("--no-such-flag"))
  }

  @Test("a text that differs from its golden file is shown at its first difference")
  func goldenDifferenceIsShown() throws {
    let directory = try TemporaryDirectory()
    let file = GoldenFile("a.txt", source: directory.file("Tests.swift"))
    #expect(throws: TestKitError.self) { try file.check("one\ntwo\n") }
    mkdir(directory.file("Golden"), 0o700)
    try write("one\ntwo\n", toFile: file.path)
    try file.check("one\ntwo\n")
    let failure = #expect(throws: TestKitError.self) { try file.check("one\n2\n") }
    #expect(
      failure
        == .golden(file: file.path, difference: "line 2\n  expected: two\n  found:    2"))
  }

  @Test("malloc_info is read as glibc writes it")
  func mallocInfoIsRead() throws {
    let text = """
      <malloc version="1">
      <heap nr="0">
      <sizes>
        <size from="17" to="32" total="64" count="2"/>
        <unsorted from="1297" to="1297" total="1297" count="1"/>
      </sizes>
      <total type="fast" count="2" size="64"/>
      <total type="rest" count="2" size="5000"/>
      <system type="current" size="135168"/>
      <system type="max" size="135168"/>
      <aspace type="total" size="135168"/>
      </heap>
      <heap nr="1">
      <sizes>
      <sizes>
      <total type="rest" count="1" size="7"/>
      <aspace type="subheaps" size="3"/>
      </heap>
      <total type="mmap" count="4" size="16384"/>
      <system type="current" size="270336"/>
      </malloc>
      """
    let info = try MallocInfo(text)
    #expect(info.heaps.count == 2)
    #expect(info.heaps[0].sizes.map(\.isUnsorted) == [false, true])
    #expect(info.heaps[0].sizes[0].total == 64)
    #expect(info.heaps[0].totals["fast"] == .init(count: 2, bytes: 64))
    #expect(info.heaps[0].system == ["current": 135168, "max": 135168])
    #expect(info.heaps[1].addressSpace["subheaps"] == 3)
    #expect(info.whole.totals["mmap"] == .init(count: 4, bytes: 16384))
    #expect(throws: TestKitError.self) { try MallocInfo("<malloc></malloc>") }
    #expect(throws: TestKitError.self) {
      try MallocInfo("<heap nr=\"0\"><system type=\"x\"/></heap>")
    }
  }
}
