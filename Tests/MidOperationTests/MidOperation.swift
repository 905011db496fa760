// A program that does nothing but allocate and free, stopped at random instants, and what a walk of its
// heap says of the blocks that it holds at that instant.

import Glibc
import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import StopControl
import Symbols
import TestKit

/// What many stops have shown.
struct MidOperationTally: CustomStringConvertible {
  /// How often the program was stopped.
  var stops = 0
  /// In how many stops the mutex of an arena was held.
  var locked = 0
  /// In how many stops there was a finding of each kind.
  var findings: [String: Int] = [:]
  /// In how many stops there was none.
  var silent = 0
  /// In how many stops not every byte was accounted for.
  var uncovered = 0
  /// In how many stops a check did not hold.
  var failedChecks = 0
  /// In how many stops the tool would have ended with exit code 2.
  var incomplete = 0
  /// In how many stops headers were missing, or the end of a segment had moved.
  var chains = 0
  /// How many blocks were compared.
  var blocks = 0
  /// The most chunks beyond those that are held that counted as in use.
  var mostOthers = 0
  /// In how many stops a block was reported otherwise than it is.
  var wrongStops = 0
  /// Such blocks, the stop's findings with them.
  var wrong: [String] = []
  /// Such stops of which no finding says that anything was on its way.
  var untold: [String] = []
  /// Findings that mean damage, and checks that do not hold though nothing is said of it.
  var damage: [String] = []

  var description: String {
    let kinds = findings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    return "\(stops) stops, \(locked) with a mutex held, findings in \(stops - silent) ("
      + kinds.joined(separator: ", ")
      + "), chain or end affected \(chains), uncovered \(uncovered), "
      + "checks not held \(failedChecks), incomplete \(incomplete), \(blocks) blocks compared, "
      + "otherwise than they are in \(wrongStops), at most \(mostOthers) others in use"
  }
}

/// The running program, prepared as the tool prepares itself before a stop.
struct MidOperation {
  /// One entry of the program's table.
  private struct Slot {
    static let byteCount = 32
    static let held: UInt64 = 1
    var block: RemoteAddress
    var requested: UInt64
    var usable: UInt64
  }

  /// What had to be there and was not.
  enum Failure: Error {
    case noTable([String])
    case noMalloc
    case noHeap
    case tableUnreadable
  }

  private let program: TargetProgram
  private let table: (address: RemoteAddress, slots: Int)
  private let process: LinuxProcess
  private let instance: MallocInstance
  private let hints: HeapHints
  private let reader: LiveMemoryReader
  private let options: WalkOptions

  /// Starts the program with `threads` threads under `glibc` and finds its malloc.
  init(_ glibc: DebianGlibc, threads: Int) throws {
    program = try TargetProgram(
      glibc.launch(try glibc.program("MidOperation.c"), ["\(threads)"]))
    let lines = try program.waitReady()
    let words = lines.flatMap { $0.split(separator: " ") }
    guard words.count == 4, words[0] == "table", let slots = Int(words[3]),
      let address = UInt64(words[1].dropFirst(2), radix: 16)
    else { throw Failure.noTable(lines) }
    table = (RemoteAddress(address), slots * threads)
    // Its heap is to be what it usually is.
    usleep(300_000)
    process = try LinuxProcess.inspect(program.pid)
    let mappings = try process.mappings()
    reader = LiveMemoryReader(process)
    let images = TargetObjects(pid: process.pid, mappings: mappings)
      .loadedImages(exports: MallocInstance.exportsOfInterest).images
    guard let instance = try MallocInstance.find(in: images).first else { throw Failure.noMalloc }
    self.instance = instance
    options = WalkOptions(pageSize: process.pageSize, collectsChunks: true)
    guard
      let hints = try HeapWalk.survey(
        of: [instance], reader: reader, mappings: mappings, options: options
      ).first
    else { throw Failure.noHeap }
    self.hints = hints
  }

