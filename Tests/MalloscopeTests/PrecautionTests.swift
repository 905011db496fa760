// What the tool looks at before it touches anything: its own memory, and how much there is to read.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("Precautions", .serialized)
struct PrecautionTests {
  static let obstacle = TestControlGroup.obstacle("memory")

  /// Runs the tool as a member of `group`.
  private func run(_ arguments: [String], in group: TestControlGroup) throws -> ToolRun {
    // The shell enters the group and becomes the tool.
    try ToolRun(
      executable: "/bin/sh",
      [
        "-c", "echo $$ > '\(group.directory)/cgroup.procs' && exec \"$0\" \"$@\"",
        try BuildProduct.malloscope.path(),
      ] + arguments)
  }

  @Test(
    "with too little memory for a list of chunks the target is left alone",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func littleMemory() throws {
    let program = try TargetProgram(scenario: "million", ["--heartbeat"])
    try program.waitReady()
    let group = try TestControlGroup("memory")
    // A million chunks need 48 MB beside the 32 MiB of every run.
    try group.limitMemory(to: 72 << 20)
    _ = try program.ask()
    let refused = try run(["chunks", "\(program.pid)"] + CaptureChoice.stop.options, in: group)
    #expect(refused.exitCode == 69, "\(refused.ending)")
    #expect(refused.output == "")
    let lines = refused.error.split(separator: "\n").map(String.init)
    let fact = try #require(lines.first)
    #expect(
      fact.hasPrefix(
        "malloscope: process \(program.pid) was left alone: its chunks may need "), "\(fact)")
    #expect(
      fact.contains("the memory limit of this tool's control group (\(group.directory)) leaves"))
    #expect(lines.contains("  hint: the histogram needs at most 64 MiB: malloscope \(program.pid)"))
    // It has not been stopped: reading it takes some 100 ms.
    let gap = try program.ask()
    #expect(gap.hasPrefix("gap_us ") && (Int(gap.dropFirst(7)) ?? .max) < 40_000, "\(gap)")

    // What the hint names is possible, and no list is needed for a total.
    let histogram = try run(["\(program.pid)", "--json"], in: group)
    #expect(histogram.exitCode == 0, "\(histogram.ending) \(histogram.error)")
    #expect(try HeapDocument(histogram.output).totals.inUseChunks > 1_000_000)
    let roomy = try TestControlGroup("memory")
    try roomy.limitMemory(to: 1 << 30)
    let chunks = try run(["chunks", "\(program.pid)", "--limit", "1"], in: roomy)
    #expect(chunks.exitCode == 0, "\(chunks.error)")
  }

  @Test(
    "with too little memory for a histogram that is said, in every way to capture",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")),
    arguments: CaptureChoice.allCases)
  func veryLittleMemory(choice: CaptureChoice) throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let group = try TestControlGroup("memory")
    try group.limitMemory(to: 32 << 20)
    let refused = try run(["\(program.pid)"] + choice.options, in: group)
    #expect(refused.exitCode == 69)
    #expect(
      refused.error.hasPrefix(
        "malloscope: process \(program.pid) was left alone: the histogram may need 32 MiB, but "),
      "\(refused.error)")
  }

  @Test(
    "a huge heap is announced, and what reading it will mean", arguments: CaptureChoice.allCases)
  func huge(choice: CaptureChoice) throws {
    let path = try CompiledProgram.path("Huge.c", flags: ["-w"])
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)", "--json"] + choice.options)
    // A clone of it may be more than the machine has room for.
    #expect(run.exitCode == 0 || choice == .fork && run.exitCode == 69, "\(run.error)")
    let note = try #require(run.error.split(separator: "\n").first)
    #expect(note.hasPrefix("note: the heap has 17 GiB; "), "\(run.error)")
    let end =
      switch choice {
      case .auto: "in stops of at most 5 ms"
      case .slices: "in stops of at most 1 ms"
      // How long is not known where nothing is in memory to try it on.
      case .stop: "the target will be stopped for "
      case .fork: "the clone is made in one stop"
      case .live: "reading it takes "
      }
    #expect(note.contains(end), "\(note)")
    guard run.exitCode == 0 else { return }
    #expect(run.error.split(separator: "\n").count == 1)
    let document = try HeapDocument(run.output)
    #expect(document.totals.mmappedChunks == 17 && document.totals.mmappedBytes > 17 << 30)
    #expect(document.coverage == 1 && document.capture.copiedBytes < 1 << 20)
    #expect(try ToolRun(["\(program.pid)", "-q"] + choice.options).error == "")
  }
}
