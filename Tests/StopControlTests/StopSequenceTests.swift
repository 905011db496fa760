// Stop after stop of a live child: what is counted, what is kept of the budget, and that the child runs
// in between.

import CPtrace
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

private let patience = Duration.seconds(30)

/// Why a test's own question failed.
private struct Doubt: Error, Equatable {}

@Suite("Stops in sequence", .serialized)
struct StopSequenceTests {
  /// A program whose busy threads count.
  private func start(threads: Int = 11) throws -> ChildProcess {
    let program = try CompiledProgram.path("StopTargets/threads.c")
    let child = try ChildProcess(ChildProcess.Launch(program, ["\(threads - 1)"]))
    #expect(try child.readLine(by: Deadline(in: patience), waitingFor: "ready") == "ready")
    return child
  }

  private func count(_ child: ChildProcess) throws -> Int {
    try child.write("count\n")
    return try #require(Int(try child.readLine(by: Deadline(in: patience))))
  }

  private func isTraced(_ child: ChildProcess) throws -> Bool {
    try LinuxProcess.inspect(child.pid).tracerPID != 0
  }

  private func stop(
    _ sequence: StopSequence, attempts: Int = 1,
    isGood: ([ThreadState]) throws(Doubt) -> Bool = { _ throws(Doubt) in true }
  ) throws -> [ThreadState] {
    try sequence.stop(attempts: attempts, isGood: isGood)
  }

  @Test("each stop is counted, the longest and the sum are those of the stops")
  func accounting() throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid), budget: StopBudget(longestPause: nil))
    #expect(sequence.stops == 0 && sequence.totalStop == .zero)
    var before = Duration.zero
    for number in 1...5 {
      let threads = try stop(sequence)
      #expect(threads.count == 11 && sequence.threadCount == 11)
      #expect(try isTraced(child))
      // Without a budget no work is ever due to end.
      #expect(!sequence.isDue && sequence.stops == number)
      cpt_pause(Int64(number) * 2_000_000)
      sequence.letRun()
      #expect(try !isTraced(child))
      let length = sequence.totalStop - before
      before = sequence.totalStop
      #expect(length >= .milliseconds(2 * number) && length <= sequence.longestStop)
    }
    #expect(sequence.longestStop >= .milliseconds(10))
    #expect(sequence.longestStop < sequence.totalStop && sequence.totalStop >= .milliseconds(30))
    #expect(sequence.retries == 0 && sequence.findings.isEmpty)
    // A second call changes nothing.
    sequence.letRun()
    #expect(sequence.totalStop == before && sequence.stops == 5)
  }

  @Test("threads run between two stops and stand still in them")
  func running() throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid),
      budget: StopBudget(longestPause: .milliseconds(20), stoppedShare: 0.25))
    var last = try count(child)
    for _ in 0..<5 {
      _ = try stop(sequence)
      sequence.letRun()
      let deadline = Deadline(in: patience)
      var now = try count(child)
      while now <= last, !deadline.hasPassed { now = try count(child) }
      #expect(now > last)
      last = now
    }
  }

  @Test("a bad moment is left and tried again, as often as allowed", arguments: 0...6)
  func retried(badMoments: Int) throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid), budget: StopBudget(longestPause: nil))
    let attempts = 4
    var moments: [Int64] = []
    let threads = try stop(sequence, attempts: attempts) { threads throws(Doubt) in
      #expect(threads.count == 11)
      moments.append(cpt_now())
      return moments.count > badMoments
    }
    #expect(threads.count == 11)
    #expect(try isTraced(child))
    // The last moment is taken as it is.
    #expect(moments.count == min(badMoments + 1, attempts - 1))
    #expect(sequence.retries == min(badMoments, attempts - 1))
    #expect(sequence.stops == sequence.retries + 1)
    // The target ran for a millisecond before each new try.
    for (one, next) in zip(moments, moments.dropFirst()) { #expect(next - one >= 1_000_000) }
    sequence.letRun()
    #expect(try !isTraced(child))
  }

  @Test("a question that fails lets the process go")
  func failing() throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid), budget: StopBudget(longestPause: nil))
    do {
      _ = try sequence.stop(attempts: 3) { _ throws(Doubt) in throw Doubt() }
      Issue.record("the question's error must be thrown")
    } catch {
      switch error {
      case .other(let doubt): #expect(doubt == Doubt())
      case .stop(let fault): Issue.record("\(fault)")
      }
    }
    #expect(try !isTraced(child))
    #expect(sequence.stops == 1 && sequence.totalStop > .zero)
    _ = try count(child)
  }

  @Test("work is due to end in time to let the threads go within the pause")
  func pauses() throws {
    let child = try start()
    let pause = Duration.milliseconds(50)
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid),
      budget: StopBudget(longestPause: pause, stoppedShare: 1))
    var tooLong = 0
    for _ in 0..<10 {
      let before = sequence.totalStop
      _ = try stop(sequence)
      #expect(!sequence.isDue)
      while !sequence.isDue { cpt_pause(100_000) }
      sequence.letRun()
      let length = sequence.totalStop - before
      #expect(length > pause / 4)
      // Others may have our processor at the wrong moment.
      if length > pause { tooLong += 1 }
    }
    #expect(tooLong <= 2)
    // Where the preparation takes all the time, work still gets some.
    _ = try stop(sequence)
    while !sequence.isDue { cpt_pause(100_000) }
    sequence.beginWork()
    #expect(!sequence.isDue)
    sequence.letRun()
  }

  @Test("the share of the time in which the process stands still is kept", arguments: [0.5, 0.2])
  func share(share: Double) throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid),
      budget: StopBudget(longestPause: .milliseconds(8), stoppedShare: share))
    let start = cpt_now()
    let stops = 20
    var last = Duration.zero
    for _ in 0..<stops {
      let before = sequence.totalStop
      _ = try stop(sequence)
      while !sequence.isDue { cpt_pause(50_000) }
      sequence.letRun()
      last = sequence.totalStop - before
    }
    let elapsed = Duration.nanoseconds(cpt_now() - start)
    // Behind each stop but the last it ran so many times its length.
    let rest = (sequence.totalStop - last) * ((1 - share) / share)
    #expect(elapsed >= sequence.totalStop + rest)
    // And not for ever: what is added is stopping the threads, and others on our processors.
    #expect(elapsed < (sequence.totalStop + rest) * 3 + .seconds(1))
  }

  @Test("a process that ends between two stops is an error")
  func ended() throws {
    let child = try start()
    let sequence = StopSequence(
      try LinuxProcess.inspect(child.pid), budget: StopBudget(longestPause: .milliseconds(5)))
    _ = try stop(sequence)
    sequence.letRun()
    #expect(try child.finish(by: Deadline(in: patience)) == .exit(0))
    do {
      _ = try sequence.stop(attempts: 2) { _ throws(Doubt) in true }
      Issue.record("the process has ended")
    } catch {
      switch error {
      case .stop(let fault): #expect(fault == .processEnded(pid: child.pid))
      case .other: Issue.record("nobody was asked")
      }
    }
    #expect(sequence.stops == 1)
  }

  @Test("a thread that does not stop is waited for once, named once, and let go when it stops")
  func lateThread() throws {
    let program = try CompiledProgram.path("StopTargets/vforker.c")
    let child = try ChildProcess(ChildProcess.Launch(program))
    #expect(try child.readLine(by: Deadline(in: patience), waitingFor: "ready") == "ready")
    let process = try LinuxProcess.inspect(child.pid)
    try TracerThread.run { () throws in
      let sequence = StopSequence(
        process, budget: StopBudget(longestPause: .milliseconds(5)))
      for number in 1...20 {
        #expect(try stop(sequence).isEmpty)
        #expect(sequence.stops == number && sequence.findings.count == 1)
        sequence.letRun()
      }
      #expect(sequence.findings.map(\.kind) == [.threadNotStopped])
      // 20 stops of 100 ms, if each waited for it.
      #expect(sequence.totalStop < .milliseconds(500))
      // Its child ends, and it stops instead of running on, until we attend to it.
      try child.write("\n")
      let deadline = Deadline(in: patience)
      while try LinuxProcess.inspect(child.pid).tracerPID != 0, !deadline.hasPassed {
        sequence.attend()
        cpt_pause(1_000_000)
      }
      #expect(try child.readLine(by: Deadline(in: patience)) == "resumed")
      #expect(try stop(sequence).count == 1 && sequence.findings.count == 1)
      sequence.letRun()
    }
    try child.write("\n")
    #expect(try child.readLine(by: Deadline(in: patience)) == "alive")
  }
}

