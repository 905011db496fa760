// Programs that nobody wrote for these tests, brought to where they hold still.

import Glibc
import TestKit

/// A program with a heap of its own making.
enum RealProgram: String, CaseIterable, Sendable {
  /// gdb, in C++ and Python, without symbols.
  case debugger = "gdb"
  /// Python with ICU, in C++, whose vtables are exported.
  case icu = "icu_objects.py"
  /// Python with Qt, in C++.
  case qt = "qt_objects.py"
  /// The language server of the Swift toolchain.
  case languageServer = "sourcekit-lsp"
  /// A web server in Swift: the documentation compiler's preview.
  case documentation = "docc"
  /// Our own tool, watching a program.
  case malloscope

  /// A running one.
  struct Running {
    var program: TargetProgram
    /// What it needs beside it.
    private var needed: [AnyObject]

    var pid: Int32 { program.pid }

    fileprivate init(_ launch: ChildProcess.Launch, _ needed: [AnyObject] = []) throws {
      program = try TargetProgram(launch)
      self.needed = needed
    }
  }

  /// Starts it, and stops it with a signal when it is ready, so that all who look see the same.
  func start() throws -> Running {
    let running: Running
    switch self {
    case .debugger:
      running = try Running(
        ChildProcess.Launch(try installedProgram("gdb"), ["-q", "-nx", "-ex", "echo ready\\n"]))
      try running.program.waitReady()
    case .icu, .qt:
      running = try Running(
        ChildProcess.Launch(
          try installedProgram("python3"), ["-B", testsPath("Targets/Types/" + rawValue)]))
      try running.program.waitReady()
    case .languageServer:
      running = try Running(ChildProcess.Launch(try installedProgram(rawValue)))
      let body = #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#
      try running.program.process.write("Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      try running.program.waitReady(marker: "Content-Length:")
    case .documentation: running = try documentation()
    case .malloscope:
      // The one with symbols: what is shipped has none.
      let idle = try LeakingProgram(.idle)
      running = try Running(
        ChildProcess.Launch(
          try BuildProduct.malloscope.builtPath(), ["watch", "\(idle.pid)", "60", "--json"]), [idle]
      )
      // Its second sample is a minute away.
      _ = try running.program.process.readLine(by: Deadline(in: TargetProgram.patience))
    }
    running.program.process.send(SIGSTOP)
    return running
  }

  private func documentation() throws -> Running {
    let directory = try TemporaryDirectory()
    let catalogue = directory.file("Catalogue.docc")
    mkdir(catalogue, 0o700)
    try write("# Something\n\nA page.\n", toFile: catalogue + "/Something.md")
    let running = try Running(
      ChildProcess.Launch(
        try installedProgram(rawValue),
        [
          "preview", catalogue, "--port", "\(try freePort())", "--output-path",
          directory.file("output"), "--fallback-display-name", "Catalogue",
          "--fallback-bundle-identifier", "catalogue",
        ]), [directory])
    try running.program.waitReady(marker: "\t Address:")
    return running
  }
}

/// A port on which nobody listens just now.
private func freePort() throws -> UInt16 {
  let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(handle) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  var size = socklen_t(MemoryLayout<sockaddr_in>.size)
  let result = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(handle, $0, size) == 0 ? getsockname(handle, $0, &size) : -1
    }
  }
  guard result == 0 else {
    throw TestKitError.system(call: "bind", subject: "a port", errno: errno)
  }
  return UInt16(bigEndian: address.sin_port)
}
