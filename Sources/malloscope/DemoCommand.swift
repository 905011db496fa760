// The verb `demo`: a leaking program of our own, looked at from outside.

import ArgumentParser
import Glibc
import HeapModel
import LinuxTarget
import Reports

struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Starts a small leaking program of our own, attaches to it and shows its heap.",
    discussion: """
      The program has four threads that allocate, free and leak in a known pattern. After the \
      histogram, what it says of itself is compared with what was found from outside.
      """)

  @OptionGroup var show: ShowOptions
  @OptionGroup var capture: CaptureOptions

  func validate() throws {
    if show.arena != nil { throw ValidationError("the demo shows its whole heap: no --arena") }
    try show.requireUsualFormat()
  }

  func run() throws {
    var output = try Output(path: show.output, force: show.force)
    var child = try DemoChild()
    defer { child.end() }
    let planted = try child.waitUntilReady()
    let process: LinuxProcess
    do throws(TargetError) {
      process = try LinuxProcess.inspect(child.pid)
    } catch {
      throw Failure(error)
    }
    let report = try malloscope.capture(process, CaptureRequest(show, capture))
    switch show.usualFormat {
    case .text:
      try TextHistogram.write(report, options: show.reportOptions(), to: &output)
      try write(comparison(of: planted, with: report.snapshot), to: &output)
    case .json: try JSONReports.writeHistogram(report, tool: .malloscope, to: &output)
    case .csv: try CSVReports.writeHistogram(report, to: &output)
    }
    try output.close()
    try conclude(report, show)
    guard planted.allSatisfy({ $0.isFound(in: report.snapshot) }) else {
      throw Failure(
        code: .internalError, fact: "what was found is not what the demo's program planted",
        hints: ["report this with the output of: malloscope demo -v --bytes"])
    }
  }

  private func write(_ lines: [String], to output: inout Output) throws(Failure) {
    let bytes = Array(lines.joined(separator: "\n").utf8) + [UInt8(ascii: "\n")]
    try output.write(bytes.span)
  }

  /// What the program planted beside what was found.
  private func comparison(of planted: [DemoPattern], with snapshot: HeapSnapshot) -> [String] {
    var lines = ["", "What the program says it holds, and what was found from outside:"]
    for pattern in planted {
      let found = pattern.found(in: snapshot)
      let verdict = pattern.isFound(in: snapshot) ? "exact" : "differs"
      lines.append(
        "  \(pattern.name): \(pattern.held) chunks of \(pattern.chunkSize) bytes; "
          + "found \(found) (\(verdict))")
    }
    return lines
  }
}

/// What the demo's program does with one size of chunk.
struct DemoPattern {
  /// What the chunks stand for.
  var name: String
  /// The size that is asked of malloc, in bytes: none that the Swift runtime happens to use.
  var request: Int
  /// How many are allocated.
  var allocated: Int
  /// Of how many one is kept; the others are freed again.
  var keepsOneOf: Int

  /// How many are held in the end.
  var held: Int { (allocated + keepsOneOf - 1) / keepsOneOf }
  /// The chunk size that the request leads to: the request and 8 bytes, in multiples of 16; large
  /// requests get a mapping of their own, with 16 bytes of header, in whole pages.
  var chunkSize: UInt64 {
    let bytes = UInt64(request)
    guard bytes >= 128 << 10 else { return (bytes + 8 + 15) & ~15 }
    let page = UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE))))
    return (bytes + 16 + page - 1) & ~(page - 1)
  }

  /// How many chunks of this size were found in use.
  func found(in snapshot: HeapSnapshot) -> Int {
    snapshot.sizes.first { $0.size == chunkSize }?.inUse ?? 0
  }

  /// Whether as many were found as are held.
  func isFound(in snapshot: HeapSnapshot) -> Bool { found(in: snapshot) == held }

  /// What each of the threads does.
  static let all = [
    DemoPattern(name: "leaked sessions", request: 6_008, allocated: 2_000, keepsOneOf: 1),
    DemoPattern(name: "half-freed requests", request: 9_016, allocated: 1_000, keepsOneOf: 2),
    DemoPattern(name: "cached pages", request: 300_000, allocated: 3, keepsOneOf: 1),
  ]
  /// How many threads do it.
  static let threads = 4
}

/// The demo's program, running as a child of ours until it is ended.
private struct DemoChild {
  let pid: Int32
  private var input: Int32
  private let output: Int32
  private var hasEnded = false

  /// Starts this same executable with the hidden verb.
  init() throws(Failure) {
    var toChild: [Int32] = [-1, -1]
    var fromChild: [Int32] = [-1, -1]
    guard unsafe pipe(&toChild) == 0, unsafe pipe(&fromChild) == 0 else {
      throw Failure(code: .inputOutput, fact: "cannot make a pipe (errno \(errno))")
    }
    // The child must not hold our ends, or closing them would not end it.
    for descriptor in toChild + fromChild { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = [
      unsafe strdup("malloscope"), unsafe strdup(DemoTargetCommand.verb), nil,
    ]
    defer { arguments.forEach { unsafe free($0) } }
    // By its own name, so that the demo's process is called after it.
    let path = CommandLine.ownPath ?? "/proc/self/exe"
    let error = unsafe posix_spawn(&pid, path, &actions, nil, &arguments, environ)
    close(toChild[0])
    close(fromChild[1])
    guard error == 0 else {
      throw Failure(code: .inputOutput, fact: "cannot start the demo's program (errno \(error))")
    }
    self.pid = pid
    input = toChild[1]
    output = fromChild[0]
  }

  /// Waits until the program has planted everything, and returns what.
  func waitUntilReady() throws(Failure) -> [DemoPattern] {
    var byte: UInt8 = 0
    var count = read(output, &byte, 1)
    while count < 0, errno == EINTR { count = read(output, &byte, 1) }
    guard count == 1 else {
      throw Failure(code: .internalError, fact: "the demo's program ended before it was ready")
    }
    return DemoPattern.all.map { pattern in
      var total = pattern
      total.allocated *= DemoPattern.threads
      return total
    }
  }

  /// Ends the program and fetches its status.
  mutating func end() {
    guard !hasEnded else { return }
    hasEnded = true
    close(input)
    close(output)
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }
}

extension CommandLine {
  /// The path of this executable, nil if the kernel does not tell.
  fileprivate static var ownPath: String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { readlink("/proc/self/exe", $0, bytes.count) } ?? -1
    }
    guard count > 0, count < buffer.count else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}
