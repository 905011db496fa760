// What is read instead of a file that is gone, where the kernel's links to it cannot be had.

import Glibc
import HeapModel
import LinuxTarget
import Testing

@testable import Symbols

/// The proc file system as a user sees it to whom the kernel does not give its links to mapped files.
private struct LimitedProc: ~Copyable {
  let path: String
  private let process: String

  init(_ pid: Int32, in directory: borrowing TemporaryDirectory) throws {
    path = directory.path + "/proc"
    process = "\(path)/\(pid)"
    mkdir(path, 0o755)
    mkdir(process, 0o755)
    for name in ["root", "exe", "mem", "pagemap", "maps"] {
      symlink("/proc/\(pid)/\(name)", "\(process)/\(name)")
    }
  }

  deinit {
    for name in ["root", "exe", "mem", "pagemap", "maps"] { unlink("\(process)/\(name)") }
    rmdir(process)
    rmdir(path)
  }
}

@Suite("What is read instead of files that are gone")
struct SubstituteTests {
  /// What gives a library a build id, or none.
  private static let identified = "-Wl,--build-id"
  private static let anonymous = "-Wl,--build-id=none"
  private static let text = "int marker(void) { return 7; }"

  /// Loads `library`, has `change` happen to its file, and opens it.
  private func open(
    _ library: String, in directory: borrowing TemporaryDirectory, after change: () throws -> Void
  ) throws -> (substitute: FileSubstitute, exports: [String: UInt64], pid: Int32, path: String) {
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    try change()
    let proc = try LimitedProc(child.pid, in: directory)
    let objects = TargetObjects(
      pid: child.pid, mappings: try child.mappings(), procRoot: proc.path)
    let module = try #require(objects.modules.first { $0.name == library })
    let file = try objects.open(module)
    var path = ""
    if let opened = try objects.openFile(of: module) { path = opened.path }
    let kind = file.substitute
    let substitute = try #require(kind)
    #expect(path.isEmpty == (substitute.kind == .memory))
    return (
      substitute, try file.definitions(of: ["marker"]), child.pid, path
    )
  }

  private func address(_ library: String) throws -> UInt64? {
    try ELFFile(OwnedDescriptor(opening: library), path: library).definitions(of: ["marker"])[
      "marker"]
  }

  @Test("a deleted library is read from memory, with or without a build id")
  func deleted() throws {
    for options in [Self.identified, Self.anonymous] {
      let directory = try TemporaryDirectory()
      let library = try directory.compile(
        Self.text, as: "gone.so", "cc", "-shared", "-fPIC", options)
      let marker = try address(library)
      let found = try open(library, in: directory) { #expect(unlink(library) == 0) }
      #expect(found.substitute.kind == .memory && found.substitute.isDeleted)
      #expect(found.exports["marker"] == marker && marker != nil)
      #expect(found.substitute.attempts.contains { $0.outcome == .refused(errno: ENOENT) })
    }
  }

  @Test("a copy in its place is read if it has its build id, and never without one")
  func copied() throws {
    for options in [Self.identified, Self.anonymous] {
      let directory = try TemporaryDirectory()
      let library = try directory.compile(
        Self.text, as: "gone.so", "cc", "-shared", "-fPIC", options)
      let bytes = try contents(of: library)
      let found = try open(library, in: directory) {
        #expect(unlink(library) == 0)
        _ = try directory.write(bytes, as: "gone.so")
      }
      let path = "\(directory.path)/proc/\(found.pid)/root\(library)"
      if options == Self.identified {
        #expect(found.substitute.kind == .sameBuild(path: path))
        #expect(found.path == path)
      } else {
        #expect(found.substitute.kind == .memory)
        let outcome = OpenAttempt.Outcome.otherBuild(expected: [], found: [])
        #expect(found.substitute.attempts.contains { $0.outcome == outcome })
      }
      #expect(found.exports["marker"] != nil)
    }
  }

  @Test("another library in its place is not read, and that is said with both build ids")
  func replaced() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.compile(
      Self.text, as: "gone.so", "cc", "-shared", "-fPIC", Self.identified)
    let other = try directory.compile(
      "int first(void) { return 1; } int marker(void) { return 8; }", as: "other.so", "cc",
      "-shared", "-fPIC", Self.identified)
    let (mine, theirs) = (try buildID(library), try buildID(other))
    let marker = try address(library)
    let found = try open(library, in: directory) { #expect(rename(other, library) == 0) }
    #expect(found.substitute.kind == .memory)
    #expect(found.exports["marker"] == marker)
    #expect(
      found.substitute.reason.contains(
        "gone.so: symbol file has another build id than the running library (expected "
          + "\(BuildID.text(mine)), found \(BuildID.text(theirs))): ignored"))
  }

  private func buildID(_ library: String) throws -> [UInt8] {
    try ELFFile(OwnedDescriptor(opening: library), path: library).buildID
  }
}
