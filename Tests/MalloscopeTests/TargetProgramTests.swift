// The targets' own word: what HeapScenario says of its heap must itself be right.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("HeapScenario tells the truth about its heap")
struct TargetProgramTests {
  /// Every scenario that ends with glibc's figures, and how many arenas it must have.
  static let scenarios: [(name: String, arenas: ClosedRange<Int>)] = [
    ("main-only", 1...1), ("threads", 5...5), ("two-heaps", 2...2), ("mmaps", 1...1),
    ("foreign-sbrk", 1...1), ("blocked-brk", 1...1), ("trim", 1...1), ("everything", 5...5),
    ("small10", 1...1), ("fastbins", 1...1),
  ]

  @Test("what a scenario holds and what glibc counts are consistent", arguments: scenarios)
  func figuresAreConsistent(name: String, arenas: ClosedRange<Int>) throws {
    let program = try TargetProgram(scenario: name)
    let oracle = try program.waitForOracle()
    let mallInfo2 = try #require(oracle.mallInfo2)
    let mallocInfo = try #require(oracle.mallocInfo)
    #expect(arenas.contains(mallocInfo.heaps.count))
    #expect(mallInfo2.arena == mallocInfo.heaps.reduce(0) { $0 + ($1.system["current"] ?? 0) })
    #expect(mallInfo2.arena == mallocInfo.whole.system["current"])
    #expect(mallInfo2.uordblks + mallInfo2.fordblks == mallInfo2.arena)
    #expect(mallInfo2.smblks == mallocInfo.whole.totals["fast"]?.count)
    #expect(mallInfo2.fsmblks == mallocInfo.whole.totals["fast"]?.bytes)
    #expect(mallInfo2.hblks == mallocInfo.whole.totals["mmap"]?.count)
    #expect(mallInfo2.hblkhd == mallocInfo.whole.totals["mmap"]?.bytes)
    #expect(mallInfo2.ordblks == mallocInfo.whole.totals["rest"]?.count)
    for heap in mallocInfo.heaps {
      let listed = heap.sizes.reduce(0) { $0 + $1.count }
      let total = (heap.totals["fast"]?.count ?? 0) + (heap.totals["rest"]?.count ?? 0)
      // The top chunk is in the total and in no list.
      #expect(listed + 1 == total)
    }
    let held = try #require(oracle.held)
    #expect(held.count == UInt64(oracle.live.count))
    #expect(held.bytes == oracle.live.values.reduce(0, +))
    #expect(held.bytes < mallInfo2.uordblks + mallInfo2.hblkhd)
    #expect(oracle.libc.count == 1)
    #expect(try program.close() == .exit(0))
  }

  @Test("main-only leaves chunks in fastbins, the unsorted, small and large bins")
  func mainOnlyPopulatesEveryBin() throws {
    let oracle = try TargetProgram(scenario: "main-only").waitForOracle()
    let heap = try #require(oracle.mallocInfo?.heaps.first)
    #expect((heap.totals["fast"]?.count ?? 0) > 1000)
    #expect(heap.sizes.contains { $0.isUnsorted && $0.count > 0 })
    // Binned sizes are written with their flag bit: odd, where fastbin sizes are even.
    #expect(heap.sizes.filter { !$0.isUnsorted && $0.to % 2 == 1 && $0.to < 1024 }.count > 20)
    #expect(heap.sizes.filter { !$0.isUnsorted && $0.to % 2 == 1 && $0.to > 1024 }.count > 20)
    #expect(oracle.live.count > 25_000)
  }

  @Test("each scenario has what it is named after")
  func scenariosAreWhatTheyAreCalled() throws {
    let mmaps = try TargetProgram(scenario: "mmaps").waitForOracle()
    #expect(mmaps.mallInfo2?.hblks == 18)
    let twoHeaps = try TargetProgram(scenario: "two-heaps").waitForOracle()
    #expect((twoHeaps.mallocInfo?.heaps.last?.addressSpace["subheaps"] ?? 0) >= 2)
    let fastbins = try TargetProgram(scenario: "fastbins").waitForOracle()
    #expect((fastbins.mallInfo2?.smblks ?? 0) >= 100_000)
    let small = try TargetProgram(scenario: "small10").waitForOracle()
    #expect((10_000_000...11_000_000).contains(small.mallInfo2?.arena ?? 0))
    let million = try TargetProgram(scenario: "million").waitForOracle()
    #expect(million.held?.count == 1_000_000)
    #expect((165_000_000...180_000_000).contains(million.mallInfo2?.arena ?? 0))
    #expect(million.live.isEmpty)
  }

