// The tool on heaps that the kernel has swapped out: it leaves them so, and says what it did not see.

import Glibc
import HeapModel
import TestKit
import Testing

extension [UInt64] {
  /// Where the first element is for which `isBehind` holds, in an ascending array.
  fileprivate func partitioningIndex(_ isBehind: (UInt64) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

@Suite("A heap that is swapped out", .serialized)
struct SwappedHeapTests {
  private static let obstacle = SwapFile.obstacle

  /// The program with its heap swapped out, and what it says of it.
  private func start(_ arguments: [String]) throws -> (TargetProgram, HeapOracle) {
    let program = try TargetProgram(scenario: "swapped", arguments)
    return (program, try program.waitForOracle())
  }

  @Test(
    "in part is not brought back, and what is in memory is reported as it is",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func inPart() throws {
    let swap = try SwapFile()
    try withExtendedLifetime(swap) {
      let (program, oracle) = try start([])
      let pid = program.pid
      let pages = try swappedPages(of: pid)
      let before = status(pid, "VmSwap")
      // A fourth of 10 MiB and nearly 8.
      try #require(pages > 2400, "\(pages) pages are swapped out")
      let heapPages = UInt64(pages) - 2047

      let document = try reportedHeap(pid, code: 2)
      #expect(Set(document.findings.map(\.kind)) == ["swapped"], "\(document.findings)")
      let lost = document.findings.reduce(0) { $0 + $1.bytes }
      // Of 20 stretches, a chunk may reach into each, and some behind it cannot be told.
      #expect(lost + 20 * 320 >= heapPages * 4096 && lost < heapPages * 4096 * 115 / 100)
      let info = try #require(oracle.mallInfo2)
      #expect(document.arenas.map(\.systemBytes) == [info.arena])
      let arena = document.arenas[0]
      let seen = arena.inUseBytes + arena.freeBytes + arena.cachedBytes + arena.topBytes
      #expect(info.arena - seen - lost < 4096, "the rest are the tcache and alignment")
      #expect(abs(document.coverage - 1 + Double(lost) / Double(info.arena + info.hblkhd)) < 1e-5)
      // Of the mapping only the header is in memory, and that is all that is needed.
      #expect(document.totals.mmappedChunks == 1 && document.totals.mmappedBytes > 8 << 20)

      let rows = try byAddress(try reportedChunks(pid, code: 2))
      var missing: [UInt64] = []
      var wrong = 0
      for (address, usable) in oracle.live {
        guard let row = rows[address] else {
          missing.append(address.bits)
          continue
        }
        if row.usable != usable || row.state != "in_use" { wrong += 1 }
      }
      #expect(wrong == 0)
      let share = Double(lost) / Double(info.arena)
      #expect(abs(Double(missing.count) / Double(oracle.live.count) - share) < 0.02)
      // Some of 3,000 freed blocks are in fastbins, of which each list ends where it leads out of memory.
      let others = rows.values.filter {
        $0.state == "in_use" && oracle.live[$0.address] == nil && oracle.libc[$0.address] == nil
      }
      #expect(others.count < 1500, "\(others.count) free blocks count as in use")
      missing.sort()
      let invented = others.filter { row in
        let next = missing.partitioningIndex { $0 > row.address.bits }
        guard next > 0 else { return false }
        let usable = oracle.live[RemoteAddress(missing[next - 1])] ?? 0
        return row.address.bits < missing[next - 1] + usable
      }
      #expect(invented.count < 10, "\(invented.count) blocks inside of others")
      #expect(try ToolRun(["arenas", "\(pid)"]).exitCode == 2)

      #expect(try swappedPages(of: pid) == pages)
      #expect(status(pid, "VmSwap") == before)
      #expect(try program.close() == .exit(0))
    }
  }

  @Test(
    "altogether costs a few pages for malloc's own structures, and is told",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func altogether() throws {
    let swap = try SwapFile()
    try withExtendedLifetime(swap) {
      let (program, oracle) = try start(["all"])
      let pages = try swappedPages(of: program.pid)
      try #require(pages > 4000, "\(pages) pages are swapped out")
      for run in 1...2 {
        let document = try reportedHeap(program.pid, code: 2)
        let info = try #require(oracle.mallInfo2)
        #expect(document.arenas.map(\.systemBytes) == [info.arena])
        #expect(Set(document.findings.map(\.kind)) == ["swapped"], "\(document.findings)")
        #expect(document.coverage < 0.05)
        let broughtBack = pages - (try swappedPages(of: program.pid))
        #expect(broughtBack <= 16, "\(broughtBack) pages came back by run \(run)")
      }
      #expect(try program.close() == .exit(0))
    }
  }

  @Test(
    "elsewhere in the machine does not matter",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func elsewhere() throws {
    let swap = try SwapFile()
    try withExtendedLifetime(swap) {
      let (other, _) = try start([])
      let program = try TargetProgram(scenario: "main-only", ["5000"])
      let oracle = try program.waitForOracle()
      let document = try reportedHeap(program.pid)
      #expect(document.findings.isEmpty && document.coverage == 1)
      #expect(try wrongBlocks(oracle, reportedChunks(program.pid)) == 0)
      #expect(try program.close() == .exit(0))
      #expect(try other.close() == .exit(0))
    }
  }
}
