// The part of starting a process that is all about C: descriptors, argument vectors, attributes.

import Glibc

/// The two ends of each standard stream of a child to be.
struct SpawnStreams {
  /// What the child gets, for input, output and error.
  private(set) var theirs: [Int32] = []
  /// What stays with us, if anything does.
  private(set) var ours: [Int32?] = []
  /// The terminal's name, if the child gets one.
  private(set) var terminal: String?

  /// Opens what `launch` asks for.
  init(_ launch: ChildProcess.Launch) throws(TestKitError) {
    let wanted = [launch.input, launch.output, launch.error]
    do throws(TestKitError) {
      for (index, stream) in wanted.enumerated() {
        try open(stream, isInput: index == 0)
      }
    } catch {
      closeChildEnds()
      for end in Set(ours.compactMap { $0 }) { close(end) }
      throw error
    }
  }

  /// Closes the child's ends once the child has them.
  mutating func closeChildEnds() {
    for end in Set(theirs) { close(end) }
    theirs = []
  }

  private mutating func open(
    _ stream: ChildProcess.Stream, isInput: Bool
  ) throws(TestKitError) {
    switch stream {
    case .pipe, .closedPipe:
      var ends: [Int32] = [-1, -1]
      guard Glibc.pipe(&ends) == 0 else {
        throw .system(call: "pipe", subject: "a child", errno: errno)
      }
      let (their, our) = isInput ? (ends[0], ends[1]) : (ends[1], ends[0])
      theirs.append(their)
      if stream == .pipe {
        ours.append(our)
      } else {
        close(our)
        ours.append(nil)
      }
    case .file(let path):
      let flags = isInput ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC
      let file = Glibc.open(path, flags, 0o600)
      guard file >= 0 else { throw .system(call: "open", subject: path, errno: errno) }
      theirs.append(file)
      ours.append(nil)
    case .capture:
      let file = try TemporaryDirectory.namelessFile()
      theirs.append(file)
      ours.append(dup(file))
    case .terminal:
      try shareTerminal()
    }
    for end in [theirs.last, ours.last ?? nil].compactMap({ $0 }) {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
  }

  private mutating func shareTerminal() throws(TestKitError) {
    if terminal == nil {
      var our: Int32 = -1
      var their: Int32 = -1
      var size = winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
      guard openpty(&our, &their, nil, nil, &size) == 0 else {
        throw .system(call: "openpty", subject: "a child", errno: errno)
      }
      var path = [CChar](repeating: 0, count: 256)
      ttyname_r(their, &path, path.count)
      terminal = path.withUnsafeBufferPointer { buffer in
        buffer.baseAddress.map { String(cString: $0) }
      }
      theirs.append(their)
      ours.append(our)
    } else if let their = theirs.last, let our = ours.last {
      theirs.append(their)
      ours.append(our)
    }
  }
}

/// Starts the program with the child's ends as its standard streams.
///
/// - Throws: `TestKitError.system`.
func spawn(
  _ launch: ChildProcess.Launch, _ streams: SpawnStreams
) throws(TestKitError) -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  if let terminal = streams.terminal {
    // Opened by name in the new session, so that it becomes the session's terminal.
    posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
  } else {
    for (index, end) in streams.theirs.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, end, Int32(index))
    }
  }

  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var signals = sigset_t()
  sigemptyset(&signals)
  posix_spawnattr_setsigmask(&attributes, &signals)
  // We ignore SIGPIPE; a child that inherited that would not end when its reader does.
  sigaddset(&signals, SIGPIPE)
  posix_spawnattr_setsigdefault(&attributes, &signals)
  // POSIX_SPAWN_SETSID, which the Glibc module does not show.
  let newSession: Int32 = streams.terminal == nil ? 0 : 0x80
  posix_spawnattr_setflags(
    &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | newSession))

  var pid: pid_t = 0
  let result = withCStrings([launch.executable] + launch.arguments) { arguments in
    withCStrings(environment(adding: launch.environment)) { environment in
      posix_spawn(&pid, launch.executable, &actions, &attributes, arguments, environment)
    }
  }
  guard result == 0 else {
    throw .system(call: "posix_spawn", subject: launch.executable, errno: result)
  }
  return pid
}

private func environment(adding changes: [String: String?]) -> [String] {
  var variables: [String] = []
  var entry = environ
  while let text = entry.pointee {
    let variable = String(cString: text)
    if !changes.keys.contains(where: { variable.hasPrefix($0 + "=") }) {
      variables.append(variable)
    }
    entry += 1
  }
  for case (let name, let value?) in changes { variables.append("\(name)=\(value)") }
  return variables
}

private func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let pointers = strings.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  return body(pointers)
}
