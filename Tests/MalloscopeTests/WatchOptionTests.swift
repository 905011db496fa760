// The command line of `watch`: what is refused, and what help says.

import Glibc
import TestKit
import Testing

@Suite("The options of a watch", .serialized)
struct WatchOptionTests {
  @Test(
    "what cannot be understood is a usage error that says why, before anything is touched",
    arguments: [
      ([], "give exactly one source: a PID, --name REGEX or --container ID"),
      (["1", "0"], "an interval is 0.01 to 86400 seconds, not '0'"),
      (["1", "0.001"], "an interval is 0.01 to 86400 seconds, not '0.001'"),
      (["1", "86401"], "an interval is 0.01 to 86400 seconds, not '86401'"),
      (["1", "nan"], "an interval is 0.01 to 86400 seconds, not 'nan'"),
      (["1", "soon"], "an interval is 0.01 to 86400 seconds, not 'soon'"),
      (["1", "--", "-1"], "an interval is 0.01 to 86400 seconds, not '-1'"),
      (["1", "1", "0"], "a count of samples is 1 or more, not '0'"),
      (["1", "1", "--", "-3"], "a count of samples is 1 or more, not '-3'"),
      (["1", "1", "1.5"], "a count of samples is 1 or more, not '1.5'"),
      (["1", "1", "many"], "a count of samples is 1 or more, not 'many'"),
      (["1", "1", "1", "1"], "'1' is too much: watch PID INTERVAL COUNT"),
      (["--name", "x", "1", "1", "1"], "'1' is too much: watch PID INTERVAL COUNT"),
      (["--name", "x", "many"], "an interval is 0.01 to 86400 seconds, not 'many'"),
      (["first"], "'first' is neither a verb nor a process id"),
      (["0"], "'0' is neither a verb nor a process id"),
      (["1", "--max-stopped", "0"], "--max-stopped is 0.01 to 100 percent"),
      (["1", "--max-stopped", "101"], "--max-stopped is 0.01 to 100 percent"),
      (["1", "--max-stopped", "nan"], "--max-stopped is 0.01 to 100 percent"),
      (["1", "--max-stopped=-1"], "--max-stopped is 0.01 to 100 percent"),
      (["1", "--exact", "--by", "arena"], "--exact goes with --by size"),
      (["1", "--size", "48", "--by", "type"], "--size goes with --by size"),
      (["1", "--size", "48", "--by", "arena"], "--size goes with --by size"),
      (
        ["1", "--by", "type", "--format", "csv"], "--by type goes with --format text or json"
      ),
      (["1", "--size", "48", "--format", "csv"], "--size goes with --format text or json"),
      (["1", "--sort", "bytes", "--format", "csv"], "--sort goes with --format text or json"),
      (["1", "--json", "--format", "csv"], "--json and --format csv exclude each other"),
      (["1", "--limit=-1"], "a limit is 0 or more"),
      (["1", "--no-stop", "--capture", "stop"], "--no-stop and --capture stop exclude each other"),
      (
        ["1", "--sort", "colour"],
        "The value 'colour' is invalid for '--sort <sort>'. Please provide one of 'growth', "
          + "'bytes', 'count' or 'size'."
      ),
      (
        ["1", "--by", "thread"],
        "The value 'thread' is invalid for '--by <by>'. Please provide one of 'size', 'arena' or "
          + "'type'."
      ),
    ])
  func usage(words: [String], fact: String) throws {
    let run = try ToolRun(["watch"] + words)
    #expect(run.ending == .exit(64))
    #expect(run.output == "")
    #expect(run.error.hasPrefix("malloscope: \(fact)\n"), "\(run.error)")
  }

  @Test(
    "a speed of growth that cannot be read is told with what could be",
    arguments: ["fast", "", "1MiB/fortnight", "MiB/min", "1MiB/", "/min", "1XB/s", "1e999"])
  func rates(text: String) throws {
    let run = try ToolRun(["watch", "1", "1", "5", "--fail-above", text])
    #expect(run.ending == .exit(64))
    #expect(run.output == "")
    #expect(
      run.error
        == "malloscope: '\(text)' is no speed of growth\n  hint: write a number of bytes and a time, "
        + "such as 1MiB/min, 20k/s or 0/min\n")
  }

  @Test("a choice of sizes that cannot be read is told with what could be")
  func sizes() throws {
    let run = try ToolRun(["watch", "1", "--size", "many"])
    #expect(run.ending == .exit(64))
    #expect(
      run.error
        == "malloscope: 'many' is no size\n  hint: sizes: 64, 48..96, >1k, ..4k, in bytes\n")
  }

  @Test("an arena that is not there is a usage error, and leaves no file behind")
  func noSuchArena() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let directory = try TemporaryDirectory()
    let path = directory.file("watched")
    let run = try ToolRun(
      ["watch", "\(program.pid)", "0.1", "2", "--arena", "1", "-o", path])
    #expect(run.ending == .exit(64))
    #expect(run.error == "malloscope: process \(program.pid) has no arena 1\n")
    #expect(access(path, F_OK) != 0)
  }

  @Test("--name takes the words that follow as interval and count")
  func name() throws {
    let directory = try TemporaryDirectory()
    let name = "ms-watch-\(getpid() % 100_000)"
    let path = directory.file(name)
    #expect(symlink(try BuildProduct.heapScenario.path(), path) == 0)
    let program = try TargetProgram(ChildProcess.Launch(path, ["small10"]))
    try program.waitReady()
    let run = try ToolRun(["watch", "--name", "^\(name)$", "0.1", "3", "--json"])
    #expect(run.ending == .exit(0), "\(run.error)")
    let watched = try WatchedRun(run.output)
    #expect(watched.samples.count == 3)
    #expect(watched.samples.allSatisfy { $0.heap.target.pid == program.pid })
    #expect(watched.samples[2].watch.elapsedS < 5)
  }

  @Test("the limits of what is possible are possible")
  func limits() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    for words in [
      ["86400", "1"], ["0.01", "2", "--max-stopped", "100"], ["0.1", "1", "--max-stopped", "0.01"],
      ["0.1", "1", "--max-pause", "0.1"], ["0.1", "1", "--capture", "fork"],
      ["0.1", "1", "--limit", "0"], ["0.1", "1", "--fail-above", "0/min", "--size", ">1k"],
    ] {
      let run = try ToolRun(["watch", "\(program.pid)"] + words)
      let expected: Int32 = words.contains("--fail-above") ? 2 : 0
      #expect(run.ending == .exit(expected), "\(words): \(run.error)")
      #expect(run.output.contains("\nSummary of "))
    }
  }

  @Test("help says what the keys are told by, what the gate is and what the exit codes mean")
  func help() throws {
    for words in [["help", "watch"], ["watch", "--help"]] {
      let run = try ToolRun(words, environment: ["COLUMNS": "80"])
      #expect(run.ending == .exit(0) && run.error == "")
      let text = run.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
      for phrase in [
        "USAGE: malloscope watch PID [INTERVAL [COUNT]] [options]",
        "On a terminal it draws a screen: ? lists its keys.",
        "every INTERVAL seconds (default 1), COUNT times or until told to end",
        "--fail-above <rate>", "such as 1MiB/min or 20k/s", "--max-stopped <percent>",
        "Exit codes besides the usual: 1 if in use grew faster than --fail-above, 2 if a sample was "
          + "incomplete or too few were taken to tell.",
      ] {
        #expect(text.contains(phrase), "\(phrase)")
      }
      #expect(run.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }
    #expect(try ToolRun(["--help"]).output.contains("\n  watch "))
  }
}
