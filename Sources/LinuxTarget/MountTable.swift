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

  /// Reads the lines of file systems of one of `types`; what is none is passed over.
  ///
  /// A node with many containers has thousands of other lines: those are not taken apart.
  static func parse(_ text: String, types: [String]) -> [Mount] {
    let marks = types.map { Array(" - \($0) ".utf8) }
    let lines = Array(text.utf8).split(separator: UInt8(ascii: "\n"))
    return lines.filter { line in marks.contains { contains($0, line) } }.compactMap { bytes in
      let line = String(decoding: bytes, as: UTF8.self)
      // proc(5): optional fields end with a lone dash; then follow type, source and options.
      let fields = line.split(separator: " ", omittingEmptySubsequences: false)
      guard fields.count >= 10, let dash = fields[6...].firstIndex(of: "-"),
        fields.count > dash + 3, types.contains(where: { $0 == fields[dash + 1] })
      else { return nil }
      return Mount(
        root: Escape.octal.undone(in: fields[3]), mountPoint: Escape.octal.undone(in: fields[4]),
        type: String(fields[dash + 1]),
        options: fields[dash + 3].split(separator: ",").map(String.init)
      )
    }
  }

  /// Whether `mark` stands in `line`.
  private static func contains(_ mark: [UInt8], _ line: ArraySlice<UInt8>) -> Bool {
    guard line.count >= mark.count else { return false }
    return (line.startIndex...line.endIndex - mark.count).contains { start in
      mark.indices.allSatisfy { line[start + $0] == mark[$0] }
    }
  }
}
