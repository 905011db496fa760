// Reading a process that is partly swapped out.

import Glibc
import HeapModel
import LinuxTarget
import RemoteMemory
import TestKit
import Testing

@Suite("Reading a process that is partly swapped out", .serialized)
struct SwappedMemoryTests {
  private static let states: [PageState] = [
    .resident, .resident, .swapped, .swapped, .untouched, .resident, .swapped, .resident,
  ]

  private func start() throws -> (ChildProcess, UInt64) {
    let child = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/pageout.c")))
    let line = try child.readLine(by: Deadline(in: .seconds(20)))
    return (child, try #require(UInt64(line, radix: 16)))
  }

  private func read(
    _ reader: LiveMemoryReader, _ bits: UInt64, _ count: Int
  ) throws(ReadFault) -> Int {
    var buffer = PageBuffer(byteCount: count)
    return try buffer.fill(count, from: RemoteAddress(bits), of: reader)
  }

  @Test(
    "pages that are swapped out are told, end a read, and stay where they are",
    .enabled(if: SwapFile.obstacle == nil, Comment(rawValue: SwapFile.obstacle ?? "")),
    arguments: LiveMemoryReader.Strategy.allCases)
  func staysOut(strategy: LiveMemoryReader.Strategy) throws {
    let swap = try SwapFile()
    try withExtendedLifetime(swap) {
      let (child, start) = try start()
      try #require(try swappedPages(of: child.pid) == 3)
      let process = try LinuxProcess.inspect(child.pid)
      #expect(process.status.memory.swapped == 3 * 4096)
      let reader = LiveMemoryReader(process, forced: strategy)
      let first = RemoteAddress(start)
      #expect(reader.pageStates(from: first, count: 8, pageSize: 4096) == Self.states)
      #expect(
        reader.residentPrefix(from: first, count: 8, pageSize: 4096)
          == ResidentPrefix(count: 2, next: .swapped))
      #expect(
        reader.residentPrefix(from: RemoteAddress(start + 0x4000), count: 4, pageSize: 4096)
          == ResidentPrefix(count: 0, next: .untouched))
      #expect(
        reader.residentPrefix(from: RemoteAddress(start + 0x5000), count: 1, pageSize: 4096)
          == ResidentPrefix(count: 1, next: nil))

      #expect(try read(reader, start + 100, 0x3000) == 0x2000 - 100)
      #expect(try read(reader, start + 0x1ff8, 16) == 8)
      for offset in [0x2000, 0x2fff, 0x3010] as [UInt64] {
        #expect(throws: ReadFault.unmapped(RemoteAddress(start + offset))) {
          try read(reader, start + offset, 8)
        }
      }
      let places = [0x10, 0x2000, 0x1ff8, 0x5000, 0x6ff8, 0x5ff8, 0x7000].map {
        RemoteAddress(start + $0)
      }
      let words = try reader.gather(at: places, wordsEach: 2)
      #expect(words.isReadable == [true, false, false, true, false, false, true])
      #expect(words[3, 1] == 0x0505_0505_0505_0505 && words[6, 0] == 0x0707_0707_0707_0707)
      #expect(try reader.word(at: RemoteAddress(start + 0x3000)) == nil)
      #expect(try swappedPages(of: child.pid) == 3, "nothing was brought back")

      reader.readsSwapped = true
      #expect(try reader.word(at: RemoteAddress(start + 0x3000)) == 0x0303_0303_0303_0303)
      #expect(try swappedPages(of: child.pid) < 3)
      #expect(reader.pageStates(from: first, count: 8, pageSize: 4096)?[3] == .resident)
      try child.finish(by: Deadline(in: .seconds(20)))
    }
  }

  @Test("where nothing can be swapped out, nothing is: MADV_PAGEOUT leaves pages where they are")
  func noSwap() throws {
    // On a machine with swap space of its own this shows the same as above.
    let (child, start) = try start()
    let swapped = try swappedPages(of: child.pid)
    let reader = LiveMemoryReader(try LinuxProcess.inspect(child.pid))
    let states = try #require(
      reader.pageStates(from: RemoteAddress(start), count: 8, pageSize: 4096))
    #expect(states.count { $0 == .swapped } == swapped && states[4] == .untouched)
    #expect(states[0] == .resident && states.count { $0 == .untouched } == 1)
    try child.finish(by: Deadline(in: .seconds(20)))
  }
}
