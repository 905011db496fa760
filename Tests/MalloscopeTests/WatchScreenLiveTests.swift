// The screen of a watch as a user sees it, in a terminal, with keys pressed.

import Glibc
import TestKit
import Testing

/// A watch in a terminal of its own, or in a shell.
private final class WatchedTerminal {
  let session: TerminalSession

  /// Watches a process as the terminal's program.
  init(
    _ pid: Int32, _ words: [String] = ["0.2"], columns: Int = 80, rows: Int = 24,
    environment: [String: String?] = [:]
  ) throws {
    var variables: [String: String?] = ["NO_COLOR": nil as String?, "CLICOLOR_FORCE": nil]
    variables.merge(environment) { _, new in new }
    session = try TerminalSession(
      [try BuildProduct.malloscope.path(), "watch", "\(pid)"] + words + unstretched,
      columns: columns, rows: rows, environment: variables)
  }

  /// Watches a process from a shell.
  init(inShellFor pid: Int32, _ words: String = "0.2") throws {
    session = try TerminalSession(
      shellWithColumns: 100, rows: 24, environment: ["NO_COLOR": nil as String?])
    modesAtPrompt = try session.modes()
    try session.enter(
      "\(try BuildProduct.malloscope.path()) watch \(pid) --max-stopped 100 \(words)")
    try shows("a sample") { $0.contains("\nin use ") && $0.contains("q quit") }
    #expect(try session.showsAlternateScreen())
    #expect(try session.modes() != modesAtPrompt)
  }

  private(set) var modesAtPrompt = ""

  /// The tool.
  func pid() throws -> Int32 {
    let started = try session.pid()
    return modesAtPrompt == "" ? started : try #require(childrenOf(started).first)
  }

  /// Waits until the screen is so.
  @discardableResult
  func shows(_ what: String, _ holds: (String) -> Bool) throws -> String {
    try session.waitUntil(what, holds)
  }

  /// Waits until the screen has this text.
  @discardableResult
  func shows(_ text: String) throws -> String { try shows(text) { $0.contains(text) } }

  /// Presses keys, and waits until the screen has this text.
  @discardableResult
  func press(_ keys: String..., andSee text: String) throws -> String {
    for key in keys { try session.sendKeys(key) }
    return try shows(text)
  }

  /// The terminal is as it was before, and the shell ready; the last exit code was `code`.
  func expectGivenBack(code: Int32) throws {
    #expect(try comes { try !session.showsAlternateScreen() })
    #expect(try session.showsCursor())
    #expect(try comes { try session.modes() == modesAtPrompt })
    try session.enter("echo code $?")
    try shows("code \(code)\n")
  }
}

/// The first words of the table's rows, from below its headings.
private func labels(_ screen: String) -> [String] {
  let rows = screen.split(separator: "\n", omittingEmptySubsequences: false)
  guard let headings = rows.firstIndex(where: { $0.contains("  growth  ") }) else { return [] }
  return rows[(headings + 1)...].prefix { $0 != "" }.compactMap { row in
    row.dropFirst(2).split(separator: " ").first.map(String.init)
  }
}

@Suite("The screen of a watch", .serialized)
struct WatchScreenLiveTests {
  /// A program with 100 blocks of 100 bytes that hold a text.
  private func textual() throws -> TargetProgram {
    let program = try TargetProgram(ChildProcess.Launch(try CompiledProgram.path("Becoming.c")))
    try program.waitReady()
    return program
  }

  private func idle() throws -> TargetProgram {
    let program = try TargetProgram(scenario: "main-only", ["300"])
    try program.waitReady()
    return program
  }

  // MARK: What it shows

