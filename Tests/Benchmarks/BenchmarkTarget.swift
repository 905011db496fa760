// The process whose heap is measured, and the server that copies it.

import Glibc
import TestKit

/// Something that could not be measured.
enum MeasuringError: Error {
  /// The tool or a debugger did not do its work.
  case failed(program: String, Ending, standardError: String)
  /// The tool's document lacks a figure.
  case noFigure(key: String, document: String)
}

/// A running scenario, with a heartbeat.
struct BenchmarkTarget {
  /// The process.
  let program: TargetProgram
  /// Whether its heartbeat runs ahead of other programs' threads.
  let heartbeatIsRealTime: Bool
  /// How many blocks it holds and their usable bytes; nil if it does not say.
  let held: MallocInfo.Amount?
  private let blocksInFlight: UInt64

  /// What libc itself may hold: blocks for its streams and threads.
  private static let libcBlocks: UInt64 = 16
  private static let libcBytes: UInt64 = 16 << 10
  /// More than a block in flight has.
  private static let bytesInFlight: UInt64 = 1 << 10

  /// Starts the scenario and waits until its heap is built.
  ///
  /// - Throws: `TestKitError`.
  init(_ scenario: [String], blocksInFlight: UInt64 = 0) throws(TestKitError) {
    program = try TargetProgram(
      scenario: scenario[0], ["--heartbeat"] + scenario.dropFirst())
    // Line by line, since what we have resident here would count as the tool's.
    let deadline = Deadline(in: TargetProgram.patience)
    var held: MallocInfo.Amount?
    var isRealTime = false
    while true {
      let line = try program.process.readLine(by: deadline, waitingFor: "ready")
      if line.hasPrefix("ready ") { break }
      if line == "heartbeat real-time" { isRealTime = true }
      guard line.hasPrefix("held ") else { continue }
      let numbers = line.split(separator: " ").compactMap { UInt64($0) }
      if numbers.count == 2 { held = MallocInfo.Amount(count: numbers[0], bytes: numbers[1]) }
    }
    self.held = held
    heartbeatIsRealTime = isRealTime
    self.blocksInFlight = blocksInFlight
  }

  /// The bytes of the chunks that the blocks held are in: each has a word in front.
  var heldChunkBytes: UInt64 { held.map { $0.bytes + 8 * $0.count } ?? 0 }

  /// How many blocks may be seen in use.
  var truthfulCount: ClosedRange<Double> {
    truth(held?.count ?? 0, inFlight: blocksInFlight, libc: Self.libcBlocks)
  }

  /// How many bytes in use the chunks seen may have.
  var truthfulBytes: ClosedRange<Double> {
    truth(heldChunkBytes, inFlight: blocksInFlight * Self.bytesInFlight, libc: Self.libcBytes)
  }

  private func truth(_ held: UInt64, inFlight: UInt64, libc: UInt64) -> ClosedRange<Double> {
    Double(held) - Double(inFlight)...Double(held + inFlight + libc)
  }

  /// Where its arenas lie: the break's area, and writable memory that begins where the heaps of
  /// other threads' arenas do.
  private func arenas() throws(TestKitError) -> [Range<UInt64>] {
    let heapAlignment: UInt64 = 64 << 20
    let maps = String(decoding: try contents(ofFile: "/proc/\(program.pid)/maps"), as: UTF8.self)
    let ranges = maps.split(separator: "\n").compactMap { line -> Range<UInt64>? in
      let fields = line.split(separator: " ")
      let bounds = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
      guard bounds.count == 2, bounds[0] < bounds[1] else { return nil }
      let isThreads = bounds[0] % heapAlignment == 0 && fields.count == 5 && fields[1] == "rw-p"
      return isThreads || line.hasSuffix("[heap]") ? bounds[0]..<bounds[1] : nil
    }
    if ranges.isEmpty { throw .malformed(what: "maps without a heap", text: maps) }
    return ranges
  }

  /// Starts a server that copies from the arenas into a buffer of `byteCount` bytes.
  ///
  /// - Throws: `TestKitError`.
  func copyServer(byteCount: UInt64) throws(TestKitError) -> TargetProgram {
    var arguments = [CopyServer.verb, "\(program.pid)", "\(byteCount)"]
    for range in try arenas() { arguments += ["\(range.lowerBound)", "\(range.count)"] }
    let server = try TargetProgram(ChildProcess.Launch("/proc/self/exe", arguments))
    try server.waitReady()
    return server
  }

  /// How long the kernel takes to clone the process, in milliseconds.
  ///
  /// - Throws: `TestKitError`.
  func bareClone() throws(TestKitError) -> Double {
    try program.process.write("clone\n")
    return try milliseconds(after: "clone_us ")
  }

  /// The longest time, in milliseconds, for which the heartbeat did not run while `body` did.
  ///
  /// - Throws: `TestKitError`, and what `body` throws.
  func gap(during body: () throws -> Void) throws -> Double {
    _ = try gap()
    try body()
    return try gap()
  }

  /// For how long in all, in milliseconds, the heartbeat did not run while `body` did.
  ///
  /// - Throws: `TestKitError`, and what `body` throws.
  func lost(during body: () throws -> Void) throws -> Double {
    _ = try lost()
    try body()
    return try lost()
  }

  private func lost() throws(TestKitError) -> Double {
    try program.process.write("lost\n")
    return try milliseconds(after: "lost_us ")
  }

  /// The same since it was last asked.
  private func gap() throws(TestKitError) -> Double {
    try program.process.write("\n")
    return try milliseconds(after: "gap_us ")
  }

  /// The number in microseconds behind `name` on the next line that begins with it.
  private func milliseconds(after name: String) throws(TestKitError) -> Double {
    let deadline = Deadline(in: TargetProgram.patience)
    while true {
      let line = try program.process.readLine(by: deadline, waitingFor: name)
      guard line.hasPrefix(name) else { continue }
      guard let microseconds = Double(line.dropFirst(name.count)) else {
        throw .malformed(what: "the target's answer", text: line)
      }
      return microseconds / 1000
    }
  }
}
