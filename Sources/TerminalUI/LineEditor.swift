// A line of text that a user types.

/// A line that the user types, with a cursor in it.
///
/// It takes at most 256 characters and 1024 bytes; what is typed beyond that is left out.
package struct LineEditor: Hashable, Sendable {
  /// What a key has led to.
  package enum Outcome: Sendable {
    /// The line is still being typed.
    case editing
    /// Enter.
    case accepted
    /// Escape, Ctrl-C or Ctrl-G.
    case cancelled
  }

  /// The line.
  package private(set) var text: String
  /// Before which character the next one is put.
  package private(set) var cursor: Int

  private static let greatestCount = 256
  private static let greatestByteCount = 1024

  /// Makes a line with the cursor at its end.
  package init(_ text: String = "") {
    var kept = ""
    for character in text.prefix(Self.greatestCount) {
      guard kept.utf8.count + character.utf8.count <= Self.greatestByteCount else { break }
      kept.append(character)
    }
    self.text = kept
    cursor = kept.count
  }

  /// Does what `key` does in a line; others than those of a line do nothing.
  package mutating func handle(_ key: Key) -> Outcome {
    switch key {
    case .enter: return .accepted
    case .escape, .control("c"), .control("g"): return .cancelled
    case .character(let character): insert(character)
    case .left, .control("b"): cursor = max(0, cursor - 1)
    case .right, .control("f"): cursor = min(text.count, cursor + 1)
    case .home, .control("a"): cursor = 0
    case .end, .control("e"): cursor = text.count
    case .backspace: remove(from: cursor - 1, to: cursor)
    case .delete, .control("d"): remove(from: cursor, to: cursor + 1)
    case .control("u"): remove(from: 0, to: cursor)
    case .control("k"): remove(from: cursor, to: text.count)
    case .control("w"): remove(from: startOfWord, to: cursor)
    default: break
    }
    return .editing
  }

  private mutating func insert(_ character: Character) {
    let before = text.prefix(cursor) + String(character)
    let new = before + text.dropFirst(cursor)
    guard new.count <= Self.greatestCount, new.utf8.count <= Self.greatestByteCount else { return }
    text = String(new)
    // Fewer than one more where it joined the character before or after it.
    cursor = min(before.count, text.count)
  }

  private mutating func remove(from start: Int, to end: Int) {
    guard start >= 0, end <= text.count, start < end else { return }
    text = String(text.prefix(start) + text.dropFirst(end))
    cursor = min(start, text.count)
  }

  /// Where the word before the cursor begins.
  private var startOfWord: Int {
    let before = Array(text.prefix(cursor))
    var start = before.count
    while start > 0, before[start - 1].isWhitespace { start -= 1 }
    while start > 0, !before[start - 1].isWhitespace { start -= 1 }
    return start
  }
}
