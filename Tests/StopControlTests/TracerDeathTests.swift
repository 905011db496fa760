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
  /// Attaches to the first thread, which takes the signals of its process, has it stop for one, and
  /// ends without letting it go, as a tool that is killed does; returns whether that is how it stopped.
  private func dieHolding(_ pid: Int32, signal: Int32, looks: Int) -> Bool {
    TracerThread.run { () -> Bool in
      guard cpt_seize(pid) == 0, kill(pid, signal) == 0 else { return false }
      let deadline = Deadline(in: patience)
      var stop = cpt_stop()
      while cpt_wait(pid, 0, &stop) == 0, !deadline.hasPassed { cpt_pause(50_000) }
      for _ in 0..<looks where cpt_wait(pid, 0, &stop) != 1 { return false }
      return stop.event == 0 && stop.signal == signal
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
      #expect(dieHolding(child.pid, signal: signal, looks: looks))
      let deadline = Deadline(in: patience)
      while try received() < round, !deadline.hasPassed { usleep(500) }
      #expect(try received() == round)
    }
    #expect(try LinuxProcess.inspect(child.pid).tracerPID == 0)
    #expect(try child.finish(by: Deadline(in: patience)) == .exit(0))
  }
}
