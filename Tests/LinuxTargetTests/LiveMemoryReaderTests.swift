// Reading a live child's memory by both ways.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import RemoteMemory
import TestKit
import Testing

@Suite("Reading a live process")
struct LiveMemoryReaderTests {
  /// A child with a page of ones, a hole, and a page of threes.
  private final class Boundary {
    let child: ChildProcess
    let pageSize: Int
    let pages: RemoteAddress

    init() throws {
      child = try ChildProcess(
        ChildProcess.Launch(CompiledProgram.path("StopTargets/boundary.c")))
      let words = try child.readLine(by: Deadline(in: .seconds(20))).split(separator: " ")
      pageSize = try #require(Int(words[0]))
      pages = RemoteAddress(try #require(UInt64(words[1], radix: 16)))
    }

    /// The address `offset` bytes after the first page's begin.
    func place(_ offset: Int) -> RemoteAddress {
      RemoteAddress(pages.bits &+ UInt64(bitPattern: Int64(offset)))
    }
  }

  private func read(
    _ reader: LiveMemoryReader, _ address: RemoteAddress, _ count: Int
  ) throws(ReadFault) -> [UInt8] {
    var buffer = PageBuffer(byteCount: count)
    var span = buffer.prefix(count)
    let filled = try reader.read(at: address, into: &span)
    var bytes: [UInt8] = []
    for index in 0..<filled {
      bytes.append(buffer.bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self))
    }
    return bytes
  }

