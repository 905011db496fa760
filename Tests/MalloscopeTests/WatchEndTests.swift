// How a watch ends, and that neither its end nor the watch itself is any concern of the target's.

import Glibc
import TestKit
import Testing

/// The first real-time signal that glibc leaves to programs; the kernel queues it.
private let queuedSignal: Int32 = 34

@Suite("A watch ends in good order", .serialized)
struct WatchEndTests {
  private func kill(_ program: TargetProgram) throws {
    program.process.send(SIGKILL)
    _ = try program.process.waitForEnd(by: Deadline(in: TargetProgram.patience))
  }

  // MARK: The target

  @Test("when the target ends there is a summary, and the exit code is 0")
  func targetEnds() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.1"] + unstretched)
    for _ in 0..<5 { _ = try watch.sample() }
    try kill(program)
    let summary = try watch.summary()
    #expect(summary.end == "process \(program.pid) ended")
    #expect(summary.samples >= 5)
    #expect(summary.words.first?.hasPrefix("In use did not grow for good") == true)
    #expect(watch.process.standardError == "")
  }

  @Test("whatever the watch is doing when the target ends, it says so and nothing else")
  func targetEndsAnywhere() throws {
    for round in 0..<12 {
      let program = try TargetProgram(scenario: "small10")
      try program.waitReady()
      let watch = try RunningWatch(program.pid, ["0.01"] + unstretched)
      _ = try watch.line()
      usleep(UInt32(round) * 3000)
      try kill(program)
      let summary = try watch.summary()
      #expect(summary.end == "process \(program.pid) ended")
      #expect(watch.process.standardError == "")
    }
  }

  @Test("a target whose first thread ends is watched on")
  func leaderless() throws {
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("StopTargets/leaderless.c"), ["later"]))
    try program.waitReady(marker: "waiting")
    let watch = try RunningWatch(program.pid, ["0.1"] + unstretched)
    for _ in 0..<2 { _ = try watch.sample() }
    try program.process.write("\n")
    try program.waitReady()
    for _ in 0..<3 { _ = try watch.sample() }
    watch.process.send(SIGINT)
    #expect(try watch.summary(code: 130).end == "interrupted")
    #expect(try program.ask() == "alive")
  }

  @Test("a target that is waited for by nobody has ended, too, and text says so")
  func zombieMeanwhile() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.1"] + unstretched, json: false)
    while try watch.line() != "" {}
    // It stays a zombie: it is ours, and we do not ask.
    Glibc.kill(program.pid, SIGKILL)
    let (output, ending) = try watch.rest()
    #expect(ending == .exit(0), "\(watch.process.standardError)")
    #expect(output.contains(": process \(program.pid) ended.\n"), "\(output)")
    #expect(status(program.pid, "State") == "Z")
  }

  @Test("a target that becomes another program is watched no further, and that program is named")
  func otherProgram() throws {
    let other = try CompiledProgram.path("Leaks/loaded_server.cpp")
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("Becoming.c")))
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.1"] + unstretched)
    let first = try watch.sample()
    _ = try watch.sample()
    #expect(first.heap.totals.inUseChunks >= 100)
    try program.process.write(other + "\n")
    try program.waitReady()
    let summary = try watch.summary()
    #expect(summary.end == "process \(program.pid) started another program (\(other))")
    // It runs on as what it is now.
    #expect(try program.ask().hasPrefix("{\"mode\": \"idle\""))
  }

  @Test("a target that starts its own program anew is told by that")
  func sameProgram() throws {
    let path = try CompiledProgram.path("Becoming.c")
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.1"] + unstretched)
    for _ in 0..<2 { _ = try watch.sample() }
    try program.process.write(path + "\n")
    try program.waitReady()
    let summary = try watch.summary()
    #expect(summary.end == "process \(program.pid) started another program (\(path))")
    #expect(try program.close() == .exit(0))
  }

  @Test("a process that took over the program is named when the target has ended")
  func successor() throws {
    let directory = try TemporaryDirectory()
    let name = "ms-next-\(getpid() % 100_000)"
    let path = directory.file(name)
    #expect(symlink(try BuildProduct.heapScenario.path(), path) == 0)
    let first = try TargetProgram(ChildProcess.Launch(path, ["small10"]))
    try first.waitReady()
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(), ["watch", "--name", name, "0.1", "--json"] + unstretched)
    launch.input = .file("/dev/null")
    let watch = try RunningWatch(launch)
    #expect(try watch.sample().heap.target.pid == first.pid)
    let second = try TargetProgram(ChildProcess.Launch(path, ["small10"]))
    try second.waitReady()
    try kill(first)
    let summary = try watch.summary()
    #expect(
      summary.end == "process \(first.pid) ended; its program runs as \(second.pid) now")
    try expectUnharmed(second)
  }

  @Test("what is no process, or none any more, has no heap to watch")
  func noProcess() throws {
    let gone = try TargetProgram(scenario: "unused")
    try gone.waitReady()
    try kill(gone)
    let parent = try TargetProgram(scenario: "zombie")
    let line = try #require(try parent.waitReady().first { $0.hasPrefix("child ") })
    let zombie = try #require(Int32(line.dropFirst(6)))
    for pid in [gone.pid, zombie] {
      for words in [[], ["0.1", "5", "--fail-above", "1MiB/min"]] {
        let run = try ToolRun(["watch", "\(pid)"] + words)
        #expect(run.ending == .exit(66))
        #expect(run.output == "")
        #expect(run.error == (try ToolRun(["\(pid)"]).error))
      }
    }
  }

  @Test("a process that another traces is refused with the reason, and watched without stops")
  func traced() throws {
    let program = try TargetProgram(scenario: "traced")
    let line = try #require(try program.waitReady().first { $0.hasPrefix("child ") })
    let child = try #require(Int32(line.dropFirst(6)))
    let refused = try ToolRun(["watch", "\(child)", "0.1", "3"])
    let plain = try ToolRun(["\(child)"])
    #expect(refused.ending == plain.ending && refused.ending == .exit(77))
    #expect(refused.output == "" && refused.error == plain.error)
    let live = try WatchedRun(child, ["0.1", "3", "--no-stop"])
    #expect(live.samples.map(\.heap.capture.mode) == ["live", "live", "live"])
    #expect(live.summary.stops.totalStopMs == 0 && live.summary.stops.stoppedShare == 0)
    #expect(status(child, "TracerPid") == "\(program.pid)")
  }

  @Test("a target that job control has stopped is watched and stays stopped")
  func stoppedTarget() throws {
    let program = try TargetProgram(scenario: "threads")
    try program.waitReady()
    program.process.send(SIGSTOP)
    #expect(comes { status(program.pid, "State") == "T" })
    let run = try WatchedRun(program.pid, ["0.1", "3"] + unstretched)
    #expect(run.samples.allSatisfy { $0.heap.findings.isEmpty })
    #expect(
      comes { status(program.pid, "State") == "T" && status(program.pid, "TracerPid") == "0" })
    program.process.send(SIGCONT)
    #expect(try program.ask() == "here")
  }

  // MARK: Signals

  @Test(
    "a signal that asks for the end is followed by a summary, at once",
    arguments: [SIGINT, SIGTERM, SIGHUP])
  func signals(signal: Int32) throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["60"])
    _ = try watch.sample()
    let sent = ContinuousClock.now
    watch.process.send(signal)
    let summary = try watch.summary(code: 130)
    #expect(ContinuousClock.now - sent < .seconds(5))
    #expect(summary.end == "interrupted" && summary.samples == 1)
    try expectUnharmed(program)
  }

  @Test("a signal in the middle of a sample ends the watch just so, and the target is let go")
  func signalInCapture() throws {
    let program = try TargetProgram(scenario: "million")
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.01"] + unstretched)
    _ = try watch.sample()
    // It does hardly anything else.
    let stops = comes { Int32(status(program.pid, "TracerPid")) ?? 0 > 0 }
    #expect(stops)
    watch.process.send(SIGTERM)
    #expect(try watch.summary(code: 130).end == "interrupted")
    try expectUnharmed(program)
  }

  @Test("SIGHUP that is ignored from the start, as under nohup, stays so")
  func ignoredHangUp() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    var launch = ChildProcess.Launch(
      "/bin/sh",
      [
        "-c", "trap '' HUP; exec \"$0\" \"$@\"", try BuildProduct.malloscope.path(), "watch",
        "\(program.pid)", "0.1", "6", "--json",
      ] + unstretched)
    launch.input = .file("/dev/null")
    let watch = try RunningWatch(launch)
    _ = try watch.sample()
    watch.process.send(SIGHUP)
    let summary = try watch.summary()
    #expect(summary.end == "all samples were taken" && summary.samples == 6)
  }

  @Test("stopped by job control it lets the target run, and goes on when it is continued")
  func jobControl() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let directory = try TemporaryDirectory()
    let path = directory.file("watched")
    func lines() -> Int {
      (try? contents(ofFile: path))?.count { $0 == UInt8(ascii: "\n") } ?? 0
    }
    let tool = try BuildProduct.malloscope.path()
    let session = try TerminalSession(shellWithColumns: 200)
    try session.enter("\(tool) watch \(program.pid) 0.1 --json --max-stopped 100 > \(path)")
    #expect(comes { lines() >= 3 })
    #expect(try !session.showsAlternateScreen())
    let pid = try #require(childrenOf(try session.pid()).first)
    for round in 0..<3 {
      // By the keyboard, and by a signal at any moment.
      if round == 0 { try session.sendKeys("C-z") } else { Glibc.kill(pid, SIGTSTP) }
      #expect(comes { status(pid, "State") == "T" })
      let stoppedAt = lines()
      for _ in 0..<3 { try expectUnharmed(program) }
      #expect(lines() == stoppedAt)
      try session.enter("fg")
      #expect(comes { lines() >= stoppedAt + 3 })
    }
    try session.sendKeys("C-c")
    #expect(comes { status(pid, "State") == "" })
    try session.enter("echo code $?")
    try session.waitUntil("the exit code") { $0.contains("code 130\n") }
    let run = try WatchedRun(String(decoding: try contents(ofFile: path), as: UTF8.self))
    #expect(run.summary.end == "interrupted" && run.summary.samples == run.samples.count)
    try expectUnharmed(program)
  }

  // MARK: The target's good

  @Test(
    "the interval stretches so that the target is stopped for no more than its share of the time",
    arguments: [("main-only", 1.0, 7), ("million", 3.0, 4)])
  func politeness(scenario: String, percent: Double, count: Int) throws {
    let program = try TargetProgram(
      scenario: scenario, scenario == "million" ? [] : ["2000"])
    try program.waitReady()
    let run = try WatchedRun(
      program.pid, ["0.05", "\(count)", "--max-stopped", "\(percent)"])
    let last = run.samples[count - 1]
    let stopped =
      run.summary.stops.totalStopMs - last.heap.capture.totalStopMs
    let share = stopped / (run.summary.seconds * 1000)
    #expect(share <= percent / 100 * 1.1, "\(share)")
    // And not for its own sake.
    #expect(share > percent / 100 * 0.4, "\(share)")
    #expect(abs(last.watch.stoppedShare - share) < 0.001)
  }

  @Test("after 600 samples the tool has no more memory than after 100")
  func memory() throws {
    let program = try TargetProgram(scenario: "main-only", ["500"])
    try program.waitReady()
    let watch = try RunningWatch(program.pid, ["0.01"] + unstretched)
    // What the watch itself holds between two samples; how much of what it gave back is still resident
    // depends on where its buffers happen to lie.
    func held() throws -> UInt64 {
      let looks = try (0..<8).map { _ in try reportedHeap(watch.pid, ["--capture", "stop"]) }
      return try #require(looks.map(\.totals.inUseBytes).min())
    }
    for _ in 0..<100 { _ = try watch.line() }
    let early = try held()
    for _ in 100..<600 { _ = try watch.line() }
    let late = try held()
    // The moments that are kept, some 560 bytes each, are not all there after 100.
    #expect(late < early + (384 << 10), "\(early) and \(late) bytes")
    watch.process.send(SIGINT)
    #expect(try watch.summary(code: 130).samples >= 600)
  }

  @Test("a watch that is killed at any moment takes no signal along, and leaves nothing behind")
  func killed() throws {
    let program = try TargetProgram(scenario: "signals", ["3"])
    try program.waitReady()
    var sent = 0
    for round in 0..<4 {
      let words = round % 2 == 0 ? [] : ["--capture", "fork"]
      let watch = try RunningWatch(program.pid, ["0.05"] + unstretched + words)
      for _ in 0..<10 {
        _ = try watch.line()
        for _ in 0..<20 {
          program.process.send(queuedSignal)
          sent += 1
          usleep(100)
        }
      }
      usleep(UInt32.random(in: 0..<50_000))
      watch.process.send(SIGKILL)
      #expect(try watch.rest().ending == .signal(SIGKILL))
      #expect(comes(within: .seconds(1)) { status(program.pid, "TracerPid") == "0" })
      #expect(comes { childrenOf(program.pid).isEmpty })
      let arrived = try comes { try program.ask() == "count 0 \(sent)" }
      #expect(arrived, "\(sent) sent")
    }
    #expect(try program.close() == .exit(0))
  }
}
