// Profiles, read by programs that are not ours.

import Foundation
import HeapAnalysis
import HeapModel
import Reports
import TestKit
import Testing

/// A profile as it was read back.
private struct Profile: Decodable {
  struct Frame: Decodable {
    var name: String
    var file: String
    var mapping: String?
    var address: UInt64
  }

  struct Sample: Decodable {
    var stack: [Frame]
    var values: [Int]
    var labels: [String: String]
  }

  struct Mapping: Decodable {
    var file: String
    var buildID: String
    var start: UInt64
    var limit: UInt64
    var offset: UInt64
    var symbolized: Bool
  }

  var sampleTypes: [[String]]
  var `default`: String
  var periodType: [String]
  var period: Int
  var time: Int
  var duration: Int
  var comments: [String]
  var mappings: [Mapping]
  var samples: [Sample]
}

@Suite("Profiles")
struct ProfileTests {
  private let report = TypeFixtures.report
  private let tool = ToolFacts(name: "malloscope", version: "0.1.0")

  private func written(_ report: HeapReport, _ pattern: String? = nil) throws -> [UInt8] {
    var sink = MemorySink()
    PprofProfile.write(
      report, pattern: try pattern.map { try TypePattern(parsing: $0) }, tool: tool,
      nanoseconds: 1_700_000_000_123_456_789, to: &sink)
    return sink.bytes
  }

  private func profile(_ report: HeapReport, _ pattern: String? = nil) throws -> Profile {
    try OtherReader.profile.read(try written(report, pattern), as: Profile.self)
  }

  private static let obstacle = OtherReader.profile.obstacle

  @Test(
    "a heap profile's values, as Go names them, are those of the chunks in use",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func values() throws {
    let profile = try profile(report)
    #expect(profile.sampleTypes == [["inuse_objects", "count"], ["inuse_space", "bytes"]])
    #expect(profile.default == "inuse_space")
    #expect(profile.periodType == ["space", "bytes"])
    #expect(profile.period == 1)
    #expect(profile.time == 1_700_000_000_123_456_789)
    #expect(profile.duration == 0)
    #expect(
      profile.comments == [
        "malloscope 0.1.0", "process 31337 ingest-worker",
        "chunks in use, by file, type and chunk size; sizes with malloc's headers",
        "39.2% of the bytes have a type",
      ])
    let total = TypeTable(report).total
    #expect(profile.samples.reduce(0) { $0 + $1.values[0] } == total.count)
    #expect(profile.samples.reduce(0) { $0 + $1.values[1] } == Int(total.bytes))
  }

  @Test(
    "a stack is the sizes, the type and its file, all in the file's mapping",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func stacks() throws {
    let profile = try profile(report)
    let sessions = profile.samples.filter { $0.stack[1].name == "Session" }
    #expect(
      sessions.map { $0.stack.map(\.name) } == [
        ["size 80-96", "Session", "ingest-worker"], ["size 112-128", "Session", "ingest-worker"],
      ])
    #expect(sessions.map(\.values) == [[46, 46 * 96], [4, 4 * 112]])
    #expect(sessions[0].labels == ["kind": "C++", "evidence": "rtti"])
    for frame in sessions.flatMap(\.stack) {
      #expect(frame.file == TypeFixtures.server)
      #expect(frame.mapping == TypeFixtures.server)
      #expect(frame.address == 0)
    }
    let text = try #require(profile.samples.first { $0.stack[1].name == "text (ASCII)" })
    #expect(text.stack[2].name == "(no file)")
    #expect(text.stack.allSatisfy { $0.mapping == nil && $0.file.isEmpty })
    // A file of which no mapping is known.
    let evil = try #require(profile.samples.first { $0.stack[2].name == "e vil.so" })
    #expect(evil.stack[1].name == "a\"b;c,d\\u{1b}[2J\\u{a}\\u{202e}\\u{7f}é")
    #expect(evil.stack[0].mapping == nil)
  }

