// What holds of the reports of types, whatever the program: formats, options, and that all agree.

import Foundation
import HeapModel
import TestKit
import Testing

@Suite("Reports of what chunks hold", .serialized)
struct TypeReportTests {
  private static let path = Result { try CompiledProgram.path("Types/Planted.cpp") }

  private func started() throws -> TargetProgram {
    let program = try TargetProgram(ChildProcess.Launch(try Self.path.get()))
    try program.waitReady()
    return program
  }

  @Test(
    "what cannot be asked for is a usage error, told with what can",
    arguments: [
      ["types", "1", "--filter", "["], ["types", "1", "--filter", "a[99999999999999999999k+]"],
      ["types", "1", "--by", "colour"], ["types", "1", "--exact"],
      ["types", "1", "--json", "--format", "pprof"], ["1", "--format", "pprof"],
      ["chunks", "1", "--format", "collapsed"], ["arenas", "1", "--format", "prometheus"],
      ["watch", "1", "--format", "pprof"], ["1", "--filter", "a"],
      ["1", "--by", "type", "--exact"], ["watch", "1", "--by", "type", "--exact"],
    ])
  func usage(arguments: [String]) throws {
    let run = try ToolRun(arguments)
    #expect(run.ending == .exit(64), "\(run.error)")
    #expect(run.output == "" && run.error.hasPrefix("malloscope: "))
  }

  @Test(
    "what a format cannot show is refused, told with those that can",
    arguments: [
      (["types", "--format", "csv", "--sizes"], "--sizes goes with --format text or json"),
      (["types", "--format", "csv", "--addresses"], "--addresses goes with --format text or json"),
      (["types", "--format", "pprof", "--sizes"], "--sizes goes with --format text or json"),
      (["types", "--format", "collapsed", "--by", "size"], "--by size goes with \(Self.tables)"),
      (
        ["types", "--format", "prometheus", "--by", "arena"], "--by arena goes with \(Self.tables)"
      ),
      (["types", "--format", "prometheus", "--sort", "bytes"], "--sort goes with \(Self.tables)"),
      (
        ["types", "--format", "collapsed", "--limit", "3"],
        "--limit goes with --format text, json, csv or prometheus"
      ),
      (["histogram", "--format", "prometheus", "--exact"], "--exact goes with \(Self.tables)"),
      (
        ["histogram", "--format", "prometheus", "--by", "type", "--sort", "name"],
        "--sort goes with \(Self.tables)"
      ),
      (
        ["histogram", "--format", "prometheus", "--limit", "3"],
        "--limit with --format prometheus goes with --by type"
      ),
    ])
  func formats(words: [String], fact: String) throws {
    let run = try ToolRun(words + ["1", "-o", "/nonexistent/file"])
    #expect(run.ending == .exit(64))
    #expect(run.output == "")
    #expect(run.error.hasPrefix("malloscope: \(fact)\n"), "\(run.error)")
  }

  private static let tables = "--format text, json or csv"

