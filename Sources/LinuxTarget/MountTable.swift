// What is mounted where, as a process sees it.

/// One line of `/proc/PID/mountinfo`.
struct Mount: Hashable, Sendable {
  /// Which part of the file system is mounted.
  var root: String
  /// Where it is mounted.
  var mountPoint: String
  /// The type of the file system.
  var type: String
  /// The options of the file system, not those of the mount.
  var options: [String]

  /// Reads the lines; what is none is passed over.
  static func parse(_ text: String) -> [Mount] {
    text.split(separator: "\n").compactMap { line in
      // proc(5): optional fields end with a lone dash; then follow type, source and options.
      let fields = line.split(separator: " ", omittingEmptySubsequences: false)
      guard fields.count >= 10, let dash = fields[6...].firstIndex(of: "-"),
        fields.count > dash + 3
      else { return nil }
      return Mount(
        root: Escape.octal.undone(in: fields[3]), mountPoint: Escape.octal.undone(in: fields[4]),
        type: String(fields[dash + 1]),
        options: fields[dash + 3].split(separator: ",").map(String.init)
      )
    }
  }
}