  /// Stops it `count` times, each after a random time, and judges each walk.
  func run(stops count: Int) throws -> MidOperationTally {
    var tally = MidOperationTally()
    try TracerThread.run {
      let sequence = StopSequence(
        process, budget: StopBudget(longestPause: nil, stoppedShare: 0.95, expected: nil))
      for _ in 0..<count {
        usleep(UInt32.random(in: 0...1500))
        // Whatever the instant, it is looked at.
        let threads = try sequence.stop(attempts: 1) { (_) throws(ReadFault) in true }
        defer { sequence.letRun() }
        var heaps = try HeapWalk.collect(
          of: [instance], reader: reader, data: DataRanges(try process.mappings()),
          threads: threads, options: options, hints: [hints], buffers: WalkBuffers())
        let held = try heldBlocks()
        sequence.letRun()
        Self.judge(heaps.snapshot(), held, &tally)
      }
    }
    program.process.send(SIGKILL)
    return tally
  }

  /// The blocks that the program holds at this instant and does not change.
  private func heldBlocks() throws -> [(block: RemoteAddress, usable: UInt64)] {
    let count = table.slots * Slot.byteCount / 8
    guard let words = try reader.words(at: table.address, count: count) else {
      throw Failure.tableUnreadable
    }
    return stride(from: 0, to: words.count, by: 4).compactMap { index in
      words[index + 3] == Slot.held
        ? (RemoteAddress(words[index]), words[index + 2]) : nil
    }
  }

  private static func judge(
    _ snapshot: HeapSnapshot, _ held: [(block: RemoteAddress, usable: UInt64)],
    _ tally: inout MidOperationTally
  ) {
    tally.stops += 1
    tally.blocks += held.count
    if snapshot.arenas.contains(where: \.isLocked) { tally.locked += 1 }
    for kind in Set(snapshot.findings.map(\.kind)) {
      tally.findings[kind.rawValue, default: 0] += 1
    }
    if snapshot.findings.isEmpty { tally.silent += 1 }
    if snapshot.coverage != 1 { tally.uncovered += 1 }
    if snapshot.isIncomplete { tally.incomplete += 1 }
    let failed = snapshot.checks.filter { !$0.holds }
    if !failed.isEmpty { tally.failedChecks += 1 }

    let aboutChains = [
      "no header yet", "top was being split", "given back", "top chunk", "terminator",
    ]
    if snapshot.findings.contains(where: { $0.detail.contains(anyOf: aboutChains) }) {
      tally.chains += 1
    }

    let told = "; findings: \(snapshot.findings.prefix(12).map { "\($0.kind) \($0.detail)" })"
    var chunks: [RemoteAddress: Chunk] = [:]
    for chunk in snapshot.chunks { chunks[chunk.userAddress] = chunk }
    for (block, usable) in held {
      if let chunk = chunks[block], chunk.state == .inUse, chunk.usableSize == usable { continue }
      let seen = chunks[block].map { "\($0.state.name) of \($0.usableSize)" } ?? "nothing"
      tally.wrong.append("stop \(tally.stops): \(usable) bytes at \(block) are \(seen)\(told)")
    }
    if !tally.wrong.isEmpty, tally.wrong.last?.hasPrefix("stop \(tally.stops):") == true {
      tally.wrongStops += 1
      if !snapshot.findings.contains(where: { $0.kind == .inTransit }) {
        tally.untold.append(tally.wrong[tally.wrong.count - 1])
      }
    }
    let inUse = snapshot.chunks.count { $0.state == .inUse }
    tally.mostOthers = max(tally.mostOthers, inUse - held.count)
    if let damage = snapshot.findings.first(where: { $0.kind != .inTransit }) {
      tally.damage.append("stop \(tally.stops): \(damage.kind) \(damage.detail)\(told)")
    } else if !failed.isEmpty, snapshot.findings.isEmpty {
      tally.damage.append("stop \(tally.stops): unexplained: \(failed)")
    }
  }
}

extension String {
  /// Whether any of `words` occurs in it.
  fileprivate func contains(anyOf words: [String]) -> Bool {
    let bytes = Array(utf8)
    return words.contains { word in
      let word = Array(word.utf8)
      return bytes.indices.contains { bytes[$0...].starts(with: word) }
    }
  }
}