  @Test(
    "a heap made to measure holds just as many blocks as it is told to",
    arguments: [
      (["million", "20000"], 20_000, 1), (["gib", "20001"], 20_001, 2),
      (["mib-chunks", "65"], 65, 2), (["mib-chunks", "65", "touched"], 65, 2),
    ])
  func madeToMeasure(words: [String], blocks: UInt64, arenas: Int) throws {
    let program = try TargetProgram(scenario: words[0], Array(words.dropFirst()))
    let oracle = try program.waitForOracle()
    let held = try #require(oracle.held)
    #expect(held.count == blocks)
    #expect(oracle.mallocInfo?.heaps.count == arenas)
    // Some are freed between them, and none has a mapping of its own.
    let info = try #require(oracle.mallInfo2)
    #expect(info.hblks == 0)
    #expect(Int(info.ordblks) > arenas)
    // The rest is libc's own blocks and what the threads' caches hold.
    let chunkBytes = held.bytes + 8 * held.count
    #expect((chunkBytes...chunkBytes + (1 << 17)).contains(info.uordblks))
    #expect(try program.close() == .exit(0))
  }

  @Test("touched blocks of 1 MiB are resident, others are not")
  func touchedIsResident() throws {
    let untouched = try TargetProgram(scenario: "mib-chunks", ["64"])
    try untouched.waitReady()
    #expect(try residentPages(of: untouched) < 4096)
    let touched = try TargetProgram(scenario: "mib-chunks", ["64", "touched"])
    try touched.waitReady()
    #expect(try residentPages(of: touched) * UInt64(getpagesize()) >= 64 << 20)
  }

  @Test("gib replaces its blocks, and neither their number nor their bytes change")
  func gibKeepsItsBytes() throws {
    let program = try TargetProgram(scenario: "gib", ["5000"])
    let held = try #require(try program.waitForOracle().held)
    let deadline = Deadline(in: .seconds(20))
    while try replaced(program) < 50_000, !deadline.hasPassed { usleep(1000) }
    #expect(try replaced(program) >= 50_000)
    program.process.closeInput()
    let rest = try program.process.readToEnd(by: Deadline(in: .seconds(20)))
    let numbers =
      rest.split(separator: "\n").last?.split(separator: " ").compactMap { Int($0) } ?? []
    try #require(numbers.count == 2)
    #expect(numbers[0] == 5000)
    #expect(abs(numbers[1] - Int(held.bytes)) <= 320)
    #expect(try program.close() == .exit(0))
  }

