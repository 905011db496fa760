// The terminal that tests of the screen use: keys, sizes, jobs and endings must be what they seem.

import Glibc
import TestKit
import Testing

@Suite("TerminalSession shows what a user would see")
struct TerminalSessionTests {
  @Test("keys and typed text reach the program as a keyboard would send them")
  func keysArrive() throws {
    let session = try TerminalSession(["cat", "-v"])
    try session.type("q;$(a) 'b' -x")
    try session.sendKeys("Enter")
    // Once as the terminal's echo, and once by cat.
    try session.waitUntil("the line twice") { text in
      text.hasPrefix("q;$(a) 'b' -x\nq;$(a) 'b' -x\n")
    }
    try session.sendKeys("Up", "Escape", "Enter")
    let screen = try session.waitUntil("an arrow") { $0.contains("^[[A^[\n^[[A^[\n") }
    #expect(screen.split(separator: "\n").count == 4)
    try session.sendKeys("C-d")
    #expect(try session.waitForEnd() == .exit(0))
    #expect(try session.screen().first == "q;$(a) 'b' -x")
  }

  @Test("the environment is ours with the changes, and the locale is UTF-8 unless told otherwise")
  func environmentIsHandedDown() throws {
    let script = "echo \"$LANG.$LC_ALL.$A.${HOME+home}\"; printf '\\342\\226\\210\\n'; sleep 60"
    let unicode = try TerminalSession(
      ["sh", "-c", script], environment: ["A": "b c", "HOME": nil as String?])
    try unicode.waitUntil("a block") { $0.hasPrefix("C.UTF-8..b c.\n\u{2588}\n") }
    let ascii = try TerminalSession(["sh", "-c", script], environment: ["LC_ALL": "C"])
    try ascii.waitUntil("a line") { $0.hasPrefix("C.UTF-8.C..home\n") }
  }

  @Test("the exit status and the signal that ends a program are told, and what it wrote stays")
  func endingIsTold() throws {
    let failed = try TerminalSession(["sh", "-c", "echo last words; exit 3"])
    #expect(try failed.waitForEnd() == .exit(3))
    #expect(try failed.screen().first == "last words")
    let killed = try TerminalSession(["sleep", "60"])
    #expect(try killed.ending() == nil)
    #expect(try comes { status(try killed.pid(), "Name") == "sleep" })
    let pid = try killed.pid()
    kill(pid, SIGTERM)
    #expect(try killed.waitForEnd() == .signal(SIGTERM))
  }

  @Test("a program learns of its new size, and the screen has as many rows")
  func resizeIsSignalled() throws {
    let session = try TerminalSession(
      ["bash", "-c", "trap 'stty size' WINCH; stty size; while :; do read -t 0.05; done"],
      columns: 80, rows: 24)
    try session.waitUntil("the first size") { $0.hasPrefix("24 80\n") }
    #expect(try session.screen().count == 24)
    try session.resize(columns: 132, rows: 43)
    try session.waitUntil("the second size") { $0.contains("43 132\n") }
    #expect(try session.screen().count == 43)
    try session.resize(columns: 20, rows: 5)
    try session.waitUntil("the third size") { $0.contains("5 20\n") }
    #expect(try session.screen().count == 5)
  }

  @Test("the alternate screen is told from the ordinary one, which comes back as it was")
  func alternateScreen() throws {
    let session = try TerminalSession(shellWithColumns: 60, rows: 10)
    try session.enter("seq 20")
    try session.waitUntil("the numbers") { $0.contains("20\n$") }
    let before = try session.screen()
    let history = try session.scrollback()
    #expect(history.starts(with: ["$ seq 20", "1", "2"]))
    #expect(before.first == "12")
    #expect(try !session.showsAlternateScreen())
    #expect(try session.showsCursor())

    try session.enter("seq 200 | less")
    try session.waitUntil("less") { $0.hasPrefix("1\n2\n") && $0.trimmedEnd.hasSuffix(":") }
    #expect(try session.showsAlternateScreen())
    try session.sendKeys("Space")
    try session.waitUntil("the next page") { $0.hasPrefix("10\n11\n") }
    try session.sendKeys("q")
    try session.waitUntil("the prompt") { $0.trimmedEnd.hasSuffix("less\n$") }
    #expect(try !session.showsAlternateScreen())
    // One row further, for the prompt that followed.
    #expect(try session.screen().prefix(7) == before.dropFirst().prefix(7))
    #expect(try session.scrollback() == history + before.prefix(1))
  }