  @Test(
    "the program's mapping is the first, each is its executable part and has its build id",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func mappings() throws {
    var report = report
    report.held?.binaries.reverse()
    let mappings = try profile(report).mappings
    #expect(
      mappings.map(\.file) == [
        TypeFixtures.server, "/usr/lib/libunused.so", "/usr/lib/x86_64-linux-gnu/libc.so.6",
        TypeFixtures.library,
      ])
    #expect(mappings.map(\.buildID) == ["abcd01ef", "01", "", "0011"])
    #expect(mappings[0].start == 0x55d0_0000_2000)
    #expect(mappings[0].limit == 0x55d0_0000_7000)
    #expect(mappings[0].offset == 0x2000)
    #expect(mappings.allSatisfy { $0.symbolized })
  }

  @Test(
    "a filter, no types, no chunks and numbers near 64 bits make valid profiles",
    .enabled(if: obstacle == nil, obstacle ?? ""))
  func otherHeaps() throws {
    let chosen = try profile(report, "^Session$[112]")
    #expect(chosen.samples.map(\.values) == [[4, 448]])
    #expect(try profile(ReportFixtures.empty).samples.isEmpty)
    var huge = ReportFixtures.chunks
    huge.snapshot.chunks[0].size = .max
    let untyped = try profile(huge)
    #expect(untyped.samples.map { $0.stack[1].name }.allSatisfy { $0 == "not looked at" })
    #expect(untyped.samples.map { $0.values[1] } == [266_240, .max])
  }

  @Test(
    "pprof itself reads it",
    .enabled(if: (try? installedProgram("go")) != nil, "there is no go here"))
  func pprof() throws {
    let directory = try TemporaryDirectory()
    let file = directory.file("heap.pb.gz")
    try Data(written(report)).write(to: URL(filePath: file))
    let run = try ToolRun(
      executable: installedProgram("go"), ["tool", "pprof", "-raw", file],
      environment: ["HOME": directory.path])
    #expect(run.exitCode == 0, "\(run.error)")
    #expect(run.output.contains("inuse_objects/count inuse_space/bytes[dflt]"))
    #expect(run.output.contains("46       4416: "))
    #expect(run.output.contains("Session"))
  }

  @Test("collapsed stacks are one line each, in which only the value follows the last space")
  func collapsed() throws {
    var sink = MemorySink()
    CollapsedStacks.write(report, to: &sink)
    let lines = sink.text.split(separator: "\n")
    #expect(lines.contains("ingest-worker;Session;size 80-96 4416"))
    #expect(
      lines.contains(
        "e vil.so;a\"b:c,d\\u{1b}[2J\\u{a}\\u{202e}\\u{7f}é;size 32 32"))
    var bytes: UInt64 = 0
    for line in lines {
      #expect(line.split(separator: ";", omittingEmptySubsequences: false).count == 3)
      bytes += try #require(line.split(separator: " ").last.flatMap { UInt64($0) })
    }
    #expect(bytes == TypeTable(report).total.bytes)
    try expectGolden(sink.text, "collapsed")
  }

  @Test("a large profile is compressed in one piece that can be read")
  func largeProfiles() throws {
    var report = report
    report.held?.types = (0..<15_000).map {
      HeldType(
        name: "Type<\($0 &* 2_654_435_761 % 1_000_003)>", kind: .cxx, binary: nil,
        evidence: TypeEvidence(.rtti, ""))
    }
    report.snapshot.chunks = (0..<15_000).map {
      var chunk = Chunk(
        userAddress: RemoteAddress(UInt64($0) * 32 + 16), size: 32, usableSize: 24, state: .inUse,
        arena: 0)
      chunk.held = UInt32($0)
      return chunk
    }
    let bytes = try written(report)
    #expect(bytes.prefix(3) == [0x1F, 0x8B, 8])
    #expect(bytes.count > 65_536)
    guard Self.obstacle == nil else { return }
    let profile = try OtherReader.profile.read(bytes, as: Profile.self)
    #expect(profile.samples.count == 15_000)
  }
}
