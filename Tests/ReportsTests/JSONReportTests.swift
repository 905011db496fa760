// The JSON documents, read back by a parser that is not ours.

import Foundation
import HeapAnalysis
import HeapModel
import Reports
import Testing

@Suite("JSON reports")
struct JSONReportTests {
  private typealias Object = [String: Any]
  private let tool = ToolFacts(name: "malloscope", version: "0.1.0")

  private func parsed(_ sink: MemorySink) throws -> Object {
    #expect(sink.bytes.last == UInt8(ascii: "\n"))
    #expect(sink.bytes.filter { $0 == UInt8(ascii: "\n") }.count == 1)
    return try #require(try JSONSerialization.jsonObject(with: Data(sink.bytes)) as? Object)
  }

  private func histogram(_ report: HeapReport) throws -> Object {
    var sink = MemorySink()
    JSONReports.writeHistogram(report, tool: tool, to: &sink)
    return try parsed(sink)
  }

  private func keys(_ value: Any?) -> Set<String> { Set((value as? Object ?? [:]).keys) }

  @Test("copies of malloc have their arenas' figures, and arenas say whose they are")
  func copies() throws {
    let report = ReportFixtures.copies
    let document = try histogram(report)
    let mallocs = try #require(document["mallocs"] as? [Object])
    let arenas = try #require(document["arenas"] as? [Object])
    #expect(mallocs.map { $0["index"] as? Int } == [0, 1])
    #expect(arenas.map { $0["malloc"] as? Int } == [0, 0, 1])
    let system = report.snapshot.arenas.map(\.systemBytes)
    #expect(mallocs.map { $0["system_bytes"] as? UInt64 } == [system[0] + system[1], system[2]])
    #expect(mallocs.map { $0["glibc"] as? String } == [nil, "2.43"])
    let totals = try #require(document["totals"] as? Object)
    #expect(totals["mmapped_chunks"] as? Int == 10)
    let rows = try #require(document["histogram"] as? [Object])
    let sizes = rows.compactMap { $0["size"] as? UInt64 }
    #expect(sizes == sizes.sorted() && Set(sizes).count == rows.count)
    #expect(rows.first?["in_use_chunks"] as? Int == 2104 * 6)
  }

