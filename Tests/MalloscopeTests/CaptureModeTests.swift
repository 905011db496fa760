// The ways to capture: what each says of itself, that all of them find the same, and their options.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("The ways to capture", .serialized)
struct CaptureModeTests {
  @Test(
    "a heap that stands still is found the same in every way", arguments: CaptureChoice.allCases)
  func same(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let whole = try reportedHeap(program.pid, .stop)
    let document = try reportedHeap(program.pid, choice)
    #expect(document.totals == whole.totals)
    #expect(document.histogram == whole.histogram)
    #expect(document.arenas == whole.arenas)
    #expect(document.checks == whole.checks && document.checks.allSatisfy { $0.holds })
    #expect(document.findings.isEmpty && document.coverage == 1, "\(document.findings)")
    #expect(document.capture.resynchronisations == 0)
    let chunks = try reportedChunks(program.pid, choice.options)
    #expect(chunks == (try reportedChunks(program.pid, CaptureChoice.stop.options)))
  }

  @Test("each way says what it was and what it cost", arguments: CaptureChoice.allCases)
  func facts(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let capture = try reportedHeap(program.pid, choice).capture
    #expect(capture.resynchronisations == 0)
    #expect(capture.copiedBytes > 0 && capture.elapsedMs > 0)
    switch choice {
    case .auto:
      // Where it does not fit one stop on a busy machine, it says so.
      #expect(capture.mode == (capture.stops - capture.retries == 1 ? "stop" : "slices"))
    case .stop:
      #expect(capture.mode == "stop" && capture.consistency == "atomic")
      #expect(capture.stops == capture.retries + 1)
    case .slices:
      #expect(capture.mode == "slices")
      #expect(
        capture.consistency == (capture.stops - capture.retries > 1 ? "sliced" : "atomic"))
    case .fork:
      #expect(capture.mode == "fork" && capture.consistency == "atomic" && capture.stops >= 2)
    case .live:
      #expect(capture.mode == "live" && capture.consistency == "live")
      #expect(capture.stops == 0 && capture.longestStopMs == 0 && capture.totalStopMs == 0)
    }
    guard choice.stops else { return }
    #expect(capture.stops >= 1 && capture.longestStopMs > 0)
    #expect(capture.longestStopMs <= capture.totalStopMs)
    #expect(capture.totalStopMs < capture.elapsedMs)
  }

  @Test("by default a small heap is read in one stop")
  func small() throws {
    let program = try TargetProgram(scenario: "main-only", ["2000"])
    try program.waitReady()
    // Others may have our processor just then.
    #expect(
      try comes {
        let capture = try HeapDocument(try ToolRun(["\(program.pid)", "--json"]).output).capture
        return capture.mode == "stop" && capture.consistency == "atomic" && capture.stops == 1
      })
  }

  @Test("by default a large heap is read in several stops, and nothing is lost between them")
  func large() throws {
    let program = try TargetProgram(scenario: "million")
    let oracle = try program.waitForOracle()
    let held = try #require(oracle.held?.count)
    let whole = try reportedHeap(program.pid, .stop)
    for _ in 0..<3 {
      let document = try reportedHeap(program.pid)
      #expect(document.capture.mode == "slices" && document.capture.consistency == "sliced")
      #expect(document.capture.stops > 2)
      #expect(document.capture.longestStopMs < document.capture.totalStopMs)
      #expect(document.totals.inUseChunks == whole.totals.inUseChunks)
      #expect((held...held + 9).contains(document.totals.inUseChunks))
      #expect(document.totals == whole.totals && document.histogram == whole.histogram)
      #expect(document.coverage == 1 && document.findings.isEmpty)
      #expect(document.checks.allSatisfy { $0.holds })
      #expect(document.capture.resynchronisations == 0)
    }
  }

  @Test("the pauses are shorter the shorter they are to be, and leave the target its share")
  func budget() throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    func capture(_ options: [String]) throws -> HeapDocument.Capture {
      try HeapDocument(try ToolRun(["\(program.pid)", "--json"] + options).output).capture
    }
    let long = try capture(["--max-pause", "20"])
    let short = try capture(["--max-pause", "2"])
    #expect(short.stops > 2 * long.stops, "\(short.stops) and \(long.stops)")
    // A fifth of the time stopped: it runs four times as long, but for the last stop.
    let rare = try capture(["--max-pause", "20", "--max-stopped", "20"])
    #expect(rare.elapsedMs > 4 * (rare.totalStopMs - rare.longestStopMs))
  }

  @Test("blocks as large as a thread's cache are not read once more, though threads have ended")
  func endedThreads() throws {
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("EndedThreads.c")))
    try program.waitReady()
    for choice in [CaptureChoice.auto, .stop] {
      let document = try reportedHeap(program.pid, choice)
      #expect(document.arenas.count > document.target.threads)
      #expect(document.findings.isEmpty && document.coverage == 1, "\(document.findings)")
      #expect(document.checks.allSatisfy { $0.holds })
      // All of it once, and what every stop reads; each of 40,000 such blocks again would be 30 MB.
      let copied = document.capture.copiedBytes
      #expect(copied < document.totals.systemBytes * 5 / 4, "\(choice): \(copied)")
    }
    #expect(try program.close() == .exit(0))
  }

  @Test("a process that another traces is read without a stop")
  func traced() throws {
    let program = try TargetProgram(scenario: "traced")
    let lines = try program.waitReady()
    let line = try #require(lines.first { $0.hasPrefix("child ") })
    let child = try #require(Int32(line.dropFirst(6)))
    for options in [["--no-stop"], ["--capture", "live"]] {
      let run = try ToolRun(["\(child)", "--json"] + options)
      #expect(run.exitCode == 0, "\(run.error)")
      let document = try HeapDocument(run.output)
      #expect(document.capture.mode == "live" && document.coverage == 1)
    }
    #expect(status(child, "TracerPid") == "\(program.pid)")
    #expect(try program.close() == .exit(0))
  }

  // MARK: Options

  @Test(
    "what has no meaning together is a usage error that says why",
    arguments: [
      (["--no-stop", "--capture", "stop"], "--no-stop and --capture stop exclude each other"),
      (["--no-stop", "--capture", "auto"], "--no-stop and --capture auto exclude each other"),
      (["--capture", "fork", "--no-stop"], "--no-stop and --capture fork exclude each other"),
      (["--no-stop", "--max-pause", "5"], "--max-pause has no meaning with --capture live"),
      (["--no-stop", "--max-stopped", "5"], "--max-stopped has no meaning with --capture live"),
      (
        ["--capture", "live", "--max-pause", "5"], "--max-pause has no meaning with --capture live"
      ),
      (
        ["--capture", "stop", "--max-pause", "5"], "--max-pause has no meaning with --capture stop"
      ),
      (
        ["--capture", "fork", "--max-stopped", "5"],
        "--max-stopped has no meaning with --capture fork"
      ),
      (
        ["--capture", "stop", "--max-stopped", "50", "--max-pause", "5"],
        "--max-pause has no meaning with --capture stop"
      ),
      (["--max-pause", "0"], "--max-pause is 0.1 to 60000 milliseconds"),
      (["--max-pause=-1"], "--max-pause is 0.1 to 60000 milliseconds"),
      (["--max-pause", "60001"], "--max-pause is 0.1 to 60000 milliseconds"),
      (["--max-pause", "nan"], "--max-pause is 0.1 to 60000 milliseconds"),
      (["--max-pause", "inf"], "--max-pause is 0.1 to 60000 milliseconds"),
      (["--max-stopped", "0"], "--max-stopped is 1 to 100 percent"),
      (["--max-stopped", "101"], "--max-stopped is 1 to 100 percent"),
      (["--max-pause", "soon"], "The value 'soon' is invalid for '--max-pause <ms>'"),
      (
        ["--capture", "copy"],
        "The value 'copy' is invalid for '--capture <mode>'. Please provide one of 'auto', 'stop', "
          + "'slices', 'fork' or 'live'."
      ),
    ])
  func usage(options: [String], fact: String) throws {
    for verb in ["histogram", "chunks", "arenas"] {
      let run = try ToolRun([verb, "1"] + options)
      #expect(run.ending == .exit(64))
      #expect(run.output == "")
      #expect(run.error.hasPrefix("malloscope: \(fact)\n"), "\(run.error)")
    }
  }

  @Test("what has a meaning together is taken, at the ends of what is possible")
  func meaningful() throws {
    let program = try TargetProgram(scenario: "main-only", ["2000"])
    try program.waitReady()
    for options in [
      ["--no-stop", "--capture", "live"], ["--capture", "auto", "--max-pause", "0.1"],
      ["--capture", "slices", "--max-pause", "60000", "--max-stopped", "100"],
      ["--max-pause", "2.5", "--max-stopped", "33.3"],
    ] {
      for verb in ["histogram", "chunks", "arenas"] {
        let run = try ToolRun([verb, "\(program.pid)", "--json"] + options)
        #expect(run.exitCode == 0, "\(verb) \(options): \(run.error)")
      }
    }
  }

  @Test("the help of each verb says what the target experiences")
  func help() throws {
    for verb in ["histogram", "chunks", "arenas"] {
      let run = try ToolRun(["help", verb], environment: ["COLUMNS": "80"])
      let words = run.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
      for phrase in [
        "auto stops the target once if that fits --max-pause, else several times (slices), with the "
          + "target running in between",
        "stop is one stop, however long", "which runs one system call in it",
        "live does not stop it at all",
        "How long the target may be stopped at once, in milliseconds (auto and slices; default 5, "
          + "or MALLOSCOPE_MAX_PAUSE)",
        "How much of one processor malloscope may use, on average",
        "How much memory malloscope itself may have, in MiB",
        "The share of the time that the target may be stopped while it is captured",
        "Works beside another debugger",
      ] {
        #expect(words.contains(phrase), "\(verb): \(phrase)")
      }
    }
  }
}
