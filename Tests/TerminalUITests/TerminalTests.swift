// Whatever ends a program that has taken its terminal, the terminal is given back.

import Glibc
import TestKit
import Testing

@Suite("Terminal", .serialized)
struct TerminalTests {
  private static func program() throws -> String {
    let shim = ["CPtrace.c", "CPtraceTerminal.c", "CPtraceSignals.c"]
    return try CompiledProgram.path(
      "Terminal.c",
      flags: ["-w", "-I" + testsPath("../CPtrace/include")]
        + shim.map { testsPath("../CPtrace/" + $0) })
  }

  /// The program under its small shell on a terminal.
  private final class Session {
    let process: ChildProcess
    let deadline = Deadline(in: .seconds(20))
    private(set) var job: pid_t = 0

    init() throws {
      var launch = ChildProcess.Launch(try program())
      launch.input = .terminal
      launch.output = .terminal
      launch.error = .terminal
      process = try ChildProcess(launch)
      let words = try line().split(separator: " ")
      try #require(words.count == 3 && words[0] == "ready" && words[2] == "0")
      job = try #require(pid_t(words[1]))
    }

    func line() throws -> String {
      var line = try process.readLine(by: deadline)
      // The terminal makes a line feed into two characters, which Swift takes for one.
      line.unicodeScalars.removeAll { $0 == "\r" }
      return line
    }

    func lines(_ count: Int) throws -> [String] {
      try (0..<count).map { _ in try line() }
    }

    func expectEnd() throws {
      #expect(try process.waitForEnd(by: deadline) == .exit(0))
    }
  }

  @Test(
    "a fatal signal gives the terminal back and ends the program as it would have",
    arguments: [
      ("s", SIGSEGV), ("a", SIGABRT), ("f", SIGFPE), ("b", SIGBUS), ("x", SIGTRAP), ("i", SIGILL),
      ("o", SIGSEGV), ("t", SIGSEGV), ("\u{1C}", SIGQUIT),
    ])
  func fatalSignal(key: String, signal: Int32) throws {
    let session = try Session()
    try session.process.write(key)
    #expect(try session.lines(2) == ["<leave>", "ended by \(signal), terminal as before"])
    try session.expectEnd()
  }

  @Test("closing gives the terminal back once, and then it is none of our business")
  func close() throws {
    let session = try Session()
    try session.process.write("q")
    #expect(
      try session.lines(3) == ["<leave>", "close: 0 0", "ended with 0, terminal as before"])
    let other = try Session()
    try other.process.write("k")
    #expect(
      try other.lines(3) == [
        "<leave>", "close: 0", "ended by \(SIGSEGV), terminal as before",
      ])
  }

  @Test("keys come one by one and untranslated, and Enter as a carriage return")
  func keys() throws {
    let session = try Session()
    try session.process.write("?\r\u{13}\u{16}#")
    #expect(
      try session.lines(5) == [
        "keys signals erase 127", "key 13", "key 19", "key 22", "80 x 24",
      ])
  }

  @Test(
    "the first interrupt is noted, the second gives the terminal back and ends the program",
    arguments: [SIGINT, SIGTERM, SIGHUP], [SIGINT, SIGTERM, SIGHUP])
  func interrupts(first: Int32, second: Int32) throws {
    let session = try Session()
    kill(session.job, first)
    #expect(try session.line() == "signals: interrupt interrupted \(first)")
    try session.process.write("z")
    #expect(try session.line() == "key \(UInt8(ascii: "z"))")
    kill(session.job, second)
    #expect(try session.lines(2) == ["<leave>", "ended by \(second), terminal as before"])
    try session.expectEnd()
  }

  @Test("Ctrl-C is an interrupt, and a new size is noted without one")
  func keyboardInterrupt() throws {
    let session = try Session()
    kill(session.job, SIGWINCH)
    #expect(try session.line() == "signals: resized interrupted 0")
    try session.process.write("\u{3}")
    #expect(try session.line() == "signals: interrupt interrupted \(SIGINT)")
  }

  @Test("Ctrl-Z gives the terminal back, and continuing takes it as the shell has left it")
  func suspension() throws {
    let session = try Session()
    let stopped = "stopped by \(SIGTSTP), terminal as before"
    for _ in 0..<3 {
      try session.process.write("\u{1A}")
      #expect(
        try session.lines(4) == [
          "signals: suspend interrupted 0", "<leave>", stopped, "resumed 0 0 0",
        ])
      try session.process.write("?")
      #expect(try session.line() == "keys signals erase 33")
    }
    try session.process.write("s")
    #expect(
      try session.lines(2) == ["<leave>", "ended by \(SIGSEGV), terminal as before"])
  }

  @Test("several stop signals at once make one stop or several, each with its continuation")
  func manySuspensions() throws {
    let session = try Session()
    for _ in 0..<20 { kill(session.job, SIGTSTP) }
    var seen: [String] = []
    while seen.last != "resumed 0 0 0" { seen.append(try session.line()) }
    // It has been continued, and so whatever else has arrived comes before the key.
    try session.process.write("z")
    while seen.last != "key \(UInt8(ascii: "z"))" { seen.append(try session.line()) }
    let stops = seen.filter { $0.hasPrefix("stopped") }
    #expect(!stops.isEmpty)
    #expect(stops.allSatisfy { $0 == "stopped by \(SIGTSTP), terminal as before" })
    // Whoever waits for it may see two stops in a row as one; it has left and resumed twice all the same.
    let left = seen.count { $0 == "<leave>" }
    #expect(left >= stops.count)
    #expect(seen.count { $0 == "resumed 0 0 0" } == left)
    try session.process.write("q")
    #expect(
      try session.lines(3) == ["<leave>", "close: 0 0", "ended with 0, terminal as before"])
  }

  private static func check(_ name: String) throws -> [String] {
    let run = try ToolRun(executable: try program(), [name])
    #expect(run.ending == .exit(0))
    return run.output.split(separator: "\n").map(String.init)
  }

  @Test("a terminal that has hung up is given up with EIO")
  func hangUp() throws {
    #expect(
      try Self.check("hang-up") == [
        "open: 0", "open again: Device or resource busy", "poll: 1 hung up 1",
        "close: Input/output error", "close again: 0", "resume: Bad file descriptor",
      ])
  }

  @Test("what is no terminal is refused, and nothing has changed")
  func refusals() throws {
    #expect(
      try Self.check("refusals") == [
        "no terminal: Inappropriate ioctl for device",
        "no size: Inappropriate ioctl for device", "too long: Invalid argument",
        "fatal signals: default",
      ])
  }

  @Test("ignored signals stay ignored, and aborting work loses no interrupt")
  func abortedWork() throws {
    #expect(
      try Self.check("interrupts") == [
        "watch: 0", "ignored: 0 0 0", "aborted: 1", "taken back: 0", "errno: 4711", "kept: 1",
        "event: 1 1", "bits: 8 0",
      ])
  }

  @Test("a pipe whose reader has gone is noticed without writing to it")
  func poll() throws {
    #expect(
      try Self.check("poll") == [
        "reader there: 0 0", "reader gone: 1 1", "too many: Invalid argument",
      ])
  }

  @Test("the signal stacks of threads go with them")
  func stacks() throws {
    #expect(try Self.check("stacks") == ["stacks failed: 0"])
  }

  @Test("a terminal that nobody reads from delays a fatal signal by no more than a moment")
  func stuckTerminal() throws {
    #expect(
      try Self.check("stuck") == ["ended by \(SIGSEGV), terminal as before, in time 1"])
  }
}
