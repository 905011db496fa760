// A look at a heap must not bring into it what was not there.

import Glibc
import TestKit
import Testing

@Suite("Pages that were never touched")
struct UntouchedTests {
  @Test("stay so, are not counted as resident, and end no heap; nor do protected ones")
  func leavesNoTrace() throws {
    let path = try CompiledProgram.path("Untouched.c", flags: ["-w"])
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let before = try presentHeapBytes(program.pid)
    let document = try reportedHeap(program.pid)
    #expect(document.coverage == 1)
    #expect(document.findings.isEmpty, "\(document.findings)")
    #expect(document.checks.allSatisfy { $0.holds })
    #expect(document.totals.inUseBytes > 100_000_000)
    for verb in ["arenas", "chunks", "histogram"] {
      #expect(try ToolRun([verb, "\(program.pid)", "--json"]).exitCode == 0)
    }
    #expect(try presentHeapBytes(program.pid) == before)
    let arenas = try ToolRun(["arenas", "\(program.pid)", "--format", "csv"]).output
    let main = try #require(arenas.split(separator: "\n").dropFirst().first?.split(separator: ","))
    #expect(main[12] == "\(before)")
    #expect(try program.close() == .exit(0))
  }

  /// The bytes of the program break's mappings that the page map calls present.
  private func presentHeapBytes(_ pid: Int32) throws -> UInt64 {
    let map = String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
    let file = open("/proc/\(pid)/pagemap", O_RDONLY)
    defer { close(file) }
    var present: UInt64 = 0
    for line in map.split(separator: "\n") where line.hasSuffix("[heap]") {
      let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap {
        Int($0, radix: 16)
      }
      try #require(bounds.count == 2)
      var entries = [UInt64](repeating: 0, count: (bounds[1] - bounds[0]) / 4096)
      let byteCount = entries.count * 8
      #expect(pread(file, &entries, byteCount, off_t(bounds[0] / 4096 * 8)) == byteCount)
      present += entries.reduce(0) { $0 + ($1 >> 63) * 4096 }
    }
    return present
  }
}
