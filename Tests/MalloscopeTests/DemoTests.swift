// The demo of the README: it must work on any machine and be right about itself.

import TestKit
import Testing

@Suite("The demo")
struct DemoTests {
  @Test("finds exactly what its program planted, and leaves nothing behind")
  func isExact() throws {
    let run = try ToolRun(["demo"])
    #expect(run.ending == .exit(0), "\(run.error)")
    #expect(run.error == "")
    #expect(run.output.split(separator: "(exact)").count == 4, "\(run.output)")
    #expect(run.output.contains("  leaked sessions: 8000 chunks of 6016 bytes; found 8000 (exact)"))
    #expect(!run.output.contains("findings"))
    // The first word is the program's process id.
    let pid = try #require(run.output.split(separator: " ").first.flatMap { Int32($0) })
    #expect(status(pid, "Name") == "")
  }

  @Test("has the other formats too")
  func formats() throws {
    let json = try ToolRun(["demo", "--json"])
    #expect(json.ending == .exit(0))
    let document = try HeapDocument(json.output)
    #expect(document.arenas.count == 5)
    #expect(document.histogram?.first { $0.size == 6016 }?.inUseChunks == 8000)
    let csv = try ToolRun(["demo", "--format", "csv"])
    #expect(csv.ending == .exit(0))
    #expect(csv.output.split(separator: "\n").contains { $0.hasPrefix("6016,8000,48128000,") })
  }
}
