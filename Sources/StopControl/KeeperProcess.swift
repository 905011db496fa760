// The tool's side of the process that keeps a clone: starting it, hearing it, and waiting for its end.

import CPtrace
import LinuxTarget

#if canImport(Glibc)
  import Glibc
#endif

/// How to start the process that keeps a clone.
package struct KeeperProgram: Hashable, Sendable {
  /// The path of the executable.
  package var path: String
  /// The arguments before those that say which process.
  package var arguments: [String]

  /// Makes a description.
  package init(path: String = "/proc/self/exe", arguments: [String]) {
    self.path = path
    self.arguments = arguments
  }
}

/// A running keeper: told to clean up, and waited for, at the latest when this value goes.
struct KeeperProcess: ~Copyable {
  /// When it was started, in clock ticks since the machine was.
  let startTime: UInt64
  private let pid: Int32
  private var input: Int32
  private let output: Int32
  private var hasEnded = false
  private var unread: [UInt8] = []

  /// How often it is looked whether the user wants us to stop, in milliseconds.
  private static let interval: Int32 = 20

  /// Starts `program` with further arguments.
  init(_ program: KeeperProgram, _ arguments: [String]) throws(CloneError) {
    var down: [Int32] = [-1, -1]
    var up: [Int32] = [-1, -1]
    guard unsafe pipe(&down) == 0 else { throw .keeperNotStarted(call: "pipe", errno: errno) }
    guard unsafe pipe(&up) == 0 else {
      let number = errno
      for end in down { close(end) }
      throw .keeperNotStarted(call: "pipe", errno: number)
    }
    // The keeper must not hold our ends, or closing them would tell it nothing.
    for end in down + up { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let (pid, failure) = Self.spawn(program, arguments, input: down[0], output: up[1])
    close(down[0])
    close(up[1])
    guard failure == 0 else {
      close(down[1])
      close(up[0])
      throw .keeperNotStarted(call: "posix_spawn \(program.path)", errno: failure)
    }
    self.pid = pid
    // Its file is there until we wait for it.
    let proc = ProcFileSystem()
    let stat = (try? proc.text(proc.path(pid, "stat"))).flatMap(ProcessStat.init(parsing:))
    startTime = stat?.startTime ?? .max
    input = down[1]
    output = up[0]
  }

  deinit {
    if input >= 0 { close(input) }
    // What it still has to say is not waited for.
    close(output)
    if !hasEnded { Self.wait(for: pid) }
  }

  /// The next thing that it says, nil if it says nothing more.
  ///
  /// - Throws: `CloneError.notStopped(.interrupted)` if the user wants us to stop and `mayGiveUp`, or
  ///   that it is not understood.
  mutating func next(mayGiveUp: Bool) throws(CloneError) -> KeeperMessage? {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: unread[..<end], as: UTF8.self)
        unread.removeFirst(end + 1)
        guard let message = KeeperMessage(line: line) else {
          throw .keeperUnintelligible(line: line)
        }
        return message
      }
      let signal = cpt_interrupted()
      if mayGiveUp, signal != 0 { throw .notStopped(.interrupted(signal: signal)) }
      var ready = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&ready, 1, Self.interval) > 0 else { continue }
      var piece = [UInt8](repeating: 0, count: 4096)
      let count = unsafe piece.withUnsafeMutableBytes { bytes in
        unsafe cpt_read(output, bytes.baseAddress, bytes.count)
      }
      guard count > 0 else { return nil }
      unread += piece.prefix(Int(count))
    }
  }

  /// Tells it to clean up.
  mutating func dismiss() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// Waits until it has ended; it must have been dismissed, or have said all.
  mutating func waitForEnd() {
    if !hasEnded { Self.wait(for: pid) }
    hasEnded = true
  }

  private static func wait(for pid: Int32) {
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }

  /// Starts the program in a process group of its own, deaf to signals, and returns its id or an errno.
  ///
  /// Not in a session: the kernel schedules sessions against each other (sched(7), autogroup), and on a
  /// busy machine one of two keepers then waited up to a minute for a processor, with the target
  /// stopped.
  private static func spawn(
    _ program: KeeperProgram, _ further: [String], input: Int32, output: Int32
  ) -> (pid: Int32, errno: Int32) {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &all)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

    let words = ["malloscope"] + program.arguments + further
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe pointers.forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let failure = unsafe posix_spawn(
      &pid, program.path, &actions, &attributes, &pointers, environ)
    return (pid, failure)
  }
}
