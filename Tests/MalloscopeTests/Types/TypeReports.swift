// What the built tool prints of what chunks hold, read back.

import Foundation
import HeapModel
import TestKit
import Testing

/// The JSON of `types`: decoding fails if a key is missing.
struct TypesDocument: Decodable {
  struct Row: Decodable {
    var name: String
    var kind: String?
    var binary: String?
    var count: Int
    var bytes: UInt64
    var sizes: [Size]?
    var addresses: [Instance]?
    var evidence: Evidence?
  }

  struct Size: Decodable {
    var size: UInt64
    var count: Int
    var bytes: UInt64
  }

  struct Instance: Decodable {
    var address: String
    var size: UInt64
  }

  struct Evidence: Decodable {
    var rule: String
    var detail: String
  }

  struct Share: Decodable {
    var chunks: Int
    var bytes: UInt64
  }

  struct Gap: Decodable {
    var path: String
    var buildId: String?
    var reason: String
  }

  var schema: String
  var capture: HeapDocument.Capture
  var totals: HeapDocument.Totals
  var by: String
  var types: [Row]
  var attribution: [String: Share]
  var symbolGaps: [Gap]
  var coverage: Double

  /// Reads a document that the tool wrote.
  init(_ text: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Self.self, from: Data(text.utf8))
  }

  /// The rows whose names are `name`: a type may come from several files.
  func count(of name: String) -> Int {
    types.filter { $0.name == name }.reduce(0) { $0 + $1.count }
  }
}

/// Runs `malloscope types` on a process; the run must end with `code`.
func reportedTypes(
  _ pid: Int32, _ options: [String] = [], code: Int32 = 0
) throws -> TypesDocument {
  let run = try ToolRun(["types", "\(pid)", "--json"] + options)
  #expect(run.ending == .exit(code), "\(run.error)")
  return try TypesDocument(run.output)
}

/// What a program says it holds, in lines `object ADDRESS USABLE NAME`.
struct AnnouncedObject {
  var address: UInt64
  var name: String

  /// Reads such a line, nil for another.
  init?(_ line: String) {
    let fields = line.split(separator: " ", maxSplits: 3)
    guard fields.count == 4, fields[0] == "object",
      let address = UInt64(fields[1].dropFirst(2), radix: 16)
    else { return nil }
    self.address = address
    name = String(fields[3])
  }
}

/// The types of chunks by their addresses, as `malloscope chunks --types` prints them.
func typesByAddress(_ pid: Int32, _ options: [String] = []) throws -> [UInt64: String] {
  struct Document: Decodable {
    struct Row: Decodable {
      var address: String
      var type: String?
    }
    var chunks: [Row]
  }
  let run = try ToolRun(["chunks", "\(pid)", "--types", "--json"] + options)
  #expect(run.ending == .exit(0), "\(run.error)")
  let document = try JSONDecoder().decode(Document.self, from: Data(run.output.utf8))
  return Dictionary(
    uniqueKeysWithValues: document.chunks.map {
      (UInt64($0.address.dropFirst(2), radix: 16) ?? 0, $0.type ?? "")
    })
}

/// What a program says it holds, in lines `planted COUNT NAME`.
func plantedCounts(_ lines: [String]) -> [(name: String, count: Int)] {
  lines.compactMap { line in
    let fields = line.split(separator: " ", maxSplits: 2)
    guard fields.count == 3, fields[0] == "planted", let count = Int(fields[1]) else { return nil }
    return (String(fields[2]), count)
  }
}
