// The executable: what happens before any verb, and how every run ends.

import ArgumentParser
import CPtrace
import Glibc

@main
enum Malloscope {
  static func main() {
    // Before anything else: the Swift runtime's crash reporter would wait for a key on a terminal,
    // and a target that we had stopped would wait with it.
    _ = cpt_reset_fatal_signals()
    _ = cpt_catch_interrupts()
    // Before there is a second thread: stops are waited for by it.
    _ = cpt_hold_child_signal()
    occupyStandardDescriptors()
    do {
      var command = try MalloscopeCommand.parseAsRoot(nil)
      try command.run()
    } catch let failure as Failure {
      failure.print()
      exit(failure.code.rawValue)
    } catch {
      let code = MalloscopeCommand.exitCode(for: error)
      guard code.rawValue == Failure.Code.usage.rawValue else {
        MalloscopeCommand.exit(withError: error)
      }
      let message = MalloscopeCommand.fullMessage(for: error)
      let ours = message.hasPrefix("Error: ") ? "malloscope: " + message.dropFirst(7) : message
      StandardError.write(ours)
      exit(code.rawValue)
    }
    guard cpt_interrupted() == 0 else {
      Failure.interrupted.print()
      exit(Failure.Code.interrupted.rawValue)
    }
    exit(0)
  }
}

/// Opens the standard descriptors that whoever started us has closed.
///
/// Else files of ours would get their numbers. Writing to the output still fails.
private func occupyStandardDescriptors() {
  for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
    // The lowest free number is the one that is missing.
    _ = open("/dev/null", descriptor == 1 ? O_RDONLY : O_RDWR)
  }
}

/// The command line's root: verbs, of which `histogram` need not be named.
struct MalloscopeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "malloscope",
    abstract: "Shows the glibc heap of a live process from outside.",
    usage: """
      malloscope PID [options]
      malloscope VERB SOURCE [options]
      """,
    discussion: """
      SOURCE is a process id, --name REGEX, or --container ID. The target is stopped while its heap \
      is read, for at most 5 ms at once (--max-pause), and runs on whatever happens to malloscope. \
      Nothing is written to it, but for --capture fork, which runs a system call in it.

      A process whose malloc is not glibc's is refused by name, with what is still true of its memory. \
      If glibc's own malloc holds something in it nevertheless (more than 1 MiB in use, and more than \
      1 % of the process's anonymous memory), that is shown, and the other one named among the findings.

      Exit codes: 0 done; 1 watch saw more growth than --fail-above allows; 2 done but incomplete \
      (damaged or unreadable parts, see the findings); \
      64 usage; 66 no such process or file; 69 the target cannot be read by this tool; 70 an error \
      of malloscope's own; 74 input or output; 77 not permitted; 130 interrupted.
      """,
    version: Version.text,
    subcommands: [
      HistogramCommand.self, WatchCommand.self, TypesCommand.self, ChunksCommand.self,
      ArenasCommand.self, DoctorCommand.self, DemoCommand.self, DemoTargetCommand.self,
      CloneKeeperCommand.self,
    ],
    defaultSubcommand: HistogramCommand.self)
}