  @Test("it shows who is watched, the totals and the row that grows, until q")
  func frame() throws {
    let server = try LeakingProgram(.leak)
    let load = try LeakingProgram(.load(port: try #require(server.port), perSecond: 1000))
    let watch = try WatchedTerminal(server.pid)
    let screen = try watch.shows("the leak") {
      $0.contains(#/\n▲         48 +[\d,]+ +\S+ +\+\S+ +\+\S+  [▁▂▃▄▅▆▇█]+\n/#)
    }
    try watch.shows("some samples") { $0.contains(#/0:0[1-9]\n/#) }
    #expect(try watch.session.showsAlternateScreen())
    #expect(try !watch.session.showsCursor())
    #expect(screen.hasPrefix("\(server.pid) \(server.program.process.name.prefix(15))  glibc 2."))
    #expect(screen.contains(#/\nin use \S+ \+\S+/s  free /#))
    #expect(screen.contains(#/\nRSS /#) && screen.contains("  up 0:"))
    #expect(screen.contains("\nstopped ") && screen.contains("  every 0.2 s\n"))
    #expect(screen.contains("█"))
    #expect(screen.split(separator: "\n").last?.hasPrefix("q quit  ? help  s by growth") == true)
    #expect(try watch.session.screen(withStyles: true).joined().contains("\u{1b}[33m"))
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
    #expect(try !watch.session.showsAlternateScreen())
    let summary = try watch.session.screen().joined(separator: "\n")
    #expect(summary.contains(#/Summary of \d+ samples in \S+: ended by the user\./#))
    #expect(summary.contains("- In use grew by "))
    #expect(summary.contains(#/ 48 +\+[\d,]+ +\+\S+ +\+\S+  in every sample/#), "\(summary)")
    #expect(try load.close() == .exit(0))
    #expect(try server.close() == .exit(0))
  }

  // MARK: Keys

  @Test("the rows are sorted by s, grouped by a and x, and chosen by /")
  func rows() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid)
    #expect(labels(try watch.shows("\n     112-128  ")).contains("112-128"))
    for order in ["bytes", "count", "size"] { try watch.press("s", andSee: "sorted by \(order)") }
    try watch.press("x", andSee: "\n         112  ")
    let sizes = labels(try watch.shows("s by size"))
    #expect(sizes.count >= 2 && sizes.map { Int($0) ?? 0 } == sizes.map { Int($0) ?? 0 }.sorted())
    try watch.press("s", andSee: "sorted by growth")
    let arenas = try watch.press("a", andSee: "\n       arena ")
    #expect(labels(arenas) == ["main"])
    try watch.press("a", andSee: "\n     112-128  ")

    try watch.press("/", andSee: "sizes (48..96, >1k):")
    try watch.session.type("112")
    let filtered = try watch.press("Enter", andSee: "/ 112")
    #expect(labels(filtered) == ["112-128"])
    // What cannot be understood changes nothing.
    try watch.press("/", "C-u", andSee: "sizes (48..96, >1k):")
    try watch.session.type("big")
    let same = try watch.press("Enter", andSee: "'big' is no range of sizes: 64, 48..96, >1k, ..4k")
    #expect(labels(same) == ["112-128"])
    try watch.press("/", "C-u", andSee: "sizes (48..96, >1k):")
    try watch.session.type(">9M")
    try watch.press("Enter", andSee: "no size in >9M")
    try watch.press("/", "C-u", andSee: "sizes (48..96, >1k):")
    #expect(labels(try watch.press("Enter", andSee: "/ filter")).count > 1)
    try watch.press("/", andSee: "sizes (48..96, >1k):")
    try watch.press("Escape", andSee: "q quit")
    #expect(try watch.press("?", andSee: "any key back").contains("q, ctrl-c           quit"))
    try watch.press("Escape", andSee: "q quit")
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
  }

  @Test("the interval changes by + and -, and no sample is taken while it pauses, but by space")
  func pace() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid)
    try watch.shows("  every 0.2 s\n")
    #expect(try watch.press("+", andSee: "  every 0.5 s\n").contains("\nevery 0.5 s"))
    try watch.press("-", "-", andSee: "  every 0.1 s\n")
    try watch.press("-", andSee: "  every 0.1 s\n")
    try watch.press("+", "+", andSee: "  every 0.5 s\n")
    try watch.press("b", andSee: "growth counts from here")

    let paused = try watch.press("p", andSee: "p go on")
    #expect(paused.contains("  paused  "))
    /// All stops so far, which every sample adds to.
    func stopped() throws -> String {
      let line = try watch.session.screen().first { $0.hasPrefix("stopped ") }
      return String(try #require(line).prefix { $0 != "%" })
    }
    // One may have been under way.
    var before = try stopped()
    let second = try watch.session.screen().first?.suffix(7)
    try watch.shows("another second") { !$0.contains(second ?? "") }
    before = try stopped()
    let third = try watch.session.screen().first?.suffix(7)
    try watch.shows("yet another second") { !$0.contains(third ?? "") }
    #expect(try stopped() == before)
    try watch.session.sendKeys("Space")
    #expect(try comes { try stopped() != before })
    #expect(try watch.session.screen().first?.contains("  paused  ") == true)
    let after = try watch.press("p", andSee: "p pause")
    #expect(!after.contains("paused"))
    let now = try stopped()
    #expect(try comes { try stopped() != now })
  }

  @Test("arrows choose a row, and enter lists its chunks, without what they hold")
  func chunks() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid)
    try watch.press("x", andSee: "\n         112  ")
    func selected() throws -> String? {
      let rows = try watch.session.screen(withStyles: true)
      let row = rows.first { $0.contains("\u{1b}[7m") || $0.contains(";7m") }
      return row?.replacing(#/\u{1b}\[[\d;]*m/#, with: "").dropFirst(2)
        .split(separator: " ").first.map(String.init)
    }
    #expect(try selected() == nil)
    let rows = labels(try watch.shows("q quit"))
    for key in ["Down", "Down", "Up", "Down"] { try watch.session.sendKeys(key) }
    #expect(try comes { try selected() == rows[1] })
    try watch.session.sendKeys("End")
    #expect(try comes { try selected() == rows.last })
    try watch.session.sendKeys("Home")
    #expect(try comes { try selected() == rows[0] })
    // The first click on Escape lets go of it.
    try watch.session.sendKeys("Escape")
    #expect(try comes { try selected() == nil })

    try watch.press("/", andSee: "sizes (48..96, >1k):")
    try watch.session.type("112")
    try watch.press("Enter", andSee: "/ 112")
    let list = try watch.press("Enter", andSee: "chunks of size 112: 100\n")
    let chunk = #/\n  0x[0-9a-f]{8,16} +112  in_use   main\n/#
    #expect(list.contains(chunk), "\(list)")
    let all = Set(try reportedChunks(program.pid, ["--size", "112"]).map { "\($0.address)" })
    let listed = list.matches(of: #/  (0x[0-9a-f]+) /#).map { String($0.1) }
    #expect(listed.count >= 15 && Set(listed).isSubset(of: all))
    #expect(!list.contains("Words") && !list.contains("contents"))
    try watch.press("PageDown", andSee: "esc back")
    let scrolled = try watch.shows("other chunks") { !$0.contains(listed[0] + " ") }
    #expect(scrolled.contains("chunks of size 112: 100\n"))
    try watch.press("Escape", andSee: "q quit")
    #expect(!(try watch.session.screen().joined()).contains("Words"))
  }

  @Test("with --contents the chunks are listed with what the program wrote")
  func contentsShown() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid, ["0.2", "--contents", "--size", "112"])
    try watch.shows("\n     112-128  ")
    let list = try watch.press("Enter", andSee: "chunks of size 112-128: 100\n")
    #expect(list.contains("Words of"), "\(list)")
    try watch.session.resize(columns: 160, rows: 30)
    let wide = try watch.shows("Words of the program's")
    #expect(wide.contains("57 6f 72 64 73 20 6f 66 "))
    try watch.press("Escape", andSee: "q quit")
    // The table never has any.
    #expect(!(try watch.session.screen().joined()).contains("Words"))
  }

