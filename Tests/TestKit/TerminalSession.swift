// A terminal for tests: a program runs in it, keys are pressed, and the screen is read.

package import Glibc

/// A terminal of tmux's, with a server of its own, and a program that runs in it.
///
/// As in a user's terminal the program does not lead its session, and what the keyboard sends reaches
/// it alone.
///
/// The server and what runs under it end at the latest when the last reference goes, or when the test
/// process does.
package final class TerminalSession {
  private let directory: TemporaryDirectory
  private let tmux: String
  /// Ends the server when its standard input is closed, and so even if we are killed.
  private let keeper: ChildProcess

  private var socket: String { directory.file("tmux") }

  /// Starts `command` in a terminal of that size; its first word is looked up in `PATH`.
  ///
  /// What is in `environment` is added to our own, and nil removes a variable; if it says nothing of
  /// it, the locale is `C.UTF-8`.
  ///
  /// - Throws: `TestKitError`.
  package init(
    _ command: [String], columns: Int = 80, rows: Int = 24, environment: [String: String?] = [:]
  ) throws(TestKitError) {
    tmux = try installedProgram("tmux")
    directory = try TemporaryDirectory()
    let socket = directory.file("tmux")
    let script = "read -r _; exec \"$0\" -S \"$1\" kill-server"
    var keeping = ChildProcess.Launch("/bin/sh", ["-c", script, tmux, socket])
    keeping.output = .file("/dev/null")
    keeper = try ChildProcess(keeping)

    var variables: [String: String?] = ["LANG": "C.UTF-8", "LC_ALL": nil as String?]
    variables.merge(environment) { _, new in new }
    // env(1) becomes the program: no shell reads the command.
    var words = [try CompiledProgram.path("lingering.c"), "/usr/bin/env"]
    for case (let name, nil) in variables { words += ["-u", name] }
    for case (let name, let value?) in variables { words.append("\(name)=\(value)") }
    let settings = [
      ["start-server"],
      // The screen and the exit status outlast the program.
      ["set-option", "-g", "remain-on-exit", "on"],
      ["set-option", "-g", "remain-on-exit-format", ""],
      ["set-option", "-g", "status", "off"],
      ["new-session", "-d", "-x", "\(columns)", "-y", "\(rows)"] + words + command,
    ]
    try tell(Array(settings.joined(separator: [";"])))
  }

  /// Starts an interactive bash without any of the user's settings, whose prompt is `$ `.
  ///
  /// - Throws: `TestKitError`.
  package convenience init(
    shellWithColumns columns: Int = 80, rows: Int = 24, environment: [String: String?] = [:]
  ) throws(TestKitError) {
    var variables: [String: String?] = ["PS1": "$ ", "HISTFILE": "/dev/null"]
    variables.merge(environment) { _, new in new }
    try self.init(
      ["bash", "--norc", "--noprofile"], columns: columns, rows: rows, environment: variables)
    try waitUntil("a prompt") { $0.hasPrefix("$") }
  }

  deinit {
    let program = (try? pid()) ?? 0
    _ = try? tell(["kill-server"])
    // Its terminal has gone, which ends a program unless it ignores that.
    let deadline = Deadline(in: .seconds(2))
    while program > 0, isAlive(program) {
      if deadline.hasPassed { kill(program, SIGKILL) }
      usleep(2000)
    }
  }

  // MARK: Keys

  /// Presses keys by tmux's names for them: `q`, `Enter`, `C-c`, `Up`, `PageDown`.
  ///
  /// - Throws: `TestKitError.ended` if tmux refuses.
  package func sendKeys(_ keys: String...) throws(TestKitError) {
    try tell(["send-keys", "--"] + keys)
  }

  /// Types text as it is, without Enter.
  ///
  /// - Throws: as above.
  package func type(_ text: String) throws(TestKitError) {
    try tell(["send-keys", "-l", "--", text])
  }

  /// Types a line and presses Enter.
  ///
  /// - Throws: as above.
  package func enter(_ line: String) throws(TestKitError) {
    try type(line)
    try sendKeys("Enter")
  }

  /// Gives the terminal another size.
  ///
  /// - Throws: as above.
  package func resize(columns: Int, rows: Int) throws(TestKitError) {
    try tell(["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
  }

  // MARK: The screen

  /// The rows of the screen, without blanks at their ends, or with the escape sequences of their
  /// styles.
  ///
  /// - Throws: as above.
  package func screen(withStyles: Bool = false) throws(TestKitError) -> [String] {
    try capture(withStyles ? ["-e"] : [])
  }

  /// The rows that have left the screen at its top, of the ordinary screen also while a program uses
  /// the alternate one.
  ///
  /// - Throws: as above.
  package func scrollback() throws(TestKitError) -> [String] {
    guard let size = Int(try value("history_size")), size > 0 else { return [] }
    return try capture(["-S", "-", "-E", "-1"])
  }

  private func capture(_ options: [String]) throws(TestKitError) -> [String] {
    let text = try tell(["capture-pane", "-p"] + options)
    let rows = text.split(separator: "\n", omittingEmptySubsequences: false)
    return rows.dropLast().map(String.init)
  }

  /// Waits until the screen is as `holds` says, and returns it; its rows end with a line feed each.
  ///
  /// - Throws: `TestKitError.deadline` with the last screen.
  @discardableResult
  package func waitUntil(
    _ waitingFor: String, within patience: Duration = .seconds(20), _ holds: (String) -> Bool
  ) throws(TestKitError) -> String {
    let deadline = Deadline(in: patience)
    while true {
      let text = try tell(["capture-pane", "-p"])
      if holds(text) { return text }
      if deadline.hasPassed {
        throw .deadline(program: "the terminal", waitingFor: waitingFor, seen: text)
      }
      usleep(50_000)
    }
  }

  // MARK: State

  /// Whether the alternate screen is shown, which leaves the ordinary one as it was.
  ///
  /// - Throws: `TestKitError.ended` if tmux refuses.
  package func showsAlternateScreen() throws(TestKitError) -> Bool {
    try value("alternate_on") == "1"
  }

  /// Whether the cursor is shown; never once `ending()` says that the process has ended.
  ///
  /// - Throws: as above.
  package func showsCursor() throws(TestKitError) -> Bool { try value("cursor_flag") == "1" }

  /// The process that was started: the program itself, or the shell; 0 once it has ended.
  ///
  /// - Throws: as above.
  package func pid() throws(TestKitError) -> pid_t {
    let parent = try value("pane_pid")
    let children = try contents(ofFile: "/proc/\(parent)/task/\(parent)/children")
    let first = String(decoding: children, as: UTF8.self).split(separator: " ").first
    return first.flatMap { pid_t($0) } ?? 0
  }

  /// How the process ended, if it has.
  ///
  /// - Throws: as above.
  package func ending() throws(TestKitError) -> Ending? {
    guard try value("pane_dead") == "1" else { return nil }
    if let signal = Int32(try value("pane_dead_signal")) { return .signal(signal) }
    if let code = Int32(try value("pane_dead_status")) { return .exit(code) }
    // tmux 3.3a sometimes sees that the terminal was closed and misses the signal that tells it of
    // the end: it looks again when it gets another.
    if let server = pid_t(try value("pid")) { kill(server, SIGCHLD) }
    return nil
  }

  /// Waits until the process has ended, and returns how; all that it wrote is then on the screen.
  ///
  /// - Throws: `TestKitError.deadline` with the last screen.
  package func waitForEnd(
    within patience: Duration = .seconds(20)
  ) throws(TestKitError) -> Ending {
    let deadline = Deadline(in: patience)
    while true {
      if let ending = try ending() { return ending }
      if deadline.hasPassed {
        let seen = try screen().joined(separator: "\n")
        throw .deadline(program: "the terminal", waitingFor: "its program's end", seen: seen)
      }
      usleep(20_000)
    }
  }

  /// The terminal's modes as `stty -g` writes them, read from outside at this moment.
  ///
  /// - Throws: `TestKitError`, also once the program has ended.
  package func modes() throws(TestKitError) -> String {
    let run = try ToolRun(
      executable: try installedProgram("stty"), ["-F", try value("pane_tty"), "-g"])
    guard run.ending == .exit(0) else {
      throw .ended(
        program: "stty", run.ending, waitingFor: "a terminal's modes", standardError: run.error)
    }
    return String(run.output.prefix { $0 != "\n" })
  }

  /// What tmux knows by this name, such as `pane_pid` or `cursor_y`.
  ///
  /// - Throws: `TestKitError.ended` if tmux refuses.
  package func value(_ name: String) throws(TestKitError) -> String {
    String(try tell(["display-message", "-p", "#{\(name)}"]).dropLast())
  }

  @discardableResult
  private func tell(_ words: [String]) throws(TestKitError) -> String {
    // -u: what it prints is UTF-8 whatever our own locale is.
    let run = try ToolRun(
      executable: tmux, ["-u", "-S", socket, "-f", "/dev/null"] + words,
      environment: ["TMUX": nil as String?])
    guard run.ending == .exit(0) else {
      throw .ended(
        program: "tmux", run.ending, waitingFor: words.joined(separator: " "),
        standardError: run.error)
    }
    return run.output
  }
}

/// Whether a process runs, rather than only waits for its status to be taken.
private func isAlive(_ pid: pid_t) -> Bool {
  // Without memory of its own it has no arguments any more.
  (try? contents(ofFile: "/proc/\(pid)/cmdline"))?.isEmpty == false
}