  @Test("rows by type, size, binary and arena are of the same chunks, as are all formats")
  func agreement() throws {
    let program = try started()
    let inUse = try reportedHeap(program.pid).totals.inUseBytes
    for grouping in ["type", "size", "binary", "arena"] {
      let report = try reportedTypes(program.pid, ["--by", grouping])
      #expect(report.schema == "malloscope/types/1" && report.by == grouping)
      #expect(report.types.reduce(0) { $0 + $1.bytes } == inUse, "\(grouping)")
      #expect(report.coverage == 1)
    }
    let csv = try ToolRun(["types", "\(program.pid)", "--format", "csv"])
    let lines = csv.output.split(separator: "\n")
    #expect(lines.first == "rank,count,bytes,average,type,kind,binary")
    let bytes = lines.dropFirst().reduce(0) { sum, line in
      sum + (UInt64(line.split(separator: ",")[2]) ?? 0)
    }
    #expect(bytes == inUse)
    let stacks = try ToolRun(["types", "\(program.pid)", "--format", "collapsed"])
    let stacked = stacks.output.split(separator: "\n").reduce(0) { sum, line in
      sum + (line.split(separator: " ").last.flatMap { UInt64($0) } ?? 0)
    }
    #expect(stacked == inUse)
    #expect(stacks.output.contains(";app::Session;"))
    let gauges = try ToolRun(["types", "\(program.pid)", "--format", "prometheus"])
    #expect(gauges.output.contains("type=\"app::Session\",kind=\"C++\""))
    for verb in [["types"], ["histogram", "--by", "type"]] {
      let two = try ToolRun(verb + ["\(program.pid)", "--format", "prometheus", "--limit", "2"])
      #expect(
        two.output.split(separator: "\n").count { $0.hasPrefix("malloscope_type_bytes{") } == 3)
    }
    // Without types, the same totals.
    let plain = try ToolRun(["\(program.pid)", "--format", "prometheus"])
    #expect(plain.output.contains("state=\"in_use\"} \(inUse)\n"))
    #expect(!plain.output.contains("malloscope_type_bytes"))
    let directory = try TemporaryDirectory()
    let profile = directory.file("heap.pb.gz")
    let pprof = try ToolRun(["types", "\(program.pid)", "--format", "pprof", "-o", profile])
    #expect(pprof.ending == .exit(0))
    #expect(try contents(ofFile: profile).starts(with: [0x1F, 0x8B]))
    try program.close()
  }

  @Test("a filter chooses by name and size, sizes and addresses are those of the chunks")
  func choice() throws {
    let program = try started()
    let all = try reportedTypes(
      program.pid, ["--filter", "^app::Session$", "--sizes", "--addresses", "-v"])
    let row = try #require(all.types.first)
    #expect(all.types.count == 1 && row.count == 1000)
    // 16 bytes more where what was left was too small for a chunk.
    #expect(row.sizes?.map(\.count).reduce(0, +) == 1000)
    #expect(row.sizes.map { [1, 2].contains($0.count) } == true)
    let types = try typesByAddress(program.pid)
    let addresses = try #require(row.addresses)
    #expect(addresses.count == 1000)
    for instance in addresses {
      let address = try #require(UInt64(instance.address.dropFirst(2), radix: 16))
      #expect(types[address] == "app::Session")
    }
    #expect(
      try reportedTypes(program.pid, ["--filter", "Session[1k+]"]).types.allSatisfy {
        $0.name == "app::Session[]"
      })
    let untyped = try reportedTypes(program.pid, ["--filter", "non-object"])
    #expect(untyped.types.allSatisfy { $0.kind != "C++" && $0.kind != "Swift" })
    #expect(try reportedTypes(program.pid, ["--filter", "no such type"]).types.isEmpty)
    try program.close()
  }

  @Test("histogram --by type and chunks --types say what types says; without, all is as before")
  func otherVerbs() throws {
    let program = try started()
    let text = try ToolRun(["\(program.pid)", "--by", "type", "--limit", "500"])
    #expect(text.output.contains("app::Request"))
    let csv = try ToolRun(["chunks", "\(program.pid)", "--types", "--format", "csv"])
    #expect(csv.output.hasPrefix("address,size,usable,state,arena,type\n"))
    let requests = csv.output.split(separator: "\n").count { $0.hasSuffix(",app::Request") }
    #expect(requests == 333)
    let plain = try ToolRun(["chunks", "\(program.pid)", "--format", "csv"])
    #expect(plain.output.hasPrefix("address,size,usable,state,arena\n"))
    let histogram = try ToolRun(["\(program.pid)", "--json"])
    #expect(!histogram.output.contains("\"types\""))
    let typed = try ToolRun(["\(program.pid)", "--json", "--by", "type"])
    #expect(typed.output.contains("\"types\":[") && typed.output.contains("app::Request"))
    try program.close()
  }

  @Test("a watch by type shows which class grows")
  func watch() throws {
    struct Line: Decodable {
      struct Row: Decodable {
        var type: String
        var kind: String
        var inUseChunks: Int
        var growthChunks: Int
        var inEverySample: Bool
      }
      struct Watch: Decodable {
        var sample: Int
        var types: [Row]
      }
      var watch: Watch
    }
    let path = try CompiledProgram.path("Types/Growing.cpp")
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let run = try ToolRun(
      ["watch", "\(program.pid)", "0.3", "6", "--by", "type", "--json", "--max-stopped", "50"])
    #expect(run.ending == .exit(0), "\(run.error)")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let lines = run.output.split(separator: "\n").compactMap {
      try? decoder.decode(Line.self, from: Data($0.utf8))
    }
    #expect(lines.map(\.watch.sample) == [1, 2, 3, 4, 5, 6])
    let last = try #require(lines.last?.watch.types)
    let session = try #require(last.first { $0.type == "app::Session" })
    #expect(session.growthChunks > 30 && session.inEverySample && session.kind == "C++")
    let steady = try #require(last.first { $0.type == "app::Steady" })
    #expect(steady.inUseChunks == 500 && steady.growthChunks == 0 && !steady.inEverySample)
    let text = try ToolRun(
      ["watch", "\(program.pid)", "0.2", "3", "--by", "type", "--max-stopped", "50"])
    #expect(text.output.contains("app::Session"))
  }
}
