// The screen of a watch as a user sees it, in a terminal, with keys pressed.

import Glibc
import TestKit
import Testing

@Suite("The screen of a watch", .serialized)
struct WatchScreenLiveTests {
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
    let program = try textualProgram()
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
    try watch.press("t", andSee: "\n  type ")
    try watch.press("/", andSee: "types (std::.*):")
    try watch.session.type("no such")
    try watch.press("Enter", andSee: "no type like no such")
    try watch.press("t", andSee: "\n     112-128  ")
    #expect(try watch.press("?", andSee: "any key back").contains("q, ctrl-c           quit"))
    try watch.press("Escape", andSee: "q quit")
    try watch.session.sendKeys("q")
    #expect(try watch.session.waitForEnd() == .exit(0))
  }

  @Test("the interval changes by + and -, and no sample is taken while it pauses, but by space")
  func pace() throws {
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try textualProgram()
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
    let program = try idleProgram()
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
