// What a file is called without its folders.

extension String {
  /// The part of a path after the last slash.
  package var fileName: String {
    // By bytes, as the kernel divides a path: a slash with a combining mark is another character.
    guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return self }
    return String(self[utf8.index(after: slash)...])
  }
}
