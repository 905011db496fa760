// The tool against programs that we did not write, chunk by chunk.

import HeapModel
import TestKit
import Testing

@Suite("The tool sees what the recorder recorded", .serialized)
struct RecordedTruthTests {
  @Test(
    "what is in use is exactly what was recorded, address by address and byte by byte",
    arguments: RecordedProgram.allCases)
  func everyAllocation(program: RecordedProgram) throws {
    let run = try program.start()
    let recorded = try run.allocations()
    let reported = try reportedChunks(run.pid)
    // Nothing moved while we looked.
    #expect(try run.allocations().sequence == recorded.sequence)

    let table = try byAddress(reported)
    var wrong: [String] = []
    for (address, usable) in recorded.live {
      guard let row = table[address] else {
        wrong.append("the allocation of \(usable) bytes at \(address) is missing")
        continue
      }
      if row.state != "in_use" || row.usable != usable {
        wrong.append("the allocation of \(usable) bytes at \(address) is reported as \(row)")
      }
    }
    #expect(wrong.prefix(5) == [])
    // Not even one chunk more: the recorder is there before the first allocation, and streams,
    // vectors of thread-local storage and all else that libc needs come from the malloc it records.
    let inUse = reported.filter { $0.state == "in_use" }
    let beyond = inUse.filter { recorded.live[$0.address] == nil }
    #expect(beyond.prefix(5) == [])
    #expect(inUse.count == recorded.live.count)

    let document = try reportedHeap(run.pid)
    #expect(document.totals.inUseChunks == UInt64(recorded.live.count))
    #expect(document.coverage == 1)
    #expect(document.checks.allSatisfy { $0.holds })
    // The recorder defines malloc, which is worth a word and no more.
    #expect(document.findings.map(\.kind) == ["allocator"])
    #expect(try run.program.close() == .exit(0))
  }
}