  @Test("the histogram has exactly the contract's keys", arguments: ReportFixtures.all.map(\.name))
  func histogramKeys(name: String) throws {
    let document = try histogram(try #require(ReportFixtures.all.first { $0.name == name }).report)
    #expect(document["schema"] as? String == "malloscope/histogram/1")
    #expect(
      keys(document) == [
        "schema", "tool", "target", "capture", "totals", "mallocs", "arenas", "histogram",
        "checks", "findings", "coverage",
      ])
    #expect(keys(document["tool"]) == ["name", "version"])
    #expect(
      keys(document["target"]) == [
        "pid", "namespaced_pid", "command", "executable", "threads", "allocator", "glibc",
        "arena_layout",
        "container", "evidence",
      ])
    #expect(
      keys(document["capture"]) == [
        "mode", "consistency", "stops", "longest_stop_ms", "total_stop_ms", "elapsed_ms",
        "copied_bytes", "resynchronisations", "retries",
      ])
    #expect(
      keys(document["totals"]) == [
        "system_bytes", "in_use_bytes", "in_use_chunks", "free_bytes", "free_chunks",
        "cached_bytes", "cached_chunks", "top_bytes", "mmapped_bytes", "mmapped_chunks",
      ])
    for arena in try #require(document["arenas"] as? [Object]) {
      #expect(
        Set(arena.keys) == [
          "index", "malloc", "address", "kind", "heaps", "system_bytes", "in_use_bytes",
          "in_use_chunks", "free_bytes", "free_chunks", "cached_bytes", "cached_chunks",
          "top_bytes",
          "attached_threads",
        ])
    }
    for malloc in try #require(document["mallocs"] as? [Object]) {
      #expect(
        Set(malloc.keys) == [
          "index", "copies", "file", "glibc", "arena_layout", "main_arena", "first_arena", "arenas",
          "system_bytes", "in_use_bytes", "in_use_chunks", "free_bytes", "free_chunks",
          "cached_bytes", "cached_chunks", "top_bytes", "mmapped_bytes", "mmapped_chunks",
        ])
    }
    for row in try #require(document["histogram"] as? [Object]) {
      #expect(
        Set(row.keys) == [
          "size", "in_use_chunks", "in_use_bytes", "free_chunks", "free_bytes", "cached_chunks",
          "cached_bytes",
        ])
    }
    for check in try #require(document["checks"] as? [Object]) {
      #expect(Set(check.keys) == ["name", "expected", "found", "holds"])
    }
    for finding in try #require(document["findings"] as? [Object]) {
      #expect(Set(finding.keys) == ["kind", "address", "bytes", "detail"])
    }
  }

  @Test("totals, arenas and rows add up to each other and to the snapshot")
  func sums() throws {
    for report in [ReportFixtures.python, ReportFixtures.server, ReportFixtures.empty] {
      let document = try histogram(report)
      let totals = try #require(document["totals"] as? [String: UInt64])
      let rows = try #require(document["histogram"] as? [[String: UInt64]])
      let arenas = try #require(document["arenas"] as? [Object])
      func sum(_ key: String) -> UInt64 { rows.reduce(0) { $0 + ($1[key] ?? 0) } }
      for key in totals.keys where key.hasPrefix("in_use") || key.hasPrefix("free") {
        #expect(sum(key) == totals[key], "\(key)")
      }
      let inArenas = arenas.reduce(0) { $0 + ($1["in_use_bytes"] as? UInt64 ?? 0) }
      #expect(inArenas + totals["mmapped_bytes", default: 0] == totals["in_use_bytes"])
      #expect(totals["in_use_bytes"] == report.snapshot.inUse.bytes)
      #expect(totals["system_bytes"] == report.snapshot.systemBytes)
      #expect(document["coverage"] as? Double == 1)
    }
  }

  @Test("a container is an object with the pid inside, and null outside of one")
  func container() throws {
    let inside = try histogram(ReportFixtures.server)["target"] as? Object
    let container = try #require(inside?["container"] as? Object)
    #expect(Set(container.keys) == ["id", "pod_uid", "namespaced_pid"])
    #expect(container["namespaced_pid"] as? Int == 7)
    #expect(inside?["namespaced_pid"] as? Int == 7)
    var plain = ReportFixtures.python
    plain.target.namespacedPid = 4
    let outside = try histogram(plain)["target"] as? Object
    #expect(outside?["container"] is NSNull)
    // A PID namespace needs no container.
    #expect(outside?["namespaced_pid"] as? Int == 4)
  }

  @Test("any name comes back as it was")
  func oddNames() throws {
    let report = ReportFixtures.oddNames
    let document = try histogram(report)
    let target = try #require(document["target"] as? Object)
    #expect(target["command"] as? String == report.target.command)
    #expect(target["executable"] as? String == report.target.executable)
    #expect(target["glibc"] is NSNull)
    var everyControl = report
    everyControl.target.command = String(
      String.UnicodeScalarView((0..<0x300).compactMap { Unicode.Scalar(UInt32($0)) }))
    let echoed = try histogram(everyControl)["target"] as? Object
    #expect(echoed?["command"] as? String == everyControl.target.command)
  }

  @Test("an incomplete result never says that it covers all, and tells of findings not kept")
  func incompleteness() throws {
    var report = ReportFixtures.damaged
    report.snapshot.systemAndMmappedBytes = 1 << 50
    report.snapshot.accountedBytes = 1 << 50 - 1
    let document = try histogram(report)
    #expect(document["coverage"] as? Double == 0.999999)
    let findings = try #require(document["findings"] as? [Object])
    #expect(findings.count == report.snapshot.findings.count + 1)
    #expect(findings.last?["detail"] as? String == "1203 more findings were not kept")
    #expect(findings.first?["address"] as? String == "0x55d0c0ffe010")
    let capture = try #require(document["capture"] as? Object)
    #expect(capture["longest_stop_ms"] as? Double == 2.413)
    #expect(capture["stops"] as? Int == 3)
  }

  @Test("arenas have their segments, and null for pages nobody looked at")
  func arenas() throws {
    var report = ReportFixtures.chunks
    var blind = MemorySink()
    JSONReports.writeArenas(report, tool: tool, to: &blind)
    let blindArenas = try parsed(blind)["arenas"] as? [Object]
    #expect(blindArenas?.first?["resident_bytes"] is NSNull)
    report.residency = ResidencyMap(
      pageSize: 4096,
      runs: [
        ResidencyMap.Run(
          range: AddressRange(RemoteAddress(0x55d0_c0ab_0000), byteCount: 8192),
          isResident: [true, false])
      ])
    var sink = MemorySink()
    JSONReports.writeArenas(report, tool: tool, to: &sink)
    let document = try parsed(sink)
    #expect(document["schema"] as? String == "malloscope/arenas/1")
    let arena = try #require((document["arenas"] as? [Object])?.first)
    #expect(arena["resident_bytes"] as? Int == 4096)
    let segment = try #require((arena["segments"] as? [Object])?.first)
    #expect(segment["address"] as? String == "0x55d0c0ab0000")
    #expect(segment["resident_bytes"] as? Int == 4096)
    let mmapped = try #require(document["mmapped"] as? [Object])
    #expect(mmapped.map { $0["address"] as? String } == ["0x7f0000000010"])
  }

  @Test("chunks are the accepted ones, up to the limit, and all accepted ones are counted")
  func chunks() throws {
    var sink = MemorySink()
    JSONReports.writeChunks(
      ReportFixtures.chunks, filter: ChunkFilter(states: [.inUse, .top]), limit: 2, tool: tool,
      to: &sink)
    let document = try parsed(sink)
    #expect(document["schema"] as? String == "malloscope/chunks/1")
    let chunks = try #require(document["chunks"] as? [Object])
    #expect(chunks.map { $0["state"] as? String } == ["in_use", "top"])
    #expect(chunks.map { $0["size"] as? Int } == [48, 112])
    #expect((document["accepted"] as? Object)?["chunks"] as? Int == 3)
  }
}
