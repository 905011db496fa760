// Starting programs for the tests of Symbols: children to look at, and tools whose output is the
// oracle.

import Glibc
import HeapModel
import Testing

/// What went wrong while a test prepared itself.
enum PreparationError: Error {
  case cannotStart(path: String, errno: Int32)
  case failed(command: [String], status: Int32, output: String)
  case cannotRead(path: String, errno: Int32)
  case neverReady(path: String)
  case cannotWrite(path: String, errno: Int32)
}

/// A directory of temporary files, removed when its owner goes.
struct TemporaryDirectory: ~Copyable {
  let path: String

  init() throws {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/symbols.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw PreparationError.cannotWrite(path: parent, errno: errno)
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        _ = withUnsafePointer(to: &entry.pointee.d_name) { name in
          name.withMemoryRebound(to: CChar.self, capacity: 256) {
            unlinkat(dirfd(directory), $0, 0)
          }
        }
      }
      closedir(directory)
    }
    rmdir(path)
  }

  /// Writes a file and returns its path.
  func write(_ bytes: some Collection<UInt8>, as name: String) throws -> String {
    let file = "\(path)/\(name)"
    let number = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
    guard number >= 0 else { throw PreparationError.cannotWrite(path: file, errno: errno) }
    defer { close(number) }
    let all = Array(bytes)
    guard all.withUnsafeBytes({ Glibc.write(number, $0.baseAddress, $0.count) }) == all.count else {
      throw PreparationError.cannotWrite(path: file, errno: errno)
    }
    return file
  }

  /// Compiles C `source` with `command` and the arguments after it, and returns the result's path.
  func compile(
    _ source: String, as name: String, _ command: String, _ arguments: String...
  ) throws -> String {
    let input = try write(source.utf8, as: "\(name).c")
    let output = "\(path)/\(name)"
    _ = try run([command, "-w", "-O1", "-o", output, input] + arguments)
    return output
  }
}

/// The bytes of a file.
func contents(of path: String) throws -> [UInt8] {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { throw PreparationError.cannotRead(path: path, errno: errno) }
  defer { close(number) }
  var all: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(number, &piece, piece.count)
    guard count >= 0 else { throw PreparationError.cannotRead(path: path, errno: errno) }
    if count == 0 { return all }
    all += piece[..<count]
  }
}

/// Starts a program found in PATH and returns its pid.
private func spawn(
  _ command: [String], environment: [String], outputFile: String? = nil
) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  if let outputFile {
    posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
  }
  var arguments = command.map { strdup($0) } as [UnsafeMutablePointer<CChar>?] + [nil]
  var variables = environment.map { strdup($0) } as [UnsafeMutablePointer<CChar>?] + [nil]
  defer { (arguments + variables).forEach { free($0) } }
  var pid: pid_t = 0
  let result = posix_spawnp(&pid, command[0], &actions, nil, &arguments, &variables)
  guard result == 0 else { throw PreparationError.cannotStart(path: command[0], errno: result) }
  return pid
}

/// Our own environment variables that programs need.
private func inherited() -> [String] {
  ["PATH", "TMPDIR", "HOME"].compactMap { (name: String) -> String? in
    getenv(name).map { "\(name)=\(String(cString: $0))" }
  }
}

/// Runs a program to its end and returns what it printed.
func run(_ command: [String]) throws -> String {
  // A file rather than a pipe: children that other tests start meanwhile would keep a pipe open.
  let directory = try TemporaryDirectory()
  let outputFile = "\(directory.path)/output"
  let pid = try spawn(
    command, environment: inherited() + ["LC_ALL=C"], outputFile: outputFile)
  var status: Int32 = 0
  while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  let text = String(decoding: try contents(of: outputFile), as: UTF8.self)
  guard status == 0 else {
    throw PreparationError.failed(command: command, status: status, output: text)
  }
  return text
}

/// A child that has started up and now waits, ended when its owner goes.
struct WaitingChild: ~Copyable {
  let pid: Int32

  /// Starts a program that ends up waiting, and returns once it does.
  init(_ command: [String], environment: [String] = []) throws {
    // With an output of its own: should a test crash, the child must not keep ours open.
    let pid = try spawn(
      command, environment: inherited() + environment, outputFile: "/dev/null")
    do {
      let deadline = time(nil) + 20
      while try !Self.isWaiting(pid) {
        guard time(nil) < deadline else { throw PreparationError.neverReady(path: command[0]) }
        usleep(500)
      }
    } catch {
      Self.end(pid)
      throw error
    }
    self.pid = pid
  }

  deinit {
    Self.end(pid)
  }

  private static func end(_ pid: Int32) {
    kill(pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }

  /// Whether it is in `nanosleep` or `pause`, where only a finished program is.
  private static func isWaiting(_ pid: Int32) throws -> Bool {
    let call = String(decoding: try contents(of: "/proc/\(pid)/syscall"), as: UTF8.self)
    let number = call.split(separator: " ").first.map(String.init) ?? ""
    #if arch(x86_64)
      return ["34", "35", "230"].contains(number)
    #else
      return ["73", "101", "115"].contains(number)
    #endif
  }

  /// Its mappings as of now.
  func mappings() throws -> [MemoryMapping] {
    String(decoding: try contents(of: "/proc/\(pid)/maps"), as: UTF8.self)
      .split(separator: "\n").compactMap { MemoryMapping(line: $0) }
  }
}

extension MemoryMapping {
  /// Reads a line of maps, well enough for the tests' own children.
  init?(line: Substring) {
    let parts = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard parts.count >= 5 else { return nil }
    let bounds = parts[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    let device = parts[3].split(separator: ":").compactMap { UInt32($0, radix: 16) }
    guard bounds.count == 2, device.count == 2, let offset = UInt64(parts[2], radix: 16),
      let inode = UInt64(parts[4])
    else { return nil }
    var name = parts.count > 5 ? String(parts[5].drop { $0 == " " }) : ""
    let isDeleted = name.hasSuffix(" (deleted)")
    if isDeleted { name.removeLast(" (deleted)".count) }
    self.init(
      range: AddressRange(RemoteAddress(bounds[0]), RemoteAddress(bounds[1])),
      isReadable: parts[1].contains("r"), isWritable: parts[1].contains("w"),
      isExecutable: parts[1].contains("x"), isShared: parts[1].contains("s"), fileOffset: offset,
      deviceMajor: device[0], deviceMinor: device[1], inode: inode, name: name,
      isDeleted: isDeleted)
  }
}
