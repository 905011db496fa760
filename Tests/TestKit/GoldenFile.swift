// Texts compared with files that were reviewed once.

import Glibc

/// A file in the `Golden` directory beside a test's source.
package struct GoldenFile: Sendable {
  /// Its path.
  package let path: String

  /// Names the file that belongs to the test in `source`.
  package init(_ name: String, source: String = #filePath) {
    let directory = source.split(separator: "/").dropLast().joined(separator: "/")
    path = "/\(directory)/Golden/\(name)"
  }

  /// Compares `text` with the file, or with MALLOSCOPE_RECORD_GOLDEN=1 writes the file and fails.
  ///
  /// - Throws: `TestKitError.golden` with the first line that differs, `TestKitError.recorded`, or
  ///   `TestKitError.system` if there is no such file.
  package func check(_ text: String) throws(TestKitError) {
    if getenv("MALLOSCOPE_RECORD_GOLDEN").map({ String(cString: $0) }) == "1" {
      try write(text, toFile: path)
      throw .recorded(file: path)
    }
    let expected = String(decoding: try contents(ofFile: path), as: UTF8.self)
    if expected != text {
      throw .golden(file: path, difference: Self.difference(expected, text))
    }
  }

  private static func difference(_ expected: String, _ found: String) -> String {
    let expectedLines = expected.split(separator: "\n", omittingEmptySubsequences: false)
    let foundLines = found.split(separator: "\n", omittingEmptySubsequences: false)
    var index = 0
    while index < expectedLines.count, index < foundLines.count,
      expectedLines[index] == foundLines[index]
    {
      index += 1
    }
    let expectedLine = index < expectedLines.count ? "\(expectedLines[index])" : "(the end)"
    let foundLine = index < foundLines.count ? "\(foundLines[index])" : "(the end)"
    return "line \(index + 1)\n  expected: \(expectedLine)\n  found:    \(foundLine)"
  }
}
