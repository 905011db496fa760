// Scratch files of a test, gone when the test is.

import Glibc

/// A new directory under the system's temporary one, removed with all files in it on release.
package final class TemporaryDirectory {
  /// Its path.
  package let path: String

  /// Makes the directory.
  ///
  /// - Throws: `TestKitError.system`.
  package init() throws(TestKitError) {
    var template = (Self.parent + "/malloscope-test-XXXXXX").utf8CString.map { $0 }
    guard mkdtemp(&template) != nil else {
      throw .system(call: "mkdtemp", subject: Self.parent, errno: errno)
    }
    path = Self.string(template)
  }

  deinit {
    Self.removeAll(below: path)
  }

  /// The path of `name` in it.
  package func file(_ name: String) -> String { path + "/" + name }

  static var parent: String {
    getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
  }

  /// A file open for reading and writing that no path leads to.
  static func namelessFile() throws(TestKitError) -> Int32 {
    var template = (parent + "/malloscope-test-XXXXXX").utf8CString.map { $0 }
    let file = mkstemp(&template)
    guard file >= 0 else { throw .system(call: "mkstemp", subject: parent, errno: errno) }
    unlink(template)
    return file
  }

  private static func string(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func removeAll(below path: String) {
    guard let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name == "." || name == ".." { continue }
      if entry.pointee.d_type == UInt8(DT_DIR) {
        removeAll(below: path + "/" + name)
      } else {
        unlink(path + "/" + name)
      }
    }
    closedir(directory)
    rmdir(path)
  }
}

/// All bytes of the file at `path`.
///
/// - Throws: `TestKitError.system`.
package func contents(ofFile path: String) throws(TestKitError) -> [UInt8] {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw .system(call: "open", subject: path, errno: errno) }
  defer { close(file) }
  var bytes: [UInt8] = []
  var status = stat()
  if fstat(file, &status) == 0 { bytes.reserveCapacity(Int(status.st_size)) }
  var part = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = read(file, &part, part.count)
    if count < 0, errno == EINTR { continue }
    if count < 0 { throw .system(call: "read", subject: path, errno: errno) }
    if count == 0 { return bytes }
    bytes += part.prefix(count)
  }
}

/// Writes `text` to the file at `path`, replacing what is there.
///
/// - Throws: `TestKitError.system`.
package func write(_ text: String, toFile path: String) throws(TestKitError) {
  guard let file = fopen(path, "w") else {
    throw .system(call: "fopen", subject: path, errno: errno)
  }
  let bytes = Array(text.utf8)
  let written = fwrite(bytes, 1, bytes.count, file)
  guard fclose(file) == 0, written == bytes.count else {
    throw .system(call: "write", subject: path, errno: errno)
  }
}