  @Test("a read stops at an unmapped page", arguments: LiveMemoryReader.Strategy.allCases)
  func partialRead(strategy: LiveMemoryReader.Strategy) throws {
    let target = try Boundary()
    let reader = LiveMemoryReader(pid: target.child.pid, forced: strategy)
    let page = target.pageSize
    #expect(try read(reader, target.pages, page) == [UInt8](repeating: 1, count: page))
    #expect(try read(reader, target.place(page - 5), 100) == [1, 1, 1, 1, 1])
    #expect(try read(reader, target.place(2 * page), 3) == [3, 3, 3])
    #expect(reader.copiedBytes == UInt64(page + 8))
    #expect(throws: ReadFault.unmapped(target.place(page))) {
      try read(reader, target.place(page), 8)
    }
    for bits in [0, 8, UInt64(1) << 62, UInt64(Int64.max), 1 << 63, .max - 3, .max] {
      #expect(throws: ReadFault.unmapped(RemoteAddress(bits))) {
        try read(reader, RemoteAddress(bits), 16)
      }
    }
    #expect(reader.strategy == strategy)
  }

  @Test(
    "a gather goes on after places that cannot be read",
    arguments: LiveMemoryReader.Strategy.allCases)
  func gather(strategy: LiveMemoryReader.Strategy) throws {
    let target = try Boundary()
    let reader = LiveMemoryReader(pid: target.child.pid, forced: strategy)
    let page = target.pageSize
    // More than one batch; every seventh place is in the hole, every eleventh reaches into it.
    let places = (0..<3000).map { index in
      if index % 7 == 3 { return target.place(page + index) }
      if index % 11 == 5 { return target.place(page - 8) }
      if index % 13 == 6 { return RemoteAddress(.max - 4) }
      return target.place(index % 2 == 0 ? 0 : 2 * page)
    }
    let words = try reader.gather(at: places, wordsEach: 2)
    #expect(words.count == 3000)
    var wrong: [Int] = []
    for index in 0..<3000 {
      let isBad = index % 7 == 3 || index % 11 == 5 || index % 13 == 6
      let value: UInt64 = index % 2 == 0 ? 0x0101_0101_0101_0101 : 0x0303_0303_0303_0303
      let expected = isBad ? nil : value
      if words[index, 0] != expected || words[index, 1] != expected { wrong.append(index) }
    }
    #expect(wrong.isEmpty)
    #expect(words.words[10] == 0 && words.words[11] == 0, "of a begun place nothing is kept")
    #expect(try reader.gather(at: [], wordsEach: 1).count == 0)
  }

  @Test("a process that has ended is gone", arguments: LiveMemoryReader.Strategy.allCases)
  func endedTarget(strategy: LiveMemoryReader.Strategy) throws {
    let target = try Boundary()
    let reader = LiveMemoryReader(pid: target.child.pid, forced: strategy)
    _ = try read(reader, target.pages, 8)
    try target.child.finish(by: Deadline(in: .seconds(20)))
    #expect(throws: ReadFault.targetGone) { try read(reader, target.pages, 8) }
    #expect(throws: ReadFault.targetGone) {
      try reader.gather(at: [target.pages], wordsEach: 1)
    }
    let late = LiveMemoryReader(pid: target.child.pid, forced: strategy)
    #expect(throws: ReadFault.targetGone) { try read(late, target.pages, 8) }
  }

  @Test("without a memory file the system call is used, and a forced file is refused")
  func missingFile() throws {
    let target = try Boundary()
    let fake = try FakeProc()
    try fake.add(target.child.pid, name: "target")
    // A loop of links cannot be opened by anyone, whatever the privileges.
    symlink("mem", fake.proc.path(target.child.pid, "mem"))
    let reader = LiveMemoryReader(pid: target.child.pid, proc: fake.proc)
    #expect(try read(reader, target.pages, 2) == [1, 1])
    let forced = LiveMemoryReader(
      pid: target.child.pid, proc: fake.proc, forced: .memoryFile)
    #expect(throws: ReadFault.refused(errno: ELOOP)) { try read(forced, target.pages, 2) }
  }

  @Test(
    "a process whose first thread has ended is read through another",
    arguments: LiveMemoryReader.Strategy.allCases)
  func leaderless(strategy: LiveMemoryReader.Strategy) throws {
    let child = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/leaderless.c")))
    #expect(try child.readLine(by: Deadline(in: .seconds(20))) == "ready")
    let process = try LinuxProcess.inspect(child.pid)
    #expect(process.pid == child.pid && process.memoryID != child.pid)
    let heap = try #require(try process.mappings().first { $0.name == "[heap]" })
    let reader = LiveMemoryReader(process, forced: strategy)
    #expect(try read(reader, heap.range.lowerBound, 16).count == 16)
  }

  @Test("the shim's signals keep their rules")
  func interruption() throws {
    let program = try CompiledProgram.path(
      "StopTargets/interruption.c",
      flags: ["-I" + testsPath("../CPtrace/include"), testsPath("../CPtrace/CPtrace.c")])
    let run = try ToolRun(executable: program, [])
    #expect(run.output == "done\n")
  }

  // MARK: Reading ahead

  /// Why nothing is read on a second thread here, nil if it is.
  private static let obstacle: String? = {
    guard cpt_processor_count() > 1 else { return "one processor has nothing to read ahead with" }
    guard cpt_hurry(1) == 0 else { return "taking precedence is refused: it needs CAP_SYS_NICE" }
    _ = cpt_hurry(0)
    return nil
  }()

  @Test(
    "what is read ahead is what is read, up to the first hole, whatever was cancelled before",
    .enabled(if: obstacle == nil, Comment(rawValue: obstacle ?? "")))
  func readingAhead() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let process = try LinuxProcess.inspect(program.pid)
    let heap = try #require(try process.mappings().first { $0.name == "[heap]" }).range
    let plain = LiveMemoryReader(process)
    let reader = LiveMemoryReader(process)
    reader.startAssistant()
    let ahead = try #require(reader.readAhead)
    var generator = SystemRandomNumberGenerator()
    var buffer = PageBuffer(byteCount: 520 << 10)
    for round in 0..<400 {
      let count = [1, 4095, 65536, 65537, 300_000, 512 << 10][round % 6]
      let isAtEnd = round % 5 == 0
      let distance =
        isAtEnd
        ? heap.byteCount - UInt64(count) / 2
        : UInt64.random(in: 0...(heap.byteCount - UInt64(count)), using: &generator)
      let address = RemoteAddress(heap.lowerBound.bits + distance)
      ahead.begin(at: address, count: count, into: &buffer, offset: 4096)
      if round % 3 == 0 {
        ahead.cancel()
        continue
      }
      let expected = isAtEnd ? count / 2 : count
      #expect(ahead.finish() == expected, "\(count) bytes at \(address)")
      guard expected > 0 else { continue }
      let bytes = try read(plain, address, expected)
      let isSame = bytes.indices.allSatisfy {
        buffer.bytes.unsafeLoad(fromByteOffset: 4096 + $0, as: UInt8.self) == bytes[$0]
      }
      #expect(isSame, "\(count) bytes at \(address)")
    }
    // Cancelling or finishing nothing is nothing.
    ahead.cancel()
    #expect(ahead.finish() == 0)
    #expect(try program.close() == .exit(0))
  }
}
