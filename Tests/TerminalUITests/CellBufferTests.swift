// Cells: clipping, characters of two columns, and text that means harm.

import TestKit
import Testing

@testable import TerminalUI

@Suite("Cells")
struct CellBufferTests {
  @Test(
    "text takes the columns that terminals give it",
    arguments: [
      ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("漢字", 4), ("ｱ", 1), ("Ａ", 2), ("가", 2),
      ("\u{1112}\u{1161}\u{11AB}", 2), ("🙂", 2), ("🇩🇪", 2), ("👍🏽", 2), ("❤\u{FE0F}", 1), ("⌚", 2),
      ("│▁█", 3), ("\u{3000}", 2), ("\u{301}", 0), ("กำ", 2), ("𠀀", 2), ("x\u{20DD}", 1), ("—…", 2),
    ])
  func width(text: String, columns: Int) {
    #expect(TextWidth.columns(of: text) == columns)
  }

  @Test("a character has the columns of its scalars, and a line end two question marks")
  func characterWidth() {
    #expect(TextWidth.columns(of: Character("漢")) == 2)
    #expect(TextWidth.columns(of: Character("\r\n")) == 2)
    #expect(TextWidth.columns(of: Character("e\u{301}")) == 1)
  }

  @Test("control and format characters are shown as one question mark each")
  func hostileText() {
    let hostile: [Unicode.Scalar] = [
      "\u{0}", "\u{7}", "\u{8}", "\t", "\n", "\r", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}", "\u{9F}",
      "\u{AD}", "\u{61C}", "\u{200B}", "\u{200D}", "\u{200E}", "\u{202A}", "\u{202E}", "\u{2028}",
      "\u{2029}", "\u{2066}", "\u{2069}", "\u{FEFF}", "\u{E0041}", "\u{E000}", "\u{378}",
      "\u{FFFF}",
    ]
    for scalar in hostile {
      var buffer = CellBuffer(columns: 5, rows: 1)
      #expect(buffer.put("a\(scalar)b", row: 0, column: 0) == 3, "U+\(scalar.value)")
      #expect(buffer.text == "a?b", "U+\(scalar.value)")
    }
    var buffer = CellBuffer(columns: 20, rows: 1)
    buffer.put("\u{1B}[2J\r\n\u{1B}]0;x\u{7}", row: 0, column: 0)
    #expect(buffer.text == "?[2J???]0;x?")
  }

  @Test("every scalar of Unicode takes 0, 1 or 2 columns, and exactly those in a buffer")
  func everyScalar() {
    for value in stride(from: UInt32(0), to: 0x110000, by: 7) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let columns = TextWidth.columns(of: Character(scalar))
      var buffer = CellBuffer(columns: 4, rows: 1)
      let end = buffer.put("\(scalar)x", row: 0, column: 0)
      if (0...2).contains(columns), end == columns + 1, buffer[0, columns]?.text == "x" { continue }
      Issue.record("U+\(String(value, radix: 16)): \(columns) columns, ends at \(end)")
    }
  }

  @Test("marks are drawn over the character before, not over another text's, and are bounded")
  func marks() {
    var buffer = CellBuffer(columns: 5, rows: 1)
    buffer.put("a", row: 0, column: 0)
    #expect(buffer.put("\u{301}b\u{302}", row: 0, column: 1) == 2)
    #expect(buffer[0, 0]?.text == "a")
    #expect(buffer[0, 1]?.text == "b\u{302}")
    buffer.put("c" + String(repeating: "\u{303}", count: 1000), row: 0, column: 2)
    #expect(buffer[0, 2]?.text.unicodeScalars.count == 7)
    #expect(buffer[0, 3]?.text == " ")
  }

  @Test("text is clipped at the right edge, at its limit, and at the left edge")
  func clipping() {
    var buffer = CellBuffer(columns: 6, rows: 4)
    #expect(buffer.put("abcdefghi", row: 0, column: 3) == 6)
    #expect(buffer.put("abcdefghi", row: 1, column: 1, limit: 2) == 3)
    #expect(buffer.put("abcdefghi", row: 2, column: -7) == 2)
    #expect(buffer.put("abc", row: 3, column: 0, limit: 0) == 0)
    #expect(buffer.put("abc", row: 3, column: 0, limit: .min) == 0)
    #expect(buffer.put("abc", row: 3, column: 5, limit: .max) == 6)
    #expect(buffer.text == "   abc\n ab\nhi\n     a")
  }

  @Test("outside of the buffer nothing happens")
  func outside() {
    var buffer = CellBuffer(columns: 3, rows: 2)
    buffer.put("abc", row: 0, column: 0)
    let before = buffer
    for row in [Int.min, -1, 2, Int.max] {
      #expect(buffer.put("x", row: row, column: 0) == 0)
      buffer.fill(row: row, columns: 0..<3, style: .reversed)
      buffer.restyle(row: row) { $0.isBold = true }
      #expect(buffer[row, 0] == nil)
    }
    for column in [Int.min, 3, Int.max] {
      _ = buffer.put("x漢", row: 0, column: column, limit: .max)
      #expect(buffer[0, column] == nil)
    }
    buffer.fill(row: 0, columns: Int.min..<0, style: .bold)
    buffer.fill(row: 0, columns: 3..<Int.max, style: .bold)
    #expect(buffer == before)
    #expect(buffer[0, -1] == nil)
  }

  @Test("a size is from 0 to 1000")
  func sizes() {
    let greatest = CellBuffer(columns: .max, rows: 1001)
    #expect(greatest.columns == 1000 && greatest.rows == 1000)
    var none = CellBuffer(columns: .min, rows: -1)
    #expect(none.columns == 0 && none.rows == 0)
    none.put("x", row: 0, column: 0)
    none.fill(row: 0, columns: 0..<5, style: .bold)
    #expect(none.text == "")
    var narrow = CellBuffer(columns: 0, rows: 3)
    #expect(narrow.put("漢", row: 1, column: 0) == 0)
    #expect(narrow.text == "\n\n")
  }

  @Test("a wide character takes two cells, and where only half of it fits there is a blank")
  func wideCharacters() {
    var buffer = CellBuffer(columns: 4, rows: 3)
    #expect(buffer.put("a漢b", row: 0, column: 0, style: .bold) == 4)
    #expect(buffer[0, 1]?.text == "漢" && buffer[0, 2]?.isSecondHalf == true)
    #expect(buffer[0, 2]?.style == .bold)
    buffer.put("....", row: 1, column: 0)
    #expect(buffer.put("漢字", row: 1, column: 1) == 4)
    #expect(buffer.text == "a漢b\n.漢\n")
    #expect(buffer[1, 3]?.text == " ")
    #expect(buffer.put("漢字", row: 2, column: -1, limit: 2) == 1)
    #expect(buffer[2, 0]?.text == " " && buffer[2, 1]?.text == " ")
  }

  @Test("half a wide character never remains")
  func halves() {
    for seed in UInt64(0)..<100 {
      var random = SyntheticRandom(seed: seed)
      var buffer = CellBuffer(columns: 7, rows: 1)
      for _ in 0..<40 {
        let column = random.index(10) - 2
        if random.chance(20) {
          buffer.fill(row: 0, columns: column..<column + 2, style: .plain)
        } else {
          buffer.put(
            random.pick(["漢", "a", "漢字", "a漢", "🇩🇪"]), row: 0, column: column,
            limit: random.chance(30) ? random.index(4) : nil)
        }
        for column in 0..<7 {
          let isWide = TextWidth.columns(of: buffer[0, column]?.text ?? "") == 2
          #expect(isWide == (buffer[0, column + 1]?.isSecondHalf ?? false), "seed \(seed)")
        }
        #expect(buffer[0, 0]?.isSecondHalf == false)
      }
    }
  }

  @Test("a row can be filled and drawn in another way")
  func filling() {
    var buffer = CellBuffer(columns: 5, rows: 2)
    buffer.put("漢cde", row: 0, column: 0)
    buffer.fill(row: 0, columns: 1..<3, style: .underlined)
    #expect(buffer.text == "   de\n")
    #expect(buffer[0, 2]?.style == .underlined && buffer[0, 0]?.style == .plain)
    buffer.restyle(row: 0) { $0.isReversed = true }
    #expect((0..<5).allSatisfy { buffer[0, $0]?.style.isReversed == true })
    #expect(buffer[0, 2]?.style.isUnderlined == true)
    #expect(buffer[1, 0]?.style == .plain)
  }
}
