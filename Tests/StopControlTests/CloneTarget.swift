// What the tests of cloning have in common: a target, its clone, and what must be left of both.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import StopControl
import TestKit
import Testing

/// A program under `StopTargets`, started and ready.
struct CloneTarget {
  static let patience = Duration.seconds(30)

  let child: ChildProcess
  /// What it said beside being ready.
  let words: [Substring]

  var pid: Int32 { child.pid }

  init(_ name: String, _ arguments: [String] = []) throws {
    let program = try CompiledProgram.path("StopTargets/\(name).c")
    child = try ChildProcess(ChildProcess.Launch(program, arguments))
    words = try child.readLine(by: Deadline(in: Self.patience), waitingFor: "ready")
      .split(separator: " ")
    #expect(words.first == "ready")
  }

  /// Takes a program that is started already.
  init(_ child: ChildProcess) {
    self.child = child
    words = []
  }

  func process() throws -> LinuxProcess { try LinuxProcess.inspect(pid) }

  func clone() throws -> ProcessClone {
    let process = try process()
    return try ProcessClone(
      of: process, keeper: keeperProgram(), room: CloneRoom(for: process))
  }

  /// What it answers to a line.
  func ask() throws -> String {
    try child.write("\n")
    return try nextLine()
  }

  func nextLine() throws -> String {
    try child.readLine(by: Deadline(in: Self.patience), waitingFor: "an answer")
  }

  /// Checks that it is as if nothing had been done to it.
  func expectUntouched(at location: SourceLocation = #_sourceLocation) throws {
    #expect(childrenOf(pid) == [], sourceLocation: location)
    #expect(try process().tracerPID == 0, sourceLocation: location)
    #expect(!"tT".contains(try process().status.state), sourceLocation: location)
  }
}

/// The tool as keeper.
func keeperProgram() throws -> KeeperProgram {
  KeeperProgram(path: try BuildProduct.malloscope.path(), arguments: ["clone-keeper"])
}

/// The children of a process, living or ended.
func childrenOf(_ pid: Int32) -> [Int32] {
  let proc = ProcFileSystem()
  let threads = (try? proc.numbers(in: proc.path(pid, "task"))) ?? []
  return threads.flatMap { tid in
    ((try? proc.text(proc.path(pid, "task/\(tid)/children"))) ?? "").split(separator: " ")
      .compactMap { Int32($0) }
  }
}

/// What the status file of a process says, nil if there is none.
func statusOf(_ pid: Int32) -> ProcessStatus? {
  let proc = ProcFileSystem()
  return (try? proc.text(proc.path(pid, "status"))).flatMap(ProcessStatus.init(parsing:))
}

/// Whether a process is there and has not ended.
func isAlive(_ pid: Int32) -> Bool { statusOf(pid).map { !$0.hasEnded } ?? false }

/// Polls until `condition` holds, and returns whether it came to.
func comes(
  within patience: Duration = CloneTarget.patience, _ condition: () throws -> Bool
) rethrows -> Bool {
  let deadline = Deadline(in: patience)
  while try !condition() {
    if deadline.hasPassed { return false }
    usleep(500)
  }
  return true
}
