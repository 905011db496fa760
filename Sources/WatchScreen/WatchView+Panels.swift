// What can lie over the table: the list of keys, and sample chunks of a row.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI

extension WatchView {
  private static let keys: [(String, String)] = [
    ("up down, page keys", "move; esc: let go of the row"),
    ("enter", "sample chunks of the row"),
    ("s", "sort by growth, bytes, count, size"),
    ("/", "only some sizes: 48..96, >1k; types: std::.*"),
    ("a t", "by arena, type, or size"),
    ("x", "exact sizes, or ranges"),
    ("b", "growth counts from here"),
    ("p", "pause, or go on"),
    ("space", "sample now"),
    ("+ -", "longer or shorter interval"),
    ("w", "write the table to a file"),
    ("ctrl-l", "draw anew"),
    ("q, ctrl-c", "quit, with a summary"),
  ]

  mutating func drawHelp(from start: Int) {
    let isTight = buffer.rows - 1 - start < Self.keys.count + 4
    // Where they do not fit below each other, they stand in two columns, or as far as there is room.
    let columns = isTight && buffer.columns >= 100 ? 2 : 1
    let perColumn = (Self.keys.count + columns - 1) / columns
    let width = buffer.columns / columns
    let names = isTight && buffer.columns < 60 ? 11 : 20
    for (index, (key, meaning)) in Self.keys.enumerated() {
      let row = start + index % perColumn
      guard row < buffer.rows - 1 else { continue }
      let column = index / perColumn * width
      buffer.put(key, row: row, column: column, style: .bold, limit: names - 1)
      buffer.put(meaning, row: row, column: column + names, limit: width - names - 1)
    }
    guard !isTight else { return }
    let mark = state.style.usesUnicode ? "▲ △" : "^ '"
    buffer.put(
      "\(mark)  grew in every sample since the baseline; grew and never shrank",
      row: start
        + Self.keys.count + 1, column: 0)
    buffer.put(
      "in use: held by the program; cached: in a tcache or fastbin; free: in a bin",
      row: start + Self.keys.count + 2, column: 0)
  }

  mutating func drawChunks(_ panel: ChunkPanel, from start: Int) {
    let what =
      switch panel.key {
      case .sizes: "chunks of size \(panel.title)"
      case .arena: "chunks of arena \(panel.title)"
      case .mmapped: "mmapped chunks"
      case .type: "chunks of type \(panel.title)"
      }
    guard let lines = panel.lines else {
      buffer.put("\(what): being read", row: start, column: 0, style: .bold)
      return
    }
    let shown = lines.count < panel.total ? ", \(Figures.grouped(lines.count)) of them" : ""
    buffer.put(
      "\(what): \(Figures.grouped(panel.total))\(shown)", row: start, column: 0, style: .bold)
    let hasContents = state.showsContents && buffer.columns >= 60
    buffer.put(
      "  \(left("address", 16)) \(right("size", 10))  \(left("state", 8)) arena"
        + (hasContents ? "  contents" : ""), row: start + 1, column: 0, style: .faint)
    for (row, line) in zip((start + 2)..<(buffer.rows - 1), lines.dropFirst(panel.top)) {
      let chunk = line.chunk
      let arena = chunk.arena.map { $0 == 0 ? "main" : String($0) } ?? "mmap"
      let column = buffer.put(
        "  \(left("\(chunk.userAddress)", 16)) \(right(Figures.grouped(chunk.size), 10))  "
          + "\(left(chunk.state.name, 8)) \(left(arena, 5))", row: row, column: 0)
      if hasContents, let contents = line.contents {
        buffer.put(
          Self.dump(contents, width: buffer.columns - column - 2), row: row, column: column + 2)
      }
    }
    if lines.isEmpty { buffer.put("  none at this moment", row: start + 2, column: 0) }
  }

  /// Bytes as text, and in hexadecimal before it where there is room for both.
  static func dump(_ bytes: [UInt8], width: Int) -> String {
    let digits = Array("0123456789abcdef")
    let both = max(0, (width - 1) / 4)
    let isBoth = both >= 8
    let shown = bytes.prefix(isBoth ? min(both, 32) : max(0, width))
    let text = String(shown.map { $0 >= 32 && $0 < 127 ? Character(UnicodeScalar($0)) : "." })
    guard isBoth else { return text }
    var hexadecimal = ""
    for byte in shown {
      hexadecimal.append(digits[Int(byte >> 4)])
      hexadecimal.append(digits[Int(byte & 15)])
      hexadecimal.append(" ")
    }
    return hexadecimal + " " + text
  }

  private func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - TextWidth.columns(of: text)))
  }
}
