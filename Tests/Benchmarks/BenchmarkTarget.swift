// The process whose heap is measured, and the server that copies it.

import Glibc
import TestKit

/// Something that could not be measured.
enum MeasuringError: Error {
  /// The tool or gdb did not do its work.
  case failed(program: String, Ending, standardError: String)
  /// The tool's document lacks a figure.
  case noFigure(key: String, document: String)
  /// A figure contradicts what the target says of itself.
  case wrong(what: String, found: Double, expected: Double)
}

/// A running scenario.
struct BenchmarkTarget {
  /// The process.
  let program: TargetProgram
  /// How many blocks it holds.
  let blockCount: UInt64
  /// Where its heap lies.
  let heap: Range<UInt64>

  /// Starts the scenario and waits until its heap is built.
  ///
  /// - Throws: `TestKitError`.
  init(scenario: String, withHeartbeat: Bool) throws(TestKitError) {
    program = try TargetProgram(scenario: scenario, withHeartbeat ? ["--heartbeat"] : [])
    // Line by line, since what we have resident here would count as the tool's.
    let deadline = Deadline(in: TargetProgram.patience)
    var held: UInt64?
    while true {
      let line = try program.process.readLine(by: deadline, waitingFor: "ready")
      if line.hasPrefix("ready ") { break }
      let words = line.split(separator: " ")
      if words.first == "held", words.count == 3 { held = UInt64(words[1]) }
    }
    guard let held else {
      throw .malformed(what: "a scenario that does not say what it holds", text: scenario)
    }
    blockCount = held
    heap = try Self.heap(of: program.pid)
  }

  private static func heap(of pid: pid_t) throws(TestKitError) -> Range<UInt64> {
    let maps = String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
    for line in maps.split(separator: "\n") where line.hasSuffix("[heap]") {
      let bounds = line.prefix { $0 != " " }.split(separator: "-")
        .compactMap { UInt64($0, radix: 16) }
      if bounds.count == 2, bounds[0] < bounds[1] { return bounds[0]..<bounds[1] }
    }
    throw .malformed(what: "maps without a heap", text: maps)
  }

  /// Starts a server that copies `byteCount` bytes of the heap.
  ///
  /// - Throws: `TestKitError`.
  func copyServer(byteCount: UInt64) throws(TestKitError) -> TargetProgram {
    let arguments = [
      CopyServer.verb, "\(program.pid)", "\(heap.lowerBound)", "\(heap.count)", "\(byteCount)",
    ]
    let server = try TargetProgram(ChildProcess.Launch("/proc/self/exe", arguments))
    try server.waitReady()
    return server
  }

  /// The longest time, in milliseconds, for which the heartbeat did not run while `body` did.
  ///
  /// - Throws: `TestKitError`, and what `body` throws.
  func gap(during body: () throws -> Void) throws -> Double {
    _ = try program.ask()
    try body()
    let answer = try program.ask()
    guard answer.hasPrefix("gap_us "), let microseconds = Double(answer.dropFirst(7)) else {
      throw TestKitError.malformed(what: "the heartbeat's answer", text: answer)
    }
    return microseconds / 1000
  }
}

extension TargetProgram {
  /// Asks a copy server, and returns the milliseconds and the number of chunks.
  ///
  /// - Throws: `TestKitError`.
  func copy(_ question: CopyServer.Question) throws(TestKitError) -> (Double, chunks: Double) {
    let answer = try ask(question.rawValue)
    let numbers = answer.split(separator: " ").compactMap { Double($0) }
    guard numbers.count == 2 else {
      throw .malformed(what: "a copy server's answer", text: answer)
    }
    return (numbers[0] / 1_000_000, numbers[1])
  }
}
