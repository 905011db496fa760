// A watch in a terminal, for the tests of its screen, and what it looks at there.

import Glibc
import TestKit
import Testing

/// A watch in a terminal of its own, or in a shell.
final class WatchedTerminal {
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

/// A program with 100 blocks of 100 bytes that hold a text.
func textualProgram() throws -> TargetProgram {
  let program = try TargetProgram(ChildProcess.Launch(try CompiledProgram.path("Becoming.c")))
  try program.waitReady()
  return program
}

/// A program that does nothing.
func idleProgram() throws -> TargetProgram {
  let program = try TargetProgram(scenario: "main-only", ["300"])
  try program.waitReady()
  return program
}

/// The first words of the table's rows, from below its headings.
func labels(_ screen: String) -> [String] {
  let rows = screen.split(separator: "\n", omittingEmptySubsequences: false)
  guard let headings = rows.firstIndex(where: { $0.contains("  growth  ") }) else { return [] }
  return rows[(headings + 1)...].prefix { $0 != "" }.compactMap { row in
    row.dropFirst(2).split(separator: " ").first.map(String.init)
  }
}
