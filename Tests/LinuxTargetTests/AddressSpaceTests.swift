// Telling that a process has called exec.

import LinuxTarget
import TestKit
import Testing

@Suite("The address space that a reader opened")
struct AddressSpaceTests {
  private let patience = Duration.seconds(20)

  /// A program that starts itself again for each line.
  private func start(_ arguments: [String]) throws -> (ChildProcess, String) {
    let child = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/reexec.c"), arguments))
    return (child, try child.readLine(by: Deadline(in: patience)))
  }

  private func execAgain(_ child: ChildProcess) throws -> String {
    try child.write("\n")
    return try child.readLine(by: Deadline(in: patience), waitingFor: "its next start")
  }

  @Test("is in use until the process calls exec, or ends")
  func reexec() throws {
    let (child, _) = try start([])
    let process = try LinuxProcess.inspect(child.pid)
    let reader = LiveMemoryReader(process)
    for _ in 0..<3 {
      #expect(process.isStillTheSame())
      #expect(reader.isAddressSpaceInUse() == true)
    }
    _ = try execAgain(child)
    #expect(process.isStillTheSame())
    #expect(reader.isAddressSpaceInUse() == false)
    let after = LiveMemoryReader(try LinuxProcess.inspect(child.pid))
    #expect(after.isAddressSpaceInUse() == true)
    try child.finish(by: Deadline(in: patience))
    #expect(after.isAddressSpaceInUse() == false)
  }

  @Test("tells exec without address randomisation, too, when everything lies where it was")
  func reexecInPlace() throws {
    let (child, first) = try start(["fixed"])
    let reader = LiveMemoryReader(try LinuxProcess.inspect(child.pid))
    #expect(reader.isAddressSpaceInUse() == true)
    #expect(try execAgain(child) == first, "its stack is where it was")
    #expect(reader.isAddressSpaceInUse() == false)
  }
}