  @Test("w writes the table to a file, which must not exist yet")
  func write() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("table")
    let program = try textual()
    let watch = try WatchedTerminal(program.pid, ["0.2"], columns: 120, rows: 40)
    try watch.shows("\n     112-128  ")
    try watch.press("w", andSee: "write to: malloscope-\(program.pid)-")
    try watch.press("C-u", andSee: "write to:\n")
    try watch.session.type(path)
    try watch.press("Enter", andSee: "written to \(path)")
    let text = String(decoding: try contents(ofFile: path), as: UTF8.self)
    #expect(text.contains("112-128") && text.contains(": the watch goes on.\n"))
    #expect(!text.contains("\u{1b}"))
    try watch.press("w", "C-u", andSee: "write to:\n")
    try watch.session.type(path)
    try watch.press("Enter", andSee: "cannot write \(path): it exists")
    #expect(String(decoding: try contents(ofFile: path), as: UTF8.self) == text)
    try watch.press("w", "Escape", andSee: "q quit")
  }

  // MARK: Sizes

  @Test("it fits the terminal as that becomes smaller, much too small, and large again")
  func resize() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid)
    try watch.shows("\n     112-128  ")
    try watch.session.resize(columns: 40, rows: 10)
    let small = try watch.shows("a narrow table") {
      $0.contains(" 112-128 ") && !$0.contains("chunks")
    }
    #expect(small.split(separator: "\n", omittingEmptySubsequences: false).count == 11)
    #expect(small.contains("in use ") && small.contains("\nq quit  ? help"))
    try watch.session.resize(columns: 30, rows: 5)
    let tiny = try watch.shows("needs 40 x 10")
    #expect(tiny.split(separator: "\n").count == 1)
    try watch.session.resize(columns: 120, rows: 40)
    let large = try watch.shows("a large table") {
      $0.contains("  cached  ") && $0.contains(" 112-128 ")
    }
    #expect(!large.contains("needs"))
    // Nothing of the other sizes is left.
    #expect(large.matches(of: #/q quit/#).count == 1)
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
  }

  // MARK: Ends

  @Test("Ctrl-Z gives the terminal back and lets the target run, and fg brings the screen back")
  func jobControl() throws {
    let program = try idle()
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
    let program = try idle()
    let watch = try WatchedTerminal(inShellFor: program.pid)
    try watch.session.sendKeys("C-c")
    try watch.expectGivenBack(code: 130)
    let screen = try watch.session.screen().joined(separator: "\n")
    #expect(screen.contains(": interrupted.\nin use "), "\(screen)")
    try expectUnharmed(program)
  }

  @Test("when the target ends the screen stays, with the summary, until q")
  func targetEnds() throws {
    let program = try idle()
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
    let program = try textual()
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
    let program = try idle()
    let watch = try WatchedTerminal(inShellFor: program.pid)
    kill(try watch.pid(), signal)
    try watch.expectGivenBack(code: 130)
    #expect(try watch.session.screen().joined(separator: "\n").contains(": interrupted.\n"))
    try expectUnharmed(program)
  }

  @Test("when its terminal is closed it ends, and the target runs on")
  func closedTerminal() throws {
    let program = try idle()
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
    let program = try idle()
    // A sample is nearly always under way.
    let watch = try WatchedTerminal(inShellFor: program.pid, "0.01")
    kill(try watch.pid(), signal)
    try expectUnharmed(program)
    guard signal != SIGKILL else { return }
    try watch.expectGivenBack(code: 128 + signal)
  }

  // MARK: Pictures

  /// A screen without all that differs from run to run and from machine to machine: each number with
  /// its unit is #, and blanks are one.
  private func normalised(_ screen: String) -> String {
    screen
      .replacing(#/  \/\S+/#, with: "")
      .replacing(#/0x[0-9a-f]+/#, with: "0x#")
      .replacing(#/\d+(?:[.,:]\d+)*[KMG]?/#, with: "#")
      .replacing(#/# (?:us|ms|s)\b/#, with: "# s")
      .replacing(#/ [+-]#\/s/#, with: "")
      .replacing(#/  cgroup #(?: of #)?/#, with: "")
      .replacing(#/[▁▂▃▄▅▆▇█]+/#, with: "▁")
      .replacing(#/ +/#, with: " ")
  }

  private func check(_ name: String, _ screen: String) throws {
    // All of them are looked at, or recorded, in one run.
    #expect(throws: Never.self) { try GoldenFile(name).check(normalised(screen)) }
  }

  @Test("the screens are as recorded but for the numbers")
  func golden() throws {
    let program = try textual()
    let watch = try WatchedTerminal(program.pid)
    try watch.shows("some samples") { $0.contains("  trend\n") && $0.contains(#/0:0[1-9]\n/#) }
    try check("watch-table.txt", try watch.shows("q quit"))
    try watch.press("?", andSee: "any key back")
    try check("watch-help.txt", try watch.shows("q, ctrl-c"))
    try watch.press("Escape", andSee: "q quit")
    try watch.press("Enter", andSee: "chunks of size 112-128: 100\n")
    try check("watch-chunks.txt", try watch.shows("esc back"))
  }

  // MARK: Terminals

  @Test("where the locale is ASCII there is nothing else on the screen")
  func ascii() throws {
    let program = try textual()
    let watch = try WatchedTerminal(
      program.pid, environment: ["LANG": "C", "LC_ALL": "C"])
    let screen = try watch.shows(" 112-128 ")
    #expect(screen.utf8.allSatisfy { $0 < 128 })
    #expect(try watch.press("?", andSee: "any key back").utf8.allSatisfy { $0 < 128 })
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
    #expect(try watch.session.screen().joined().utf8.allSatisfy { $0 < 128 })
  }

  @Test("with NO_COLOR there is no colour")
  func noColor() throws {
    let program = try textual()
    let color = #/\u{1b}\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]/#
    for (value, isColored) in [("1", false), (nil as String?, true)] {
      let watch = try WatchedTerminal(program.pid, environment: ["NO_COLOR": value])
      try watch.shows(" 112-128 ")
      let screen = try watch.session.screen(withStyles: true).joined(separator: "\n")
      #expect(screen.contains(color) == isColored, "\(screen.debugDescription)")
    }
  }

  @Test("a terminal that can do nothing, or no terminal to read from, gets blocks")
  func noScreen() throws {
    let program = try textual()
    let dumb = try WatchedTerminal(
      program.pid, ["0.1", "2"], columns: 100, rows: 50, environment: ["TERM": "dumb"])
    #expect(try dumb.session.waitForEnd() == .exit(0))
    let tool = try BuildProduct.malloscope.path()
    let inputless = try TerminalSession(
      ["sh", "-c", "\"$0\" watch \(program.pid) 0.1 2 < /dev/null", tool], columns: 100, rows: 50)
    #expect(try inputless.waitForEnd() == .exit(0))
    for session in [dumb.session, inputless] {
      let text = try session.screen().joined(separator: "\n")
      #expect(text.matches(of: #/\d\d:\d\d:\d\d  in use /#).count == 2, "\(text)")
      #expect(text.contains("Summary of 2 samples in "))
    }
  }

  @Test("a COUNT of samples ends the screen by itself, and the gate is judged")
  func count() throws {
    let program = try idle()
    let watch = try WatchedTerminal(program.pid, ["0.1", "5", "--fail-above", "1MiB/min"])
    #expect(try watch.session.waitForEnd() == .exit(0))
    #expect(try !watch.session.showsAlternateScreen())
    let text = try watch.session.screen().joined(separator: "\n")
    #expect(text.contains(#/Summary of 5 samples in \S+: all samples were taken\./#))
    let leaking = try LeakingProgram(.leakingExtension(milliseconds: 10))
    let gate = try WatchedTerminal(leaking.pid, ["0.1", "6", "--fail-above", "1MiB/min"])
    #expect(try gate.session.waitForEnd() == .exit(1))
    let reason = try gate.session.screen().joined()
    #expect(reason.contains("malloscope: bytes in use of process \(leaking.pid) grew by "))
  }
}