  @Test("a scenario can say how long a clone of it takes, and leaves no clone behind")
  func cloneIsTimedAndReaped() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let answer = try program.ask("clone").split(separator: " ")
    #expect(answer.first == "clone_us")
    #expect(try #require(answer.last.flatMap { Int($0) }) > 0)
    let children = try contents(ofFile: "/proc/\(program.pid)/task/\(program.pid)/children")
    #expect(children.isEmpty)
    #expect(try program.ask() == "here")
  }

  @Test("a main arena whose break is blocked lives outside the break's area")
  func blockedBreakUsesMappings() throws {
    let program = try TargetProgram(scenario: "blocked-brk")
    let oracle = try program.waitForOracle()
    let heap = try heapRange(of: program)
    let outside = oracle.live.keys.filter { !heap.contains($0) }
    #expect(outside.count > 500)
    // A foreign break leaves everything within it.
    let foreign = try TargetProgram(scenario: "foreign-sbrk")
    let inside = try foreign.waitForOracle()
    let foreignHeap = try heapRange(of: foreign)
    #expect(inside.live.keys.allSatisfy(foreignHeap.contains))
  }

  @Test("the program that never allocates has no heap")
  func unusedHasNoHeap() throws {
    let program = try TargetProgram(scenario: "unused")
    #expect(try program.waitReady().isEmpty)
    #expect(try !maps(of: program).contains("[heap]"))
  }

  @Test("churn always holds what it was told to, and goes on until told to end")
  func churnHoldsItsNumber() throws {
    let program = try TargetProgram(scenario: "churn", ["4", "8001", "300"])
    let oracle = try program.waitForOracle()
    #expect(oracle.held?.count == 8001)
    #expect(oracle.facts["threads"] == ["4"])
    let first = try replaced(program)
    var second = first
    let deadline = Deadline(in: .seconds(20))
    while second == first, !deadline.hasPassed { second = try replaced(program) }
    #expect(second > first)
    program.process.closeInput()
    let rest = try program.process.readToEnd(by: Deadline(in: .seconds(20)))
    #expect(rest.hasPrefix("held 8001 "))
    #expect(try program.close() == .exit(0))
  }

  private func replaced(_ program: TargetProgram) throws -> Int {
    let words = try program.ask().split(separator: " ")
    return try #require(words.last.flatMap { Int($0) })
  }

  @Test("every queued signal is counted")
  func signalsAreCounted() throws {
    let program = try TargetProgram(scenario: "signals", ["2"])
    try program.waitReady()
    #expect(try program.ask() == "count 0 0")
    // The first real-time signal that glibc leaves to programs; the kernel queues it.
    for _ in 0..<500 { program.process.send(34) }
    program.process.send(SIGUSR1)
    let deadline = Deadline(in: .seconds(20))
    var answer = ""
    while answer != "count 1 500", !deadline.hasPassed { answer = try program.ask() }
    #expect(answer == "count 1 500")
  }

  @Test("sleeping threads are interrupted by nobody")
  func sleepersSleep() throws {
    let program = try TargetProgram(scenario: "sleepers", ["20"])
    try program.waitReady()
    let deadline = Deadline(in: .seconds(20))
    while !allThreadsSleep(pid: program.pid), !deadline.hasPassed { usleep(1000) }
    #expect(allThreadsSleep(pid: program.pid))
    #expect(
      try program.ask() == "interrupted futex=0 nanosleep=0 poll=0 epoll=0 read=0")
  }

  @Test("the heartbeat notices that its process was stopped")
  func heartbeatSeesAStop() throws {
    let program = try TargetProgram(scenario: "small10", ["--heartbeat"])
    let oracle = try program.waitForOracle()
    // Not everybody may run it ahead of others.
    #expect([["real-time"], ["normal"]].contains(oracle.facts["heartbeat"]))
    _ = try program.ask()
    program.process.send(SIGSTOP)
    usleep(50_000)
    program.process.send(SIGCONT)
    let answer = try program.ask().split(separator: " ")
    #expect(answer.first == "gap_us")
    #expect(try #require(answer.last.flatMap { Int($0) }) >= 45_000)
  }

  @Test(
    "damage is done after the figures were taken, and the program ends in peace",
    arguments: ["header", "size", "tcache", "bin", "top", "random"])
  func damageIsReported(kind: String) throws {
    let program = try TargetProgram(scenario: "damaged", [kind, "7"])
    let oracle = try program.waitForOracle()
    _ = try #require(oracle.mallInfo2)
    #expect(oracle.live.count == 3001)
    #expect(!oracle.damage.isEmpty)
    // Whatever is overwritten lies in the one heap that there is.
    let heap = try heapRange(of: program)
    #expect(oracle.damage.allSatisfy(heap.contains))
    #expect(try program.close() == .exit(0))
  }

  @Test("the scenarios about processes are in the state that they are named after")
  func processScenarios() throws {
    let zombie = try TargetProgram(scenario: "zombie")
    #expect(try state(ofChildOf: zombie) == "Z")
    let traced = try TargetProgram(scenario: "traced")
    let child = try childPid(traced.waitForOracle())
    let status = try contents(ofFile: "/proc/\(child)/status")
    #expect(String(decoding: status, as: UTF8.self).contains("TracerPid:\t\(traced.pid)\n"))
    let vfork = try TargetProgram(scenario: "vfork")
    try vfork.waitReady()
    #expect(try vfork.close() == .exit(0))
    let exiter = try TargetProgram(scenario: "exiter", ["1"])
    try exiter.waitReady()
    #expect(try exiter.process.waitForEnd(by: Deadline(in: .seconds(20))) == .exit(0))
    let spawner = try TargetProgram(scenario: "spawner", ["2"])
    try spawner.waitReady()
    #expect(try spawner.ask().hasPrefix("spawned "))
    #expect(try spawner.close() == .exit(0))
  }

  private func childPid(_ oracle: HeapOracle) throws -> Int {
    try #require(oracle.facts["child"]?.first.flatMap { Int($0) })
  }

  private func state(ofChildOf program: TargetProgram) throws -> Substring? {
    let child = try childPid(program.waitForOracle())
    let stat = String(decoding: try contents(ofFile: "/proc/\(child)/stat"), as: UTF8.self)
    return stat.split(separator: " ").dropFirst(2).first
  }

  private func maps(of program: TargetProgram) throws -> String {
    String(decoding: try contents(ofFile: "/proc/\(program.pid)/maps"), as: UTF8.self)
  }

  private func residentPages(of program: TargetProgram) throws -> UInt64 {
    let statm = String(decoding: try contents(ofFile: "/proc/\(program.pid)/statm"), as: UTF8.self)
    return try #require(statm.split(separator: " ").dropFirst().first.flatMap { UInt64($0) })
  }

  private func heapRange(of program: TargetProgram) throws -> AddressRange {
    let lines = try maps(of: program).split(separator: "\n")
    let line = try #require(lines.first { $0.hasSuffix("[heap]") })
    let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt64($0, radix: 16) }
    try #require(ends.count == 2)
    return AddressRange(RemoteAddress(ends[0]), RemoteAddress(ends[1]))
  }
}
