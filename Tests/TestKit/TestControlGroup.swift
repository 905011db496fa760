// A control group that a test makes, where it may.

import Glibc

/// A control group of a test's own, removed with it.
package final class TestControlGroup {
  /// Its directory.
  package let directory: String
  /// Whether it is of version 2.
  package let isUnified: Bool

  /// Why no group for `controller` can be made here, nil if one can.
  package static func obstacle(_ controller: String, isUnified: Bool? = nil) -> String? {
    do {
      _ = try TestControlGroup(controller, isUnified: isUnified)
      return nil
    } catch {
      return "no control group with \(controller) can be made here: \(error)"
    }
  }

  /// Makes a group below the root of a mounted hierarchy that has the controller, of the version that
  /// is asked for if any is.
  ///
  /// - Throws: `TestKitError`.
  package init(_ controller: String, isUnified wanted: Bool? = nil) throws(TestKitError) {
    let text = String(decoding: try contents(ofFile: "/proc/self/mountinfo"), as: UTF8.self)
    var candidates: [(path: String, isUnified: Bool)] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ").map(String.init)
      guard let dash = fields.lastIndex(of: "-"), fields.count == dash + 4 else { continue }
      if fields[dash + 1] == "cgroup",
        fields[dash + 3].split(separator: ",").contains(controller[...])
      {
        candidates.append((fields[4], false))
      } else if fields[dash + 1] == "cgroup2", controller == "freezer" {
        // Every group has that one.
        candidates.append((fields[4], true))
      } else if fields[dash + 1] == "cgroup2",
        let enabled = try? contents(ofFile: fields[4] + "/cgroup.subtree_control"),
        String(decoding: enabled, as: UTF8.self).split(whereSeparator: \.isWhitespace)
          .contains(controller[...])
      {
        candidates.append((fields[4], true))
      }
    }
    guard let first = candidates.first(where: { wanted == nil || $0.isUnified == wanted }) else {
      throw .notFound(program: "a hierarchy with \(controller)", searched: [])
    }
    let number = UInt32.random(in: 0 ... .max)
    directory = first.path + "/malloscope-test-\(controller)-\(number)"
    isUnified = first.isUnified
    guard mkdir(directory, 0o755) == 0 else {
      throw .system(call: "mkdir", subject: directory, errno: errno)
    }
  }

  deinit {
    // Its last process may still be on its way out.
    let deadline = Deadline(in: .seconds(10))
    while rmdir(directory) != 0, errno == EBUSY, !deadline.hasPassed { usleep(1000) }
  }

  /// Writes to one of its files.
  ///
  /// - Throws: `TestKitError.system`.
  package func set(_ name: String, _ value: String) throws(TestKitError) {
    try write(value, toFile: directory + "/" + name)
  }

  /// The number that one of its files holds.
  ///
  /// - Throws: `TestKitError`.
  package func number(_ name: String) throws(TestKitError) -> UInt64 {
    let text = String(decoding: try contents(ofFile: directory + "/" + name), as: UTF8.self)
    guard let number = UInt64(text.prefix { $0 != "\n" }) else {
      throw .malformed(what: "a number in \(directory)/\(name)", text: text)
    }
    return number
  }

  /// Sets the most memory that its processes may have.
  ///
  /// - Throws: `TestKitError.system`.
  package func limitMemory(to bytes: UInt64) throws(TestKitError) {
    try set(isUnified ? "memory.max" : "memory.limit_in_bytes", String(bytes))
  }
}
