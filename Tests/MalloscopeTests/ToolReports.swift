// What the built tool prints of a process, read back: the rows of its CSV and the JSON contract.

import Foundation
import Glibc
import HeapModel
import TestKit
import Testing

/// A row of `chunks --format csv`.
struct ChunkRow: Hashable {
  /// The pointer that the program holds.
  var address: RemoteAddress
  /// The chunk's size with its header.
  var size: UInt64
  /// What the program may use of it.
  var usable: UInt64
  /// The state's name.
  var state: String
  /// The arena's index, or `mmap`.
  var arena: String
}

/// The rows of a CSV of chunks.
///
/// - Throws: `TestKitError.malformed` if the header or a row is not as the contract says.
func chunkRows(_ text: String) throws -> [ChunkRow] {
  // Bytes, not characters: some heaps have 100,000 chunks, and tests are built without optimisation.
  var lines = Array(text.utf8).split(
    separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
  guard lines.popFirst()?.elementsEqual("address,size,usable,state,arena".utf8) == true,
    lines.popLast()?.isEmpty == true
  else { throw TestKitError.malformed(what: "a CSV of chunks", text: String(text.prefix(200))) }
  return try lines.map { line in
    let fields = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    guard fields.count == 5, fields[0].starts(with: "0x".utf8),
      let address = number(fields[0].dropFirst(2), radix: 16), let size = number(fields[1]),
      let usable = number(fields[2])
    else {
      throw TestKitError.malformed(what: "a chunk", text: String(decoding: line, as: UTF8.self))
    }
    return ChunkRow(
      address: RemoteAddress(address), size: size, usable: usable,
      state: String(decoding: fields[3], as: UTF8.self),
      arena: String(decoding: fields[4], as: UTF8.self))
  }
}

private func number(_ digits: ArraySlice<UInt8>, radix: Int = 10) -> UInt64? {
  UInt64(String(decoding: digits, as: UTF8.self), radix: radix)
}

/// The JSON contract of `histogram` and `arenas`: decoding fails if a key is missing, and does not
/// mind keys that were added.
struct HeapDocument: Decodable {
  struct Tool: Decodable {
    var name: String
    var version: String
  }

  struct Container: Decodable {
    var id: String
    var podUid: String?
    var namespacedPid: Int32
  }

  struct Target: Decodable {
    var pid: Int32
    var command: String
    var executable: String
    var threads: Int
    var allocator: String
    var glibc: String?
    var arenaLayout: String
    var container: Container?
    var evidence: [Evidence]
  }

  struct Evidence: Decodable {
    var file: String
    var what: String
    var value: String
    var decidedBy: String
    var confirmedBy: [String]
  }

  struct Capture: Decodable {
    var mode: String
    var consistency: String
    var stops: Int
    var longestStopMs: Double
    var totalStopMs: Double
    var elapsedMs: Double
    var copiedBytes: UInt64
    var resynchronisations: Int
    var retries: Int
  }

  struct Totals: Decodable, Equatable {
    var systemBytes: UInt64
    var inUseBytes: UInt64
    var inUseChunks: UInt64
    var freeBytes: UInt64
    var freeChunks: UInt64
    var cachedBytes: UInt64
    var cachedChunks: UInt64
    var topBytes: UInt64
    var mmappedBytes: UInt64
    var mmappedChunks: UInt64
  }

  struct Malloc: Decodable, Equatable {
    var index: Int
    var copies: Int
    var file: String
    var glibc: String?
    var arenaLayout: String
    var mainArena: String
    var firstArena: Int
    var arenas: Int
    var systemBytes: UInt64
    var inUseBytes: UInt64
    var inUseChunks: UInt64
    var freeBytes: UInt64
    var freeChunks: UInt64
    var cachedBytes: UInt64
    var cachedChunks: UInt64
    var topBytes: UInt64
    var mmappedBytes: UInt64
    var mmappedChunks: UInt64
  }

  struct Arena: Decodable, Equatable {
    var index: Int
    var malloc: Int?
    var address: String
    var kind: String
    var heaps: UInt64
    var systemBytes: UInt64
    var inUseBytes: UInt64
    var inUseChunks: UInt64
    var freeBytes: UInt64
    var freeChunks: UInt64
    var cachedBytes: UInt64
    var cachedChunks: UInt64
    var topBytes: UInt64
    var attachedThreads: Int
    // Of `arenas` only.
    var tcacheStructureBytes: UInt64?
    var headerBytes: UInt64?
    var foreignBytes: UInt64?
    var unaccountedBytes: UInt64?
  }

  struct Size: Decodable, Equatable {
    var size: UInt64
    var inUseChunks: UInt64
    var inUseBytes: UInt64
    var freeChunks: UInt64
    var freeBytes: UInt64
    var cachedChunks: UInt64
    var cachedBytes: UInt64
  }

  struct Check: Decodable, Equatable {
    var name: String
    var expected: UInt64
    var found: UInt64
    var holds: Bool
  }

  struct Finding: Decodable {
    var kind: String
    var address: String?
    var bytes: UInt64
    var detail: String
    var chunk: NamedChunk?

    struct NamedChunk: Decodable, Equatable {
      var address: String
      var size: UInt64
      var state: String
      var holds: String?
    }
  }

  var schema: String
  var tool: Tool
  var target: Target
  var capture: Capture
  var totals: Totals
  var mallocs: [Malloc]
  var arenas: [Arena]
  /// Of `histogram` only.
  var histogram: [Size]?
  var checks: [Check]
  var findings: [Finding]
  var coverage: Double

  /// Reads a document that the tool wrote.
  init(_ text: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Self.self, from: Data(text.utf8))
  }
}

