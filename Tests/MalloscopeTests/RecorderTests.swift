// The recorder's table must be the truth, and programs must not notice it.

import HeapModel
import TestKit
import Testing

@Suite("The recorder knows every live allocation")
struct RecorderTests {
  @Test(
    "its table is what the scenario holds, and one vector for each thread",
    arguments: [
      ("main-only", 0), ("threads", 4), ("two-heaps", 1), ("mmaps", 0), ("foreign-sbrk", 0),
      ("blocked-brk", 0), ("trim", 0), ("fastbins", 0),
      // The fifth thread is given the stack and the vector of the one that ended.
      ("everything", 4),
    ])
  func tableEqualsLedger(scenario: String, threads: Int) throws {
    let launch = ChildProcess.Launch(try BuildProduct.heapScenario.path(), [scenario])
    let run = try RecordedRun(launch, directory: try TemporaryDirectory())
    let oracle = try run.program.waitForOracle()
    try run.waitUntilQuiescent()
    let recorded = try run.allocations()
    let held = oracle.live.merging(oracle.libc) { first, _ in first }
    #expect(held.allSatisfy { recorded.live[$0.key] == $0.value })
    // pthread_create allocates the vector of thread-local storage, 280 bytes in this glibc.
    let others = recorded.live.filter { held[$0.key] == nil }
    #expect(others.values.sorted() == [UInt64](repeating: 280, count: threads))
    #expect(recorded.unknownFrees == 0)
    #expect(try run.program.close() == .exit(0))
  }

  @Test("it keeps up with threads that replace blocks without pause")
  func tableSurvivesChurn() throws {
    let launch = ChildProcess.Launch(
      try BuildProduct.heapScenario.path(), ["churn", "4", "20000", "400"])
    let run = try RecordedRun(launch, directory: try TemporaryDirectory())
    let oracle = try run.program.waitForOracle()
    #expect(oracle.held?.count == 20_000)
    _ = try run.program.ask()
    // Ended, it has given its threads up but freed none of its blocks.
    #expect(try run.program.close() == .exit(0))
    let recorded = try run.allocations()
    #expect((20_000...20_004).contains(recorded.live.count))
    #expect(recorded.unknownFrees == 0)
  }

  @Test("real programs reach a quiet moment under it", arguments: RecordedProgram.allCases)
  func realProgramsRun(program: RecordedProgram) throws {
    let run = try program.start()
    let recorded = try run.allocations()
    #expect(recorded.live.count > 100)
    #expect(recorded.live.keys.allSatisfy { $0.bits % 16 == 0 })
    #expect(recorded.live.values.allSatisfy { $0 >= 24 && $0 % 8 == 0 })
    // Nothing moves while it waits.
    #expect(try run.allocations().sequence == recorded.sequence)
    #expect(try run.program.close() == .exit(0))
  }

  @Test(
    "programs write the same and end the same with it as without",
    arguments: [
      ("bash", ["-c", "a=(1 2 3); echo ${a[@]} $(echo sub) | cat; exit 3"]),
      ("perl", ["-e", "print join(',', map { $_ * $_ } 1 .. 1000); exit 4"]),
      ("python3", ["-I", "-c", "print(sum(len(str(i) * 9) for i in range(20000))); exit(5)"]),
      ("sqlite3", [":memory:", "create table t(a); insert into t values (1); select * from t"]),
      ("git", ["--no-pager", "help", "-g"]),
    ])
  func programsDoNotNotice(name: String, arguments: [String]) throws {
    let directory = try TemporaryDirectory()
    let program = try installedProgram(name)
    let plain = try ToolRun(executable: program, arguments)
    let recorded = try ToolRun(
      executable: program, arguments,
      environment: [
        "LD_PRELOAD": try BuildProduct.allocationRecorder.path(),
        "MALLOSCOPE_RECORD": directory.file("allocations"),
      ])
    #expect(recorded.output == plain.output)
    #expect(recorded.error == plain.error)
    #expect(recorded.ending == plain.ending)
    let table = try RecordedAllocations(path: directory.file("allocations"))
    #expect(table.sequence > 0)
    // A child that such a program forks stops recording, so nobody freed what it did not hold.
    #expect(table.unknownFrees == 0)
  }

  @Test("all ways to allocate give what they promise, recorded or not", arguments: [true, false])
  func everyFunctionWorks(isRecorded: Bool) throws {
    let directory = try TemporaryDirectory()
    var launch = ChildProcess.Launch(try CompiledProgram.path("AllocationCalls.c"))
    launch.environment["LD_PRELOAD"] = try BuildProduct.allocationRecorder.path()
    if isRecorded { launch.environment["MALLOSCOPE_RECORD"] = directory.file("allocations") }
    let program = try TargetProgram(launch)
    let oracle = try program.waitForOracle()
    #expect(!oracle.live.isEmpty)
    if isRecorded {
      let recorded = try RecordedAllocations(path: directory.file("allocations"))
      #expect(oracle.live.allSatisfy { recorded.live[$0.key] == $0.value })
      #expect(recorded.live.count - oracle.live.count <= 1)
    }
    #expect(try program.close() == .exit(0))
  }
}
