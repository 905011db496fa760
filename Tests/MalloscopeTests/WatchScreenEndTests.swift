// How a watch on a terminal is left, suspended or ended, and that the terminal is given back.

import Glibc
import TestKit
import Testing

@Suite("The end of the screen of a watch", .serialized)
struct WatchScreenEndTests {
  @Test("Ctrl-Z gives the terminal back and lets the target run, and fg brings the screen back")
  func jobControl() throws {
    let program = try idleProgram()
    let watch = try WatchedTerminal(inShellFor: program.pid, "0.05")
    let pid = try watch.pid()
    for _ in 0..<3 {
      try watch.session.sendKeys("C-z")
      #expect(comes { status(pid, "State") == "T" })
      #expect(try comes { try watch.session.modes() == watch.modesAtPrompt })
      #expect(try !watch.session.showsAlternateScreen())
      #expect(try watch.session.showsCursor())
      try watch.shows("the prompt") { $0.contains("Stopped") }
      try expectUnharmed(program)
      try watch.session.enter("fg")
      try watch.shows("the screen") { $0.hasPrefix("\(program.pid) ") && $0.contains("q quit") }
      #expect(try watch.session.showsAlternateScreen())
      #expect(try !watch.session.showsCursor())
    }
    try watch.session.sendKeys("q")
    try watch.expectGivenBack(code: 0)
  }

  @Test("keys and Ctrl-Z are heard in the middle of a sample, and the target is let go")
  func inTheMiddle() throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    // Samples take so long that one is nearly always under way.
    let watch = try WatchedTerminal(inShellFor: program.pid, "0.01")
    let pid = try watch.pid()
    try watch.press("s", andSee: "sorted by bytes")
    for round in 0..<3 {
      let isTraced = comes { Int32(status(program.pid, "TracerPid")) ?? 0 > 0 }
      #expect(isTraced)
      // Also while chunks are being read, which goes on afterwards.
      if round > 0 { try watch.session.sendKeys("Enter") }
      kill(pid, SIGTSTP)
      #expect(comes { status(pid, "State") == "T" })
      try expectUnharmed(program)
      try watch.session.enter("fg")
      try watch.shows(round > 0 ? " in_use   main\n" : "\nin use ")
      if round > 0 { try watch.press("Escape", andSee: "q quit") }
    }
    let sent = ContinuousClock.now
    try watch.session.sendKeys("q")
    try watch.expectGivenBack(code: 0)
    #expect(ContinuousClock.now - sent < .seconds(3))
    try expectUnharmed(program)
  }

  @Test("Ctrl-C ends it with a summary on the ordinary screen, and the terminal as before")
  func interrupt() throws {
    let program = try idleProgram()
    let watch = try WatchedTerminal(inShellFor: program.pid)
    try watch.session.sendKeys("C-c")
    try watch.expectGivenBack(code: 130)
    let screen = try watch.session.screen().joined(separator: "\n")
    #expect(screen.contains(": interrupted.\nin use "), "\(screen)")
    try expectUnharmed(program)
  }

  @Test("when the target ends the screen stays, with the summary, until q")
  func targetEnds() throws {
    let program = try idleProgram()
    let watch = try WatchedTerminal(program.pid)
    try watch.shows("4 samples") { $0.contains(#/0:0[1-9]\n/#) }
    program.process.send(SIGKILL)
    _ = try program.process.waitForEnd(by: Deadline(in: TargetProgram.patience))
    let screen = try watch.shows("\nprocess \(program.pid) ended.\n")
    #expect(screen.contains("  ended  "))
    #expect(screen.contains("In use did not grow for good: it is "))
    #expect(!labels(screen).isEmpty)
    try watch.press("s", andSee: "sorted by bytes")
    try watch.press("Enter", andSee: "the process has ended: its chunks cannot be read any more")
    try watch.press("?", andSee: "any key back")
    try watch.press("Escape", andSee: "\nprocess \(program.pid) ended.\n")
    #expect(try watch.session.showsAlternateScreen())
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
    let text = try watch.session.screen().joined(separator: "\n")
    #expect(text.contains(": process \(program.pid) ended."))
  }

  @Test("a target that becomes another program is told on the screen")
  func targetBecomesAnother() throws {
    let other = try CompiledProgram.path("Leaks/loaded_server.cpp")
    let program = try textualProgram()
    let watch = try WatchedTerminal(program.pid, columns: 120)
    try watch.shows("\n     112-128  ")
    try program.process.write(other + "\n")
    try watch.shows("\nprocess \(program.pid) started another program (\(other)).")
    try watch.session.sendKeys("C-c")
    #expect(try watch.session.waitForEnd() == .exit(130))
    let text = try watch.session.screen().joined(separator: "\n")
    #expect(text.contains(": process \(program.pid) started another program (\(other)).\n"))
    // It is not claimed that what was watched runs on.
    #expect(!text.contains("interrupted"))
  }

  @Test("a process that cannot be watched is told without a screen")
  func refused() throws {
    let watch = try WatchedTerminal(4_194_304)
    #expect(try watch.session.waitForEnd() == .exit(66))
    #expect(
      try watch.session.screen().first?.hasPrefix("malloscope: cannot find process 4194304") == true
    )
  }

  @Test(
    "signals that ask for the end are followed by a summary", arguments: [SIGTERM, SIGHUP, SIGINT])
  func signals(signal: Int32) throws {
    let program = try idleProgram()
    let watch = try WatchedTerminal(inShellFor: program.pid)
    kill(try watch.pid(), signal)
    try watch.expectGivenBack(code: 130)
    #expect(try watch.session.screen().joined(separator: "\n").contains(": interrupted.\n"))
    try expectUnharmed(program)
  }

  @Test("when its terminal is closed it ends, and the target runs on")
  func closedTerminal() throws {
    let program = try idleProgram()
    var pid: Int32 = 0
    do {
      let watch = try WatchedTerminal(program.pid, ["0.05"])
      try watch.shows("q quit")
      pid = try watch.pid()
    }
    #expect(pid > 0 && comes { ["", "Z"].contains(status(pid, "State")) })
    try expectUnharmed(program)
  }

  @Test(
    "a fault of its own gives the terminal back and lets the target run",
    arguments: [SIGSEGV, SIGABRT, SIGILL, SIGKILL])
  func faults(signal: Int32) throws {
    let program = try idleProgram()
    // A sample is nearly always under way.
    let watch = try WatchedTerminal(inShellFor: program.pid, "0.01")
    kill(try watch.pid(), signal)
    try expectUnharmed(program)
    guard signal != SIGKILL else { return }
    try watch.expectGivenBack(code: 128 + signal)
  }
}
