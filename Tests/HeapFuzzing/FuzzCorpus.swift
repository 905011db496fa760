// Inputs kept in one file of text: a line each, a name and the bytes in hexadecimal.

package import TestKit

/// Named inputs.
package struct FuzzCorpus: Sendable {
  /// One input.
  package struct Entry: Sendable {
    /// What it is kept for, or the name that the fuzzer gave it.
    package var name: String
    /// The input.
    package var bytes: [UInt8]
  }

  /// The inputs.
  package let entries: [Entry]

  /// Reads the inputs of a packed file.
  ///
  /// - Throws: `TestKitError` if it cannot be read, or a line is not one of an input's.
  package init(file: String) throws(TestKitError) {
    let text = String(decoding: try contents(ofFile: file), as: UTF8.self)
    var entries: [Entry] = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.split(separator: " ")
      guard parts.count == 2, let bytes = Self.bytes(parts[1].utf8) else {
        throw .malformed(what: "a fuzzed input", text: String(line.prefix(80)))
      }
      entries.append(Entry(name: String(parts[0]), bytes: bytes))
    }
    self.entries = entries
  }

  private static func bytes(_ digits: Substring.UTF8View) -> [UInt8]? {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in digits {
      let value: UInt8
      switch digit {
      case 0x30...0x39: value = digit - 0x30
      case 0x61...0x66: value = digit - 0x61 + 10
      default: return nil
      }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return high == nil ? bytes : nil
  }
}
