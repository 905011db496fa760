// What gdb says of the first words of chunks: by whose word the types of real programs are judged.

import Foundation
import TestKit
import Testing

/// What is known of a chunk without our help.
struct FirstWord {
  /// The symbol that gdb finds for the word, as the linker or the C++ source has it; empty if there is none.
  var symbol: String
  /// How far behind the symbol's beginning the word points.
  var offset: UInt64
  /// The file that gdb names for it.
  var file: String
  /// The name of the class by the C++ type information that the word leads to, empty without.
  var className: String

  /// The class whose vtable, at the place to which objects point, the word points to; nil if to none.
  ///
  /// What stands behind type information seems to have some, which is that of a base.
  var vtableClass: String? {
    let prefix = "vtable for "
    if symbol.isEmpty { return className.isEmpty ? nil : className }
    guard symbol.hasPrefix(prefix), offset == 16 else { return nil }
    return String(symbol.dropFirst(prefix.count))
  }

  /// Reads the fields of one line that the script prints, after its address.
  init?(_ fields: [Substring]) {
    guard fields.count == 2 else { return nil }
    className = String(fields[1])
    symbol = ""
    offset = 0
    file = ""
    guard !fields[0].isEmpty else { return }
    let parts = fields[0].components(separatedBy: " in section ")
    let words = parts[0].components(separatedBy: " + ")
    symbol = words.dropLast(words.count > 1 ? 1 : 0).joined(separator: " + ")
    offset = words.count > 1 ? UInt64(words.last ?? "") ?? 0 : 0
    file = parts.last?.components(separatedBy: " of ").last ?? ""
  }

  /// What gdb says of the first words of the blocks at `addresses` of process `pid`.
  static func told(of addresses: [UInt64], in pid: Int32) throws -> [UInt64: FirstWord] {
    let directory = try TemporaryDirectory()
    let list = directory.file("addresses")
    try write(addresses.map { String($0, radix: 16) + "\n" }.joined(), toFile: list)
    let gdb = try ToolRun(
      executable: try installedProgram("gdb"),
      [
        "-q", "-nx", "-batch", "-p", "\(pid)", "-x",
        testsPath("Targets/Types/first_words.py"),
      ], environment: ["FIRST_WORDS": list])
    var told: [UInt64: FirstWord] = [:]
    for line in gdb.output.split(separator: "\n") {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
      guard fields.count == 4, fields[0] == "first",
        let address = UInt64(fields[1].dropFirst(2), radix: 16)
      else { continue }
      told[address] = FirstWord(Array(fields[2...]))
    }
    try #require(told.count == addresses.count, "\(gdb.error)")
    return told
  }
}

/// What the tool says of one chunk.
struct ToldType {
  var name: String
  var kind: String
  var binary: String?
  var rule: String
}

/// The types of all chunks of a process by the chunks' addresses.
func toldTypes(_ pid: Int32, _ options: [String] = []) throws -> [UInt64: ToldType] {
  var told: [UInt64: ToldType] = [:]
  for row in try reportedTypes(pid, ["--addresses", "-v"] + options).types {
    for chunk in row.addresses ?? [] {
      told[UInt64(chunk.address.dropFirst(2), radix: 16) ?? 0] = ToldType(
        name: row.name, kind: row.kind ?? "", binary: row.binary, rule: row.evidence?.rule ?? "")
    }
  }
  return told
}

/// Those of `addresses` whose first word points into a file that the process has mapped, at most `count` of
/// them, drawn at random.
func pointingIntoFiles(_ addresses: [UInt64], _ pid: Int32, count: Int) throws -> [UInt64] {
  let files = try mappedFiles(pid)
  let memory = try FileHandle(forReadingFrom: URL(filePath: "/proc/\(pid)/mem"))
  defer { try? memory.close() }
  let pointing = try addresses.sorted().filter { address in
    try memory.seek(toOffset: address)
    guard let bytes = try memory.read(upToCount: 8), bytes.count == 8 else { return false }
    let word = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return files.contains { $0.contains(word) }
  }
  var random = SyntheticRandom(seed: 1)
  return Array(pointing.shuffled(using: &random).prefix(count))
}

private func mappedFiles(_ pid: Int32) throws -> [Range<UInt64>] {
  let maps = String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
  return maps.split(separator: "\n").compactMap { line in
    let fields = line.split(separator: " ", omittingEmptySubsequences: true)
    guard fields.count > 5, fields[5].hasPrefix("/") else { return nil }
    let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
  }
}
