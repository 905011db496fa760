// The hidden verb that is the process which clones the target and keeps the clone.

import ArgumentParser
import Glibc
import StopControl

struct CloneKeeperCommand: ParsableCommand {
  /// The verb's name, by which a capture starts this program again.
  static let verb = "clone-keeper"

  static let configuration = CommandConfiguration(
    commandName: verb, abstract: "The process that keeps the clone of --capture fork.",
    shouldDisplay: false)

  @Argument(help: "The process to clone.")
  var pid: Int32

  @Argument(help: "When it started, in clock ticks since the machine did.")
  var startTime: UInt64

  @Option(help: "Clean up after a keeper that was started then and killed; clone nothing.")
  var after: UInt64?

  func validate() throws {
    if pid <= 0 { throw ValidationError("a process id is above 0") }
    // It goes on until its input ends, deaf to Ctrl-C.
    if isatty(0) != 0 { throw ValidationError("\(Self.verb) is not for use by hand") }
  }

  func run() throws {
    CloneKeeper(pid: pid, startTime: startTime).run(cleaningUpSince: after)
  }
}

extension KeeperProgram {
  /// This program as keeper.
  static let malloscope = KeeperProgram(arguments: [CloneKeeperCommand.verb])
}