/// Runs `malloscope chunks` on a process and reads its rows; the run must end with `code`.
func reportedChunks(
  _ pid: Int32, _ options: [String] = [], code: Int32 = 0,
  by tool: ([String]) throws -> ToolRun = { try ToolRun($0) }
) throws -> [ChunkRow] {
  let run = try tool(["chunks", "\(pid)", "--format", "csv"] + options)
  #expect(run.ending == .exit(code), "\(run.error)")
  return try chunkRows(run.output)
}

/// Runs a verb with `--json` on a process; the run must end with `code`.
func reportedHeap(
  _ pid: Int32, _ options: [String] = [], verb: String = "histogram", code: Int32 = 0,
  by tool: ([String]) throws -> ToolRun = { try ToolRun($0) }
) throws -> HeapDocument {
  let run = try tool([verb, "\(pid)", "--json"] + options)
  #expect(run.ending == .exit(code), "\(run.error)")
  return try HeapDocument(run.output)
}

/// The rows by their address.
func byAddress(_ rows: [ChunkRow]) throws -> [RemoteAddress: ChunkRow] {
  var table: [RemoteAddress: ChunkRow] = [:]
  for row in rows {
    if let other = table.updateValue(row, forKey: row.address) {
      throw TestKitError.malformed(what: "one address twice", text: "\(row) and \(other)")
    }
  }
  return table
}

/// The first word of a `Key: value` line of `/proc/PID/status`, empty if the process is gone.
func status(_ pid: Int32, _ key: String) -> String {
  guard let bytes = try? contents(ofFile: "/proc/\(pid)/status") else { return "" }
  let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
  let line = lines.first { $0.hasPrefix(key + ":") } ?? ""
  return line.dropFirst(key.count + 1).split { $0 == "\t" || $0 == " " }.first.map(String.init)
    ?? ""
}

/// The threads of a process.
func threads(of pid: Int32) throws -> [Int32] {
  let directory = try #require(opendir("/proc/\(pid)/task"))
  defer { closedir(directory) }
  var found: [Int32] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
      tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if let number = Int32(name) { found.append(number) }
  }
  return found
}

/// The children of a process, living or ended.
func childrenOf(_ pid: Int32) -> [Int32] {
  let all = (try? threads(of: pid)) ?? []
  return all.flatMap { tid in
    let bytes = (try? contents(ofFile: "/proc/\(pid)/task/\(tid)/children")) ?? []
    return String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
  }
}

/// Polls until `condition` holds and returns whether it came to hold in time.
func comes(within patience: Duration = .seconds(20), _ condition: () throws -> Bool) rethrows
  -> Bool
{
  let deadline = Deadline(in: patience)
  while true {
    if try condition() { return true }
    if deadline.hasPassed { return false }
    usleep(500)
  }
}

/// Runs a copy of the tool, where anybody can reach it, as a user without rights; or as we are and on
/// process 1, if we have none ourselves.
func runAsNobody(_ arguments: [String]) throws -> ToolRun {
  guard geteuid() == 0 else { return try ToolRun(["1"]) }
  let directory = try TemporaryDirectory()
  chmod(directory.path, 0o755)
  let copy = directory.file("malloscope")
  try writeExecutable(try contents(ofFile: BuildProduct.malloscope.path()), to: copy)
  return try ToolRun(
    executable: try installedProgram("setpriv"),
    ["--reuid=65534", "--regid=65534", "--clear-groups", copy] + arguments)
}

/// Makes a program of `bytes`.
func writeExecutable(_ bytes: [UInt8], to path: String) throws {
  let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o755)
  try #require(file >= 0)
  defer { close(file) }
  try #require(Glibc.write(file, bytes, bytes.count) == bytes.count)
}

/// How many live blocks are not reported as in use with their size, of those whose own size word is
/// what it was.
func wrongBlocks(_ oracle: HeapOracle, _ rows: [ChunkRow]) throws -> Int {
  let table = try byAddress(rows)
  let damaged = Set(oracle.damage)
  return oracle.live.count { address, usable in
    if let word = address.retreated(by: 8), damaged.contains(word) { return false }
    guard let row = table[address] else { return true }
    return row.state != "in_use" || row.usable != usable
  }
}
