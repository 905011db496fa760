// What watching costs: the target's time, a processor's, and the terminal's.

import CPtrace
import TestKit

/// `malloscope watch PID 1` on one heap, judged by the target's heartbeat.
struct WatchMeasurement {
  /// What it is called on the command line.
  static let name = "watch"
  /// A heap: what it is called, HeapScenario's arguments, and how many samples are enough.
  struct Heap {
    var name: String
    var scenario: [String]
    var mostSamples: Int
  }
  /// The heaps; of the large one, samples are some 20 s apart.
  static let heaps = [
    Heap(name: "100 MiB in small blocks", scenario: ["million", "620000"], mostSamples: 30),
    Heap(name: "1.1 GiB in small blocks", scenario: ["gib"], mostSamples: 8),
  ]
  /// The most that is promised: of the time that the target is stopped, of a processor's that the tool
  /// needs, and of bytes for a frame.
  static let mostStopped = 0.01
  static let mostProcessor = 0.05
  static let mostFrameBytes = 4096

  /// What the heap is called.
  let heap: String
  /// How many samples were taken, and in how many seconds.
  let samples: Int
  let seconds: Double
  /// The shares of that time.
  let stoppedShare: Double
  let idleShare: Double
  let processorShare: Double
  /// The tool's peak memory, in MiB.
  let peakMebibytes: Double
  /// The sizes of frames after the first, in bytes.
  let frames: Samples

  /// Measures it.
  ///
  /// - Throws: `TestKitError` and `MeasuringError`.
  init(_ heap: Heap, samples wanted: Int) throws {
    self.heap = heap.name
    let samples = min(wanted, heap.mostSamples)
    self.samples = samples
    let target = try BenchmarkTarget(heap.scenario)
    let pid = "\(target.program.pid)"
    // How much the heartbeat misses with nobody attached.
    let idleStart = cpt_now()
    let idle = try target.lost { cpt_pause(3_000_000_000) }
    idleShare = idle / 1000 / (Double(cpt_now() - idleStart) / 1e9)
    var run: (seconds: Double, process: ChildProcess)?
    let lost = try target.lost {
      run = try Self.watch([pid, "1", "\(samples)", "--json"])
    }
    guard let run, let processor = run.process.processorSeconds,
      let peak = run.process.peakResidentBytes
    else { preconditionFailure("the body always runs, and the process was waited for") }
    seconds = run.seconds
    stoppedShare = lost / 1000 / run.seconds
    processorShare = processor / run.seconds
    peakMebibytes = mebibytes(peak)
    frames = try Self.frames(pid, samples: seconds > 3 * Double(samples) ? 3 : min(samples, 12))
    try target.program.close()
  }

  /// Runs the verb to its end.
  private static func watch(
    _ arguments: [String]
  ) throws -> (seconds: Double, process: ChildProcess) {
    var launch = ChildProcess.Launch(try BuildProduct.malloscope.path(), ["watch"] + arguments)
    launch.input = .file("/dev/null")
    launch.output = .capture
    let start = cpt_now()
    let process = try ChildProcess(launch)
    let ending = try process.waitForEnd(by: Deadline(in: .seconds(1200)), lookingEvery: 2000)
    let seconds = Double(cpt_now() - start) / 1e9
    guard ending == .exit(0) || ending == .exit(2) else {
      throw MeasuringError.failed(
        program: "malloscope", ending, standardError: process.standardError)
    }
    return (seconds, process)
  }

  /// How many bytes the frames on a terminal of 80 by 24 took, but the first.
  private static func frames(_ pid: String, samples: Int) throws -> Samples {
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(), ["watch", pid, "1", "\(samples)"])
    launch.input = .terminal
    launch.output = .terminal
    launch.error = .terminal
    launch.environment = ["TERM": "xterm-256color", "LANG": "C.UTF-8"]
    let process = try ChildProcess(launch)
    let text = try process.readToEnd(by: Deadline(in: .seconds(1200)))
    _ = try process.waitForEnd(by: Deadline(in: .seconds(60)))
    // Each frame begins with the sequence for synchronized output.
    let frames = text.split(separator: "\u{1B}[?2026h").dropFirst(2).map { Double($0.utf8.count) }
    guard !frames.isEmpty else {
      throw MeasuringError.failed(
        program: "malloscope", .exit(0), standardError: String(text.prefix(500)))
    }
    return Samples(frames)
  }

  /// The figures as a table.
  var text: String {
    func share(_ label: String, _ value: Double, _ most: Double?) -> String {
      let verdict = most.map { value <= $0 ? "met" : "not met" }
      return Table.row(
        label, decimal(value * 100, 2) + " %", "",
        "", most.map { "\(decimal($0 * 100, 0)) % \(verdict ?? "")" } ?? "")
    }
    let isSmall = frames.largest <= Double(Self.mostFrameBytes)
    return [
      "\(Self.name): \(heap), every second, \(samples) samples in \(decimal(seconds, 1)) s "
        + "(\(decimal(seconds / Double(max(1, samples - 1)), 2)) s each)",
      Table.heading(),
      share("target stopped", stoppedShare, Self.mostStopped),
      share("lost by itself", idleShare, nil),
      share("a processor", processorShare, Self.mostProcessor),
      Table.row("peak memory", decimal(peakMebibytes, 1) + " MiB", ""),
      Table.row(
        "a frame, bytes", decimal(frames.median, 0), frames.range(decimals: 0), "",
        "\(Self.mostFrameBytes) \(isSmall ? "met" : "not met")"),
    ].joined(separator: "\n")
  }
}
