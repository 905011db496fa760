// The programs whose heaps grow: each does what it says, by its own word and by the tool's.

import Glibc
import TestKit
import Testing

@Suite("A leaking program leaks as it says")
struct LeakingProgramTests {
  /// What a process says of itself and what the tool says of it, at about the same moment.
  struct Look {
    var own: [String: UInt64]
    var heap: HeapDocument
    var anonymousKiB: Int

    /// Asks before the tool looks.
    init(_ program: LeakingProgram) throws {
      own = try program.ask()
      heap = try reportedHeap(program.pid)
      anonymousKiB = Int(status(program.pid, "RssAnon")) ?? 0
    }

    /// One of its own figures.
    func figure(_ name: String) throws -> Int { Int(try #require(own[name])) }

    /// How many chunks of this size are in use.
    func inUse(size: UInt64) -> Int {
      Int(heap.histogram?.first { $0.size == size }?.inUseChunks ?? 0)
    }

    /// The bytes that the program uses, those in mappings of their own among them.
    var inUse: Int { Int(heap.totals.inUseBytes) }
    var free: Int { Int(heap.totals.freeBytes) }
    var system: Int { Int(heap.totals.systemBytes) }
  }

  /// Waits until a figure of the program's has grown by so much.
  private func wait(_ program: LeakingProgram, _ name: String, growsBy growth: UInt64) throws {
    let start = try #require(try program.ask()[name])
    #expect(try comes { try program.ask()[name, default: 0] >= start + growth })
  }

  /// Sends requests to a server until it has answered so many, and then no more.
  private func load(_ server: LeakingProgram, perSecond: Int, requests: UInt64) throws {
    let port = try #require(server.port)
    let load = try LeakingProgram(.load(port: port, perSecond: perSecond))
    try wait(server, "requests", growsBy: requests)
    #expect(try load.close() == .exit(0))
  }

  // MARK: Python

  @Test("the server in Python keeps strings of 10,000 to 20,000 characters, and serves")
  func leakingServer() throws {
    let server = try LeakingProgram(.leakingServer(milliseconds: 2))
    try wait(server, "count", growsBy: 50)
    let first = try Look(server)
    try wait(server, "count", growsBy: 500)
    let second = try Look(server)
    let count = try second.figure("count") - first.figure("count")
    let characters = try second.figure("characters") - first.figure("characters")
    #expect((count * 10_000...count * 20_000).contains(characters))
    // Each character is a byte, and each string has a head. It goes on while the tool starts.
    #expect((characters * 9 / 10...characters * 12 / 10).contains(second.inUse - first.inUse))
    #expect(second.anonymousKiB - first.anonymousKiB > characters / 1024 * 9 / 10)

    let answer = try figures(try server.get("/"))
    #expect(try Int(answer["count"] ?? 0) >= second.figure("count"))
    #expect(try server.close() == .exit(0))
  }

  @Test("linked dicts grow the process and hardly malloc's heap")
  func linkedDicts() throws {
    let program = try LeakingProgram(.linkedDicts(perSecond: 50_000))
    let first = try Look(program)
    try wait(program, "count", growsBy: 100_000)
    let second = try Look(program)
    let bytes = try second.figure("bytes") - first.figure("bytes")
    #expect(bytes > 15_000_000)
    let growth = (second.anonymousKiB - first.anonymousKiB) * 1024
    #expect((bytes * 8 / 10...bytes * 13 / 10).contains(growth))
    #expect(abs(second.inUse - first.inUse) < growth / 20)
    #expect(try program.close() == .exit(0))
  }

  @Test("the extension type leaves 40 to 80 KiB behind with each object")
  func leakingExtension() throws {
    let program = try LeakingProgram(.leakingExtension(milliseconds: 4))
    let first = try Look(program)
    try wait(program, "count", growsBy: 300)
    let second = try Look(program)
    let count = try second.figure("count") - first.figure("count")
    let bytes = try second.figure("bytes") - first.figure("bytes")
    #expect((count * 40 * 1024...count * 80 * 1024).contains(bytes))
    #expect((bytes * 9 / 10...bytes * 12 / 10).contains(second.inUse - first.inUse))
    let large = { (look: Look) in
      (look.heap.histogram ?? []).filter { (40 * 1024...80 * 1024 + 16).contains($0.size) }
        .reduce(0) { $0 + Int($1.inUseChunks) }
    }
    #expect(abs(large(second) - large(first) - count) < count / 5)
    #expect(try program.close() == .exit(0))
  }

  // MARK: The server in C++

  @Test("leak keeps exactly one chunk of 48 bytes for each request")
  func leak() throws {
    let server = try LeakingProgram(.leak)
    try load(server, perSecond: 2000, requests: 500)
    let first = try Look(server)
    try load(server, perSecond: 2000, requests: 2500)
    let second = try Look(server)
    let requests = try second.figure("requests") - first.figure("requests")
    #expect(requests >= 2500)
    #expect(try second.figure("leaked_nodes") == second.figure("requests"))
    #expect(second.inUse(size: 48) - first.inUse(size: 48) == requests)
    // Besides there are the connections' own blocks, which come and go.
    #expect(abs(second.inUse - first.inUse - requests * 48) < 20_000)
    #expect(try server.close() == .exit(0))
  }

  @Test("fragment grows free memory, and what is in use stays as it is")
  func fragment() throws {
    let server = try LeakingProgram(.fragment)
    try load(server, perSecond: 2000, requests: 100)
    let first = try Look(server)
    try load(server, perSecond: 3000, requests: 6000)
    let second = try Look(server)
    let free = second.free - first.free
    #expect(free > 20_000_000)
    #expect(second.system - first.system > 20_000_000)
    #expect(abs(second.inUse - first.inUse) < free / 20)
    // By glibc's own count too.
    let ownFree = try second.figure("fordblks") - first.figure("fordblks")
    #expect(ownFree > 20_000_000)
    #expect(try abs(second.figure("uordblks") - first.figure("uordblks")) < ownFree / 20)
    #expect(try second.figure("held_blocks") == first.figure("held_blocks"))
    #expect(try server.close() == .exit(0))
  }

  @Test("steady grows nothing once it is warm")
  func steady() throws {
    let server = try LeakingProgram(.steady)
    try load(server, perSecond: 3000, requests: 4000)
    let first = try Look(server)
    try load(server, perSecond: 3000, requests: 4000)
    let second = try Look(server)
    #expect(abs(second.inUse - first.inUse) < 20_000)
    #expect(abs(second.system - first.system) < 300_000)
    #expect(try second.figure("leaked_nodes") == 0)
    #expect(try server.close() == .exit(0))
  }

  @Test("retain frees nearly all of a burst, and the heap stays as large")
  func retain() throws {
    let server = try LeakingProgram(.retain)
    #expect(try server.get("/") == "ok\n")
    let first = try Look(server)
    #expect(try server.get("/burst") == "ok\n")
    let second = try Look(server)
    #expect(second.system - first.system > 200_000_000)
    #expect(second.free - first.free > 195_000_000)
    #expect(second.inUse - first.inUse < 1_000_000)
    #expect(second.anonymousKiB > 190_000)
    // Another burst finds room in what is free.
    #expect(try server.get("/burst") == "ok\n")
    let third = try Look(server)
    #expect(third.system - second.system < 10_000_000)
    #expect(try server.close() == .exit(0))
  }

  @Test("load keeps its rate and says how many requests were answered")
  func loadKeepsItsRate() throws {
    let server = try LeakingProgram(.leak)
    let port = try #require(server.port)
    let load = try LeakingProgram(.load(port: port, perSecond: 500))
    let start = ContinuousClock.now
    #expect(try comes { try load.ask()["requests", default: 0] >= 500 })
    // It may be late, and is never early.
    #expect(ContinuousClock.now - start > .milliseconds(900))
    #expect(try load.close() == .exit(0))
    #expect(try server.ask()["requests", default: 0] >= 500)
    #expect(try server.close() == .exit(0))
  }

  // MARK: Without requests

  @Test("idle does not change, and answers SIGUSR1 as it does a line")
  func idle() throws {
    let program = try LeakingProgram(.idle)
    let first = try Look(program)
    let second = try Look(program)
    #expect(second.heap.totals == first.heap.totals)
    #expect(try program.ask(bySignal: true) == second.own)
    #expect(try program.ask() == first.own)
    #expect(try program.close() == .exit(0))
  }

  @Test("churn is always busy and holds its 8000 blocks")
  func churn() throws {
    let program = try LeakingProgram(.churn)
    let first = try Look(program)
    let second = try Look(program)
    #expect(try second.figure("held_blocks") == 8000)
    #expect((6_000_000...12_000_000).contains(first.inUse))
    #expect(abs(second.inUse - first.inUse) < 1_000_000)
    #expect(first.heap.target.threads == 5)
    #expect(try program.close() == .exit(0))
  }

  @Test("big holds as many MiB as it is told to, in small blocks")
  func big() throws {
    let program = try LeakingProgram(.big(mebibytes: 48))
    let look = try Look(program)
    let held = try look.figure("held_bytes")
    #expect((48 << 20...(48 << 20) + 512).contains(held))
    let blocks = try look.figure("held_blocks")
    // Each has a size word and is rounded up to 16 bytes.
    #expect((held + 8 * blocks...held + 24 * blocks + 100_000).contains(look.inUse))
    #expect(look.anonymousKiB > 48 << 10)
    #expect(try program.close() == .exit(0))
  }
}
