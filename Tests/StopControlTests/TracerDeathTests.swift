// What becomes of a signal when the tracer dies while a thread is about to receive it.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

private let patience = Duration.seconds(30)

@Suite("The end of a tracer", .serialized)
struct TracerDeathTests {
  /// Attaches to all threads, of which any may take a signal of their process, has one stop for it, and
  /// ends without letting it go, as a tool that is killed does; returns whether one has so stopped.
  private func dieHolding(_ pid: Int32, signal: Int32, looks: Int) throws -> Bool {
    let proc = ProcFileSystem()
    let threads = try proc.numbers(in: proc.path(pid, "task"))
    return TracerThread.run { () -> Bool in
      for tid in threads where cpt_seize(tid) != 0 { return false }
      guard kill(pid, signal) == 0 else { return false }
      let deadline = Deadline(in: patience)
      var stop = cpt_stop()
      while !deadline.hasPassed {
        if let tid = threads.first(where: { cpt_wait($0, 0, &stop) == 1 }) {
          for _ in 0..<looks where cpt_wait(tid, 0, &stop) != 1 { return false }
          return stop.event == 0 && stop.signal == signal
        }
        cpt_pause(50_000)
      }
      return false
    }
  }

  @Test("a signal that was about to be delivered is delivered then", arguments: 0...2)
  func signal(looks: Int) throws {
    let program = try CompiledProgram.path("StopTargets/signals.c")
    let child = try ChildProcess(ChildProcess.Launch(program))
    _ = try child.readLine(by: Deadline(in: patience), waitingFor: "ready")
    func received() throws -> Int {
      try child.write("count\n")
      let words = try child.readLine(by: Deadline(in: patience)).split(separator: " ")
      return try #require(Int(words[0]))
    }
    // The first real-time signal that glibc leaves to programs.
    let signal: Int32 = 34
    for round in 1...20 {
      #expect(try dieHolding(child.pid, signal: signal, looks: looks))
      let deadline = Deadline(in: patience)
      while try received() < round, !deadline.hasPassed { usleep(500) }
      #expect(try received() == round)
    }
    #expect(try LinuxProcess.inspect(child.pid).tracerPID == 0)
    #expect(try child.finish(by: Deadline(in: patience)) == .exit(0))
  }
}