  @Test("styles are shown on request only")
  func styles() throws {
    let session = try TerminalSession(["sh", "-c", "printf '\\033[1;31mred\\033[0m end'; sleep 60"])
    try session.waitUntil("the text") { $0.hasPrefix("red end") }
    #expect(try session.screen().first == "red end")
    let styled = try #require(try session.screen(withStyles: true).first)
    #expect(styled.contains("\u{1b}[1m\u{1b}[31mred"))
  }

  @Test("in a shell a program is stopped by Ctrl-Z and goes on by fg, and both see their own modes")
  func jobControl() throws {
    let session = try TerminalSession(shellWithColumns: 80)
    let atPrompt = try session.modes()
    try session.enter("less \(testsPath("run"))")
    try session.waitUntil("less") { $0.hasPrefix("#!/usr/bin/env bash\n") }
    #expect(try session.showsAlternateScreen())
    #expect(try session.modes() != atPrompt)
    let less = try #require(childrenOf(try session.pid()).first)
    try session.sendKeys("C-z")
    try session.waitUntil("the prompt") { $0.contains("Stopped") && $0.trimmedEnd.hasSuffix("$") }
    #expect(status(less, "State") == "T")
    #expect(try !session.showsAlternateScreen())
    #expect(try session.modes() == atPrompt)
    try session.enter("fg")
    try session.waitUntil("less again") { !$0.contains("Stopped") }
    #expect(try session.showsAlternateScreen())
    #expect(comes { status(less, "State") != "T" })
    try session.sendKeys("q")
    try session.waitUntil("the prompt") { $0.trimmedEnd.hasSuffix("\n$") }
    #expect(try session.modes() == atPrompt)
    try session.enter("exit 7")
    #expect(try session.waitForEnd() == .exit(7))
  }

  @Test("a program that does not mind losing its terminal is killed when the last reference goes")
  func stubbornIsKilled() throws {
    var pid: pid_t = 0
    do {
      let session = try TerminalSession(["sh", "-c", "trap '' HUP; echo here; exec sleep 600"])
      try session.waitUntil("its word") { $0.hasPrefix("here\n") }
      pid = try session.pid()
      #expect(pid > 0)
    }
    #expect(["", "Z"].contains(status(pid, "State")))
  }

  @Test("nothing is left when the last reference goes, stopped jobs neither")
  func nothingIsLeft() throws {
    var pids: [pid_t] = []
    do {
      let session = try TerminalSession(shellWithColumns: 80)
      try session.enter("sleep 600")
      let shell = try session.pid()
      #expect(comes { childrenOf(shell).count == 1 })
      let sleep = childrenOf(shell)
      #expect(comes { sleep.allSatisfy { status($0, "Name") == "sleep" } })
      try session.sendKeys("C-z")
      try session.waitUntil("the prompt") { $0.contains("Stopped") }
      let server = try #require(pid_t(try session.value("pid")))
      pids = [server, shell] + sleep
      #expect(pids.count == 3)
    }
    // Not every machine's first process reaps what is left to it.
    #expect(comes { pids.allSatisfy { ["", "Z"].contains(status($0, "State")) } })
  }
}

extension String {
  /// Without the blanks and line feeds at its end.
  fileprivate var trimmedEnd: Substring {
    let end = lastIndex { !$0.isWhitespace }
    return end.map { self[...$0] } ?? ""
  }
}
