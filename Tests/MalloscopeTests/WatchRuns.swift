// Watches as tests run them: the lines that they write, read back, and a tool that is under way.

import Foundation
import Glibc
import TestKit
import Testing

/// How much each of the totals changed; nil where it is not known.
struct WatchFigures: Decodable {
  var inUseBytes: Double?
  var freeBytes: Double?
  var cachedBytes: Double?
  var topBytes: Double?
  var mmappedBytes: Double?
  var outsideMallocBytes: Double?
  var residentBytes: Double?
  var cgroupBytes: Double?
}

/// A part of the heap that grew.
struct WatchRow: Decodable {
  var smallestSize: UInt64?
  var largestSize: UInt64?
  var arena: String?
  var arenaIndex: Int?
  var inUseChunks: Int
  var inUseBytes: UInt64
  var growthChunks: Int
  var growthBytes: Int
  var bytesPerSecond: Double?
  var inEverySample: Bool
  var neverShrank: Bool
}

/// What a line of `watch --json` has beside the histogram.
struct WatchLine: Decodable {
  struct Watch: Decodable {
    var sample: Int
    var elapsedS: Double
    var residentBytes: UInt64?
    var anonymousBytes: UInt64?
    var swappedBytes: UInt64?
    var outsideMallocBytes: UInt64?
    var cgroupBytes: UInt64?
    var cgroupLimitBytes: UInt64?
    var growth: WatchFigures
    var perSecond: WatchFigures
    var stoppedShare: Double
    var growing: [WatchRow]
  }

  var schema: String
  var watch: Watch
}

/// The last line of `watch --json`.
struct WatchSummary: Decodable {
  struct Trend: Decodable {
    var bytesPerMinute: Double
    var leastBytesPerMinute: Double
    var mostBytesPerMinute: Double
    var grows: Bool
  }

  struct Change: Decodable {
    var kind: String
    var bytes: Int
    var trend: Trend?
  }

  struct Stops: Decodable {
    var longestStopMs: Double
    var totalStopMs: Double
    var stoppedShare: Double
  }

  struct Gate: Decodable {
    var limitBytesPerMinute: Double
    var outcome: String
  }

  var schema: String
  var end: String
  var samples: Int
  var incompleteSamples: Int
  var seconds: Double
  var stops: Stops
  var inUse: Trend?
  var changes: [Change]
  var grown: [WatchRow]
  var words: [String]
  var gate: Gate?

  /// The kinds of what was seen.
  var kinds: [String] { changes.map(\.kind) }

  /// Reads the line.
  init(_ line: String) throws {
    self = try decoded(line)
  }
}

/// A sample of `watch --json`: its histogram, and what changed.
struct WatchedSample {
  var heap: HeapDocument
  var watch: WatchLine.Watch

  /// Reads the line.
  init(_ line: String) throws {
    heap = try HeapDocument(line)
    watch = (try decoded(line) as WatchLine).watch
  }

  /// How many chunks of exactly this size are in use.
  func inUse(size: UInt64) -> Int {
    Int(heap.histogram?.first { $0.size == size }?.inUseChunks ?? 0)
  }

  /// The row of what grew whose range of sizes ends at `size`.
  func growing(upTo size: UInt64) -> WatchRow? { watch.growing.first { $0.largestSize == size } }
}

private func decoded<Document: Decodable>(_ line: String) throws -> Document {
  let decoder = JSONDecoder()
  decoder.keyDecodingStrategy = .convertFromSnakeCase
  return try decoder.decode(Document.self, from: Data(line.utf8))
}

/// Lets the intervals be what they are told to be: the tool under test is built without optimisation.
let unstretched = ["--max-stopped", "100"]

/// A watch with `--json` from its beginning to its end.
struct WatchedRun {
  var samples: [WatchedSample]
  var summary: WatchSummary
  var error: String

  /// Watches a process; the run must end with `code`.
  init(_ pid: Int32, _ words: [String], code: Int32 = 0) throws {
    let run = try ToolRun(["watch", "\(pid)", "--json"] + words)
    #expect(run.ending == .exit(code), "\(run.error)")
    try self.init(run.output, error: run.error)
  }

  /// Reads what a watch has written.
  init(_ output: String, error: String = "") throws {
    var lines = output.split(separator: "\n").map(String.init)
    try #require(!lines.isEmpty, "nothing was written: \(error)")
    let last = lines.removeLast()
    samples = try lines.map { try WatchedSample($0) }
    summary = try WatchSummary(last)
    self.error = error
  }
}

/// A watch that is under way, killed at the latest when the last reference goes.
final class RunningWatch {
  let process: ChildProcess

  /// Watches a process; what it writes is read line by line.
  init(_ pid: Int32, _ words: [String], json: Bool = true) throws {
    var launch = ChildProcess.Launch(
      try BuildProduct.malloscope.path(), ["watch", "\(pid)"] + words + (json ? ["--json"] : []))
    launch.input = .file("/dev/null")
    process = try ChildProcess(launch)
  }

  /// Has a launch of the test's own making.
  init(_ launch: ChildProcess.Launch) throws {
    process = try ChildProcess(launch)
  }

  var pid: Int32 { process.pid }

  /// The next line.
  func line() throws -> String {
    try process.readLine(by: Deadline(in: TargetProgram.patience), waitingFor: "a sample")
  }

  /// The next sample.
  func sample() throws -> WatchedSample { try WatchedSample(line()) }

  /// All that it still writes, and how it ends.
  func rest() throws -> (output: String, ending: Ending) {
    let deadline = Deadline(in: TargetProgram.patience)
    let output = try process.readToEnd(by: deadline)
    return (output, try process.waitForEnd(by: deadline))
  }

  /// The summary, after any further samples; the run must end with `code`.
  func summary(code: Int32 = 0) throws -> WatchSummary {
    let (output, ending) = try rest()
    #expect(ending == .exit(code), "\(process.standardError)")
    return try WatchSummary(try #require(output.split(separator: "\n").last.map(String.init)))
  }
}

/// Expects that a program is traced by nobody, is not stopped, and answers.
func expectUnharmed(_ program: TargetProgram) throws {
  let isFree = comes {
    let state = status(program.pid, "State")
    return status(program.pid, "TracerPid") == "0" && (state == "S" || state == "R")
  }
  #expect(isFree, "\(status(program.pid, "TracerPid")) \(status(program.pid, "State"))")
  #expect(try program.ask() != "")
}