@Suite("The budget of stops")
struct StopBudgetTests {
  private let millisecond: Int64 = 1_000_000

  @Test("without a longest pause no work is due to end")
  func unbounded() {
    let budget = StopBudget(longestPause: nil)
    #expect(budget.workEnd(began: 5, now: 7, release: 3) == .max)
  }

  @Test("work ends within the pause, the earlier the longer the release takes")
  func planned() {
    let budget = StopBudget(longestPause: .milliseconds(10))
    let began = 1000 * millisecond
    let end = budget.workEnd(began: began, now: began, release: 0)
    #expect(end > began + 5 * millisecond && end < began + 10 * millisecond)
    for release in [1, 2, 3] as [Int64] {
      let earlier = budget.workEnd(began: began, now: began, release: release * millisecond)
      #expect(earlier == end - release * millisecond)
    }
  }

  @Test("work always gets a part of the pause, however late it begins")
  func least() {
    let budget = StopBudget(longestPause: .milliseconds(10))
    for late in [0, 6, 10, 100, 5000] as [Int64] {
      for release in [0, 50] as [Int64] {
        let now = late * millisecond
        let end = budget.workEnd(began: 0, now: now, release: release * millisecond)
        #expect(end >= now + millisecond && end <= max(10 * millisecond, now + 5 * millisecond))
      }
    }
    // As long as a duration can be.
    let long = StopBudget(longestPause: .seconds(200_000_000))
    #expect(long.workEnd(began: millisecond, now: millisecond, release: 0) > millisecond)
  }

  @Test("the process runs as long as the share asks for")
  func rest() {
    let length = 10 * millisecond
    func rest(_ share: Double) -> Int64 {
      StopBudget(longestPause: nil, stoppedShare: share).rest(after: length)
    }
    #expect(rest(0.5) == length && rest(1) == 0 && rest(0.25) == 3 * length)
    #expect(abs(rest(0.1) - 9 * length) <= 10 && abs(rest(0.01) - 99 * length) <= 1000)
    // What is no share becomes the nearest.
    #expect(rest(0) == rest(0.01) && rest(-3) == rest(0.01) && rest(7) == 0)
    #expect(StopBudget(longestPause: nil).rest(after: 0) == 0)
    #expect(StopBudget(longestPause: nil) == StopBudget(longestPause: nil, stoppedShare: 0.5))
  }
}
