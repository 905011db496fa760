// Where the programs that the package builds lie, and those that the machine has.

import Glibc

/// A program or library that this package builds.
package enum BuildProduct: String, Sendable {
  /// The tool.
  case malloscope
  /// The program with known heaps.
  case heapScenario = "HeapScenario"
  /// The library that records allocations.
  case allocationRecorder = "libAllocationRecorder.so"

  /// Its path; for the tool, what `MALLOSCOPE_TOOL` says if that is set, such as the one that is shipped.
  ///
  /// - Throws: `TestKitError.notFound`.
  package func path() throws(TestKitError) -> String {
    guard self == .malloscope, let tool = getenv("MALLOSCOPE_TOOL") else { return try builtPath() }
    let path = String(cString: tool)
    if isExecutableFile(path) { return path }
    throw .notFound(program: rawValue, searched: ["MALLOSCOPE_TOOL=" + path])
  }

  /// Its path beside the running test or benchmark, or in a directory above it.
  ///
  /// - Throws: `TestKitError.notFound`.
  package func builtPath() throws(TestKitError) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlink("/proc/self/exe", &buffer, buffer.count)
    let executable = buffer.prefix(max(0, length)).map(UInt8.init(bitPattern:))
    var components = String(decoding: executable, as: UTF8.self).split(separator: "/")
    var searched: [String] = []
    while !components.isEmpty {
      components.removeLast()
      let directory = "/" + components.joined(separator: "/")
      searched.append(directory)
      let candidate = directory + "/" + rawValue
      if isExecutableFile(candidate) { return candidate }
    }
    throw .notFound(program: rawValue, searched: searched)
  }
}

/// The path of an installed program, following PATH but passing over directories of shims.
///
/// - Throws: `TestKitError.notFound`.
package func installedProgram(_ name: String) throws(TestKitError) -> String {
  // The system's own first: a version manager's shim is a shell script that starts the program.
  var directories = ["/usr/bin", "/bin", "/usr/local/bin"]
  if let path = getenv("PATH") {
    directories += String(cString: path).split(separator: ":").map(String.init)
  }
  for directory in directories where isExecutableFile(directory + "/" + name) {
    return directory + "/" + name
  }
  throw .notFound(program: name, searched: directories)
}

/// The path of a file in this package's `Tests` directory, such as `Targets/Threads8.cpp`.
package func testsPath(_ relative: String, from file: String = #filePath) -> String {
  let components = file.split(separator: "/")
  let tests = components.lastIndex(of: "Tests").map { components[...$0] } ?? components[...]
  return "/" + tests.joined(separator: "/") + "/" + relative
}

private func isExecutableFile(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    && access(path, X_OK) == 0
}
