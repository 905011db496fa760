// The budgets of a capture: by option, by environment, and by the limits of our own control group.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("Budgets", .serialized)
struct BudgetTests {
  static let obstacle = TestControlGroup.obstacle("cpu")

  /// A million blocks and a thread that notices when it is stopped.
  private func start() throws -> TargetProgram {
    let program = try TargetProgram(scenario: "million", ["--heartbeat"])
    try program.waitReady()
    _ = try program.ask()
    return program
  }

  @Test("the environment sets what no option does, and an option counts more")
  func environment() throws {
    let program = try start()
    func stops(_ options: [String], _ environment: [String: String?]) throws -> HeapDocument {
      let run = try ToolRun(["\(program.pid)", "--json"] + options, environment: environment)
      #expect(run.exitCode == 0, "\(run.error)")
      return try HeapDocument(run.output)
    }
    let short = try stops([], ["MALLOSCOPE_MAX_PAUSE": "2"])
    #expect(short.capture.stops > 5 && short.capture.mode == "slices")
    let long = try stops(["--max-pause", "60000"], ["MALLOSCOPE_MAX_PAUSE": "2"])
    #expect(long.capture.stops - long.capture.retries == 1 && long.capture.mode == "stop")
    // Where there is no budget there is none to set.
    let one = try stops(["--capture", "stop"], ["MALLOSCOPE_MAX_PAUSE": "2"])
    #expect(one.capture.stops - one.capture.retries == 1)
    // A twentieth of the time stopped: the rest of it running.
    let slow = try stops(
      [], ["MALLOSCOPE_MAX_PAUSE": "5", "MALLOSCOPE_MAX_STOPPED": "5"])
    #expect(slow.capture.elapsedMs > slow.capture.totalStopMs * 10)
  }

  @Test("what the environment has and is no budget is a usage error that names the variable")
  func badEnvironment() throws {
    for (name, text, bounds) in [
      ("MALLOSCOPE_MAX_PAUSE", "5ms", "0.1 to 60000 milliseconds"),
      ("MALLOSCOPE_MAX_STOPPED", "0", "0.01 to 100 percent"),
      ("MALLOSCOPE_MAX_CPU", "200", "1 to 100 percent of a processor"),
      ("MALLOSCOPE_MAX_MEMORY", "nan", "1 to 1048576 MiB"),
    ] {
      for arguments in [["1"], ["watch", "1", "1", "1"]] {
        let run = try ToolRun(arguments, environment: [name: text])
        #expect(run.ending == .exit(64), "\(run.ending)")
        #expect(
          run.error.hasPrefix(
            "malloscope: the environment has \(name)=\(text), but it is \(bounds)\n"),
          "\(run.error)")
      }
    }
    let doctor = try ToolRun(["doctor"], environment: ["MALLOSCOPE_MAX_CPU": "7"])
    #expect(doctor.exitCode == 0)
    #expect(
      doctor.output.contains("budget      MALLOSCOPE_MAX_CPU=7 stands for --max-cpu"),
      "\(doctor.output)")
    #expect(try ToolRun(["doctor"], environment: ["MALLOSCOPE_MAX_CPU": "x"]).exitCode == 64)
    let option = try ToolRun(["1", "--max-cpu", "0"])
    #expect(option.ending == .exit(64))
    #expect(option.error.hasPrefix("malloscope: --max-cpu is 1 to 100 percent of a processor\n"))
  }

  @Test("with a share of a processor it takes its time")
  func processor() throws {
    let program = try start()
    for mode in ["auto", "live"] {
      let plain = try HeapDocument(
        try ToolRun(["\(program.pid)", "--json", "--capture", mode]).output)
      let slow = try HeapDocument(
        try ToolRun(["\(program.pid)", "--json", "--capture", mode, "--max-cpu", "10"]).output)
      #expect(slow.capture.elapsedMs > plain.capture.elapsedMs + 200, "\(mode)")
      // What it rests is between the stops.
      #expect(slow.capture.longestStopMs < 60, "\(mode)")
    }
    // Three samples, and after each but the last ten times what it took.
    let clock = ContinuousClock()
    let start = clock.now
    let watch = try ToolRun(
      ["watch", "\(program.pid)", "0.05", "3", "--json"],
      environment: ["MALLOSCOPE_MAX_CPU": "10", "MALLOSCOPE_MAX_STOPPED": "100"])
    #expect(watch.exitCode == 0)
    let lines = watch.output.split(separator: "\n").map(String.init)
    #expect(lines.count == 4)
    #expect(clock.now - start > .milliseconds(700))
  }

  @Test("what needs more memory than it may have is refused before the target is touched")
  func memory() throws {
    let program = try start()
    let refused = try ToolRun(["\(program.pid)"], environment: ["MALLOSCOPE_MAX_MEMORY": "30"])
    #expect(refused.ending == .exit(69))
    #expect(
      refused.error.hasPrefix(
        "malloscope: process \(program.pid) was left alone: the histogram may need 32 MiB, but "
          + "--max-memory leaves "), "\(refused.error)")
    let gap = try program.ask()
    #expect((Int(gap.dropFirst(7)) ?? .max) < 40_000, "\(gap)")
    #expect(try ToolRun(["\(program.pid)", "--max-memory", "80"]).exitCode == 0)
    #expect(try ToolRun(["chunks", "\(program.pid)", "--max-memory", "80"]).exitCode == 69)
  }

  /// Runs the tool in `group` without what lets it take precedence over other processes.
  private func run(_ arguments: [String], in group: TestControlGroup) throws -> ToolRun {
    try ToolRun(
      executable: "/bin/sh",
      [
        "-c", "echo $$ > '\(group.directory)/cgroup.procs' && exec \"$0\" \"$@\"",
        try installedProgram("setpriv"), "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice",
        try BuildProduct.malloscope.path(),
      ] + arguments)
  }

  /// Without care the tool uses up its tenth of a processor in a stop and the target waits for the next
  /// period with it: 90 ms (measured).
  @Test(
    "a processor quota of our own group never holds up the target",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func quota() throws {
    let program = try start()
    let group = try TestControlGroup("cpu")
    if group.isUnified {
      try group.set("cpu.max", "10000 100000")
    } else {
      try group.set("cpu.cfs_quota_us", "10000")
    }
    _ = try program.ask()
    let run = try run(["\(program.pid)", "--json"], in: group)
    #expect(run.exitCode == 0, "\(run.error)")
    let document = try HeapDocument(run.output)
    #expect(document.capture.longestStopMs < 60)
    let gap = try program.ask()
    #expect((Int(gap.dropFirst(7)) ?? .max) < 60_000, "\(gap)")
    let doctor = try self.run(["doctor"], in: group)
    let words = doctor.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    #expect(
      words.contains(
        "note processor the control group \(group.directory) allows 10.0 ms of a processor in 100.0 ms, so that no "
          + "stop is longer than 6.00 ms"), "\(doctor.output)")
    // Of one long stop it is said what it means.
    let long = try self.run(["\(program.pid)", "--capture", "stop"], in: group)
    #expect(long.exitCode == 0)
    #expect(
      long.error.contains("note: after 6 ms of work this tool may have to wait for a processor"),
      "\(long.error)")
  }
}
