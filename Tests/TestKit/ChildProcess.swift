// A process that a test starts: spawned, written to, read from, waited for, and never left behind.

package import Glibc
import Synchronization

/// A child of the test process, killed and reaped at the latest when the last reference goes.
///
/// Not thread-safe: one test owns it.
package final class ChildProcess {
  /// Where a standard stream of the child leads.
  package enum Stream: Hashable, Sendable {
    /// A pipe whose other end we hold.
    case pipe
    /// A file opened by name, for reading (standard input) or created for writing.
    case file(String)
    /// A pipe whose reader is already gone.
    case closedPipe
    /// A file without a name, whose content is read when the child has ended.
    case capture
    /// A terminal that all three streams share and of which we hold the other side.
    case terminal
  }

  /// How to start it.
  package struct Launch: Sendable {
    /// The program's path.
    package var executable: String
    /// Its arguments, without the program's name.
    package var arguments: [String] = []
    /// What is added to our own environment; nil removes a variable.
    package var environment: [String: String?] = [:]
    /// Its standard input.
    package var input = Stream.pipe
    /// Its standard output.
    package var output = Stream.pipe
    /// Its standard error.
    package var error = Stream.capture

    /// Makes a launch with pipes for input and output and a captured standard error.
    package init(_ executable: String, _ arguments: [String] = []) {
      self.executable = executable
      self.arguments = arguments
    }
  }

  /// Its process id.
  package let pid: pid_t
  /// The program's last path component, for messages.
  package let name: String
  private var inputEnd: Int32?
  private let outputEnd: Int32?
  private let errorEnd: Int32?
  private var ending: Ending?
  /// The most memory that it had resident, in bytes, once it has been waited for.
  ///
  /// wait4(2) counts the moment between spawn and exec too, in which it shares our memory: it is at
  /// least what we ourselves have had resident.
  package private(set) var peakResidentBytes: UInt64?
  /// How many seconds of a processor it and the children that it waited for have used, once it has been
  /// waited for.
  package private(set) var processorSeconds: Double?
  private var unread: [UInt8] = []

  /// Pipes are made and handed down under one lock, so that no other child inherits their ends: a
  /// pipe that a stranger holds open never reaches its end.
  private static let spawning = Mutex<Void>(())
  /// Writing to a child that has ended must be an error, not our death.
  private static let ignoresBrokenPipes: Bool = {
    signal(SIGPIPE, SIG_IGN)
    return true
  }()

  /// Starts the program.
  ///
  /// - Throws: `TestKitError.system` with the call that failed.
  package init(_ launch: Launch) throws(TestKitError) {
    precondition(Self.ignoresBrokenPipes)
    name = launch.executable.split(separator: "/").last.map(String.init) ?? launch.executable
    let streams: SpawnStreams
    do {
      (pid, streams) = try Self.spawning.withLock { _ throws(TestKitError) in
        var streams = try SpawnStreams(launch)
        defer { streams.closeChildEnds() }
        return (try spawn(launch, streams), streams)
      }
    }
    inputEnd = streams.ours[0]
    outputEnd = streams.ours[1]
    errorEnd = streams.ours[2]
  }

  deinit {
    closeInput()
    if ending == nil {
      kill(pid, SIGKILL)
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }
    for end in Set([outputEnd, errorEnd].compactMap { $0 }) { Glibc.close(end) }
  }

  /// Sends it a signal, unless it has been reaped.
  package func send(_ signal: Int32) {
    if ending == nil { kill(pid, signal) }
  }

  /// Writes all of `text` to its standard input.
  ///
  /// - Throws: `TestKitError.system`, for instance when it has ended.
  package func write(_ text: String) throws(TestKitError) {
    guard let inputEnd else {
      throw .system(call: "write", subject: "\(name)'s input", errno: EBADF)
    }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(inputEnd, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw .system(call: "write", subject: "\(name)'s input", errno: errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// Closes our end of its standard input, unless that is the terminal.
  package func closeInput() {
    if let end = inputEnd, end != outputEnd { Glibc.close(end) }
    inputEnd = nil
  }

  /// The next line that it writes, without its end.
  ///
  /// - Throws: `TestKitError.deadline`, or `TestKitError.ended` at the end of its output.
  package func readLine(
    by deadline: Deadline, waitingFor: String = "a line"
  ) throws(TestKitError) -> String {
    var searched = 0
    while true {
      if let end = unread[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: unread[..<end], as: UTF8.self)
        unread.removeFirst(end + 1)
        return line
      }
      searched = unread.count
      guard try fill(by: deadline, waitingFor: waitingFor) else {
        throw .ended(
          program: name, try waitForEnd(by: deadline), waitingFor: waitingFor,
          standardError: standardError)
      }
    }
  }

  /// All that it writes until it closes its output.
  ///
  /// - Throws: `TestKitError.deadline`.
  package func readToEnd(by deadline: Deadline) throws(TestKitError) -> String {
    while try fill(by: deadline, waitingFor: "the end of its output") {}
    defer { unread = [] }
    return String(decoding: unread, as: UTF8.self)
  }

  /// Takes more output in, and returns whether there was any.
  private func fill(by deadline: Deadline, waitingFor: String) throws(TestKitError) -> Bool {
    guard let outputEnd else { return false }
    var watched = pollfd(fd: outputEnd, events: Int16(POLLIN), revents: 0)
    while true {
      let ready = poll(&watched, 1, deadline.remainingMilliseconds)
      if ready < 0, errno == EINTR { continue }
      if ready == 0 {
        let seen = String(decoding: unread.suffix(2000), as: UTF8.self)
        throw .deadline(
          program: name, waitingFor: waitingFor, seen: seen + "\n" + standardError)
      }
      let count = withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
        let count = read(outputEnd, buffer.baseAddress, buffer.count)
        if count > 0 { unread += buffer.prefix(count) }
        return count
      }
      if count < 0, errno == EINTR { continue }
      // A terminal whose last user is gone reports an error instead of an end.
      return count > 0
    }
  }

  /// What it has written to its captured standard error so far.
  package var standardError: String {
    guard let errorEnd, errorEnd != outputEnd else { return "" }
    return captured(errorEnd)
  }

  /// What it has written to its captured standard output so far.
  package var capturedOutput: String { outputEnd.map(captured) ?? "" }

  private func captured(_ file: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    var text: [UInt8] = []
    while true {
      let count = pread(file, &bytes, bytes.count, off_t(text.count))
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += bytes.prefix(count)
    }
  }

  /// How it ended, if it has.
  package func endingIfAny() -> Ending? {
    if ending == nil {
      var status: Int32 = 0
      var usage = rusage()
      if wait4(pid, &status, WNOHANG, &usage) == pid {
        ending = Ending(waitStatus: status)
        peakResidentBytes = UInt64(clamping: usage.ru_maxrss) * 1024
        processorSeconds = [usage.ru_utime, usage.ru_stime].reduce(0) {
          $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6
        }
      }
    }
    return ending
  }

  /// Waits until it ends by itself, looking every `interval` microseconds.
  ///
  /// - Throws: `TestKitError.deadline`.
  package func waitForEnd(
    by deadline: Deadline, lookingEvery interval: UInt32 = 1000
  ) throws(TestKitError) -> Ending {
    while true {
      if let ending = endingIfAny() { return ending }
      if deadline.hasPassed {
        throw .deadline(program: name, waitingFor: "its end", seen: standardError)
      }
      usleep(interval)
    }
  }

  /// Closes its standard input and waits until it ends.
  ///
  /// - Throws: `TestKitError.deadline`.
  @discardableResult
  package func finish(by deadline: Deadline) throws(TestKitError) -> Ending {
    closeInput()
    return try waitForEnd(by: deadline)
  }
}
