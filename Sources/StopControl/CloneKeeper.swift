// The process that clones the target and keeps the clone: what it does from start to end.
//
// It is a process of its own, in a group of its own and with all signals blocked, so that whatever
// happens to the tool, be it SIGKILL, finds nothing half done: the end of its standard input says that
// the tool is done or dead, and then it cleans up. It is started before the target is stopped.

import CPtrace
import HeapModel
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// The work of the process that keeps a clone.
package struct CloneKeeper {
  /// The longest that a clone is kept, in nanoseconds: a quarter of an hour, in which some hundred GB
  /// can be read.
  private static let patience: Int64 = 900_000_000_000
  /// How often it is looked whether the clone still lives, in milliseconds.
  private static let interval: Int32 = 20
  /// The name by which it can be found, which is not the tool's.
  private static let name = "clone-keeper"

  private let pid: Int32
  private let startTime: UInt64

  /// Prepares for the process `pid` that started at `startTime`.
  package init(pid: Int32, startTime: UInt64) {
    self.pid = pid
    self.startTime = startTime
  }

  /// Makes a clone and keeps it until standard input ends, or cleans up after a keeper that was started
  /// at `otherStart` and killed.
  ///
  /// It says on standard output how that went. Not to be called in a process that does anything else.
  package func run(cleaningUpSince otherStart: UInt64? = nil) {
    _ = cpt_block_signals()
    cpt_close_from(3)
    unsafe cpt_set_name(Self.name)
    let process: LinuxProcess
    do throws(CloneError) {
      process = try inspect()
    } catch {
      return say(.failed(error))
    }
    if let otherStart {
      let reaper = CloneReaper(process)
      let (stop, left) = reaper.reap(reaper.remnants(since: otherStart))
      return say(.ended(stop: stop, left: left))
    }
    var family = CloneFamily(process)
    do throws(CloneError) {
      try refuse(process)
      let birth = try family.give()
      report(birth)
      keep(&family)
    } catch {
      say(.failed(error))
    }
    let (stop, left) = family.end()
    say(.ended(stop: stop, left: left))
  }

  private func inspect() throws(CloneError) -> LinuxProcess {
    guard cpt_can_make_calls() != 0 else { throw .unknownProcessor }
    let process: LinuxProcess
    do throws(TargetError) {
      process = try LinuxProcess.inspect(pid)
    } catch {
      if case .thirtyTwoBit = error { throw .noThread(pid: pid, .thirtyTwoBit) }
      throw .notStopped(.processEnded(pid: pid))
    }
    guard process.pid == pid, process.startTime == startTime else {
      throw .anotherProcess(pid: pid)
    }
    return process
  }

  /// Says what speaks against a clone that can be seen without stopping anything.
  private func refuse(_ process: LinuxProcess) throws(CloneError) {
    if process.status.state == "T" { throw .stoppedByJobControl(pid: pid) }
    for tid in (try? process.threadIDs()) ?? [] {
      let text = try? process.proc.text(process.proc.path(pid, "task/\(tid)/status"))
      if let status = text.flatMap(ProcessStatus.init(parsing:)), status.seccomp != .disabled {
        throw .filtered(pid: pid, tid: tid)
      }
    }
  }

  private func report(_ birth: CloneFamily.Birth) {
    var messages = birth.threads.map(KeeperMessage.thread)
    messages += birth.findings.map(KeeperMessage.finding)
    messages += birth.earlierStops.map(KeeperMessage.earlierStop)
    messages.append(
      .ready(
        clone: birth.pid, threadCount: birth.threadCount, stop: birth.stop,
        changed: birth.changed))
    say(messages)
  }

  /// Waits until standard input ends.
  private func keep(_ family: inout CloneFamily) {
    let end = cpt_now() + Self.patience
    var input = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    while cpt_now() < end {
      if unsafe poll(&input, 1, Self.interval) != 0 {
        var byte: UInt8 = 0
        if unsafe read(0, &byte, 1) <= 0 { return }
      }
      family.look()
    }
  }

  private func say(_ message: KeeperMessage) {
    say([message])
  }

  /// Writes lines to standard output; that nobody reads them any more is no reason not to go on.
  private func say(_ messages: [KeeperMessage]) {
    var rest = Array(messages.map { $0.line + "\n" }.joined().utf8)[...]
    while !rest.isEmpty {
      // Who reads nothing for so long is as good as dead.
      var output = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
      guard unsafe poll(&output, 1, 60_000) > 0 else { return }
      // A pipe that is ready takes this much without blocking.
      let piece = rest.prefix(4096)
      let count = unsafe piece.withUnsafeBytes { bytes in
        unsafe write(1, bytes.baseAddress, bytes.count)
      }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
