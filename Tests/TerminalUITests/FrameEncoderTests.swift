// What a terminal shows after the encoder's bytes is what the buffer has, in few bytes.

import TestKit
import Testing

@testable import TerminalUI

@Suite("Frames")
struct FrameEncoderTests {
  /// Where the screen is not what the buffer says, with colours or without.
  private func differences(
    _ screen: EmulatedScreen, _ buffer: CellBuffer, usesColor: Bool = true
  ) -> [String] {
    var found = screen.complaints
    for row in 0..<buffer.rows {
      for column in 0..<buffer.columns {
        guard let cell = buffer[row, column] else { continue }
        var style = cell.style
        if !usesColor { style.color = .plain }
        let shown = screen.cells[row][column]
        if shown.text != cell.text || shown.style != style {
          found.append("\(row), \(column): \(shown) instead of \(cell)")
        }
      }
    }
    return found
  }

  private static let words = [
    "a", "bytes", "  ", "12,345", "漢字", "🙂", "e\u{301}", "é", "🇩🇪", "🇩", "█▌", "│",
    "x\u{302}\u{323}",
    "\u{1B}[31m", "\u{202E}abc", "\u{9B}2J", "가", "\u{1112}\u{1161}\u{11AB}", "👩‍👧", "👍🏽", "❤️",
  ]

  private func change(_ buffer: inout CellBuffer, _ random: inout SyntheticRandom) {
    func style() -> CellStyle {
      random.chance(40)
        ? .plain
        : CellStyle(
          CellStyle.Color(rawValue: UInt8(random.below(7))) ?? .plain, isBold: random.chance(20),
          isFaint: random.chance(20), isReversed: random.chance(20),
          isUnderlined: random.chance(20))
    }
    let row = random.index(buffer.rows)
    let column = random.index(buffer.columns + 4) - 2
    switch random.below(10) {
    case 0: buffer.fill(row: row, columns: column..<column + 9, style: style())
    case 1: buffer.restyle(row: row) { $0.isReversed.toggle() }
    case 2: buffer.fill(row: row, columns: column..<buffer.columns + 9, style: .plain)
    default:
      let text = (0...random.below(3)).map { _ in random.pick(Self.words) }.joined()
      buffer.put(text, row: row, column: column, style: style())
    }
  }

  @Test("the screen is the buffer after any change", arguments: [true, false])
  func screenFollowsBuffer(usesColor: Bool) {
    for seed in UInt64(0)..<200 {
      var random = SyntheticRandom(seed: seed)
      let columns = 1 + random.index(40)
      let rows = 1 + random.index(12)
      var buffer = CellBuffer(columns: columns, rows: rows)
      var screen = EmulatedScreen(columns: columns, rows: rows, seed: seed)
      var encoder = FrameEncoder(usesColor: usesColor)
      for frame in 0..<6 {
        for _ in 0..<random.below(12) { change(&buffer, &random) }
        screen.obey(encoder.encode(buffer))
        let found = differences(screen, buffer, usesColor: usesColor)
        #expect(found.isEmpty, "seed \(seed), frame \(frame)")
        if !found.isEmpty { return }
        #expect(encoder.encode(buffer).isEmpty)
      }
    }
  }

  @Test("the screen is the buffer after one that has nothing in common with it")
  func screenFollowsOther() {
    for seed in UInt64(1000)..<1100 {
      var random = SyntheticRandom(seed: seed)
      var encoder = FrameEncoder(usesColor: true)
      var screen = EmulatedScreen(columns: 30, rows: 6, seed: seed)
      for _ in 0..<4 {
        var buffer = CellBuffer(columns: 30, rows: 6)
        for _ in 0..<random.below(30) { change(&buffer, &random) }
        screen.obey(encoder.encode(buffer))
        #expect(differences(screen, buffer).isEmpty, "seed \(seed)")
      }
    }
  }

  private func shown(_ lines: [String], columns: Int = 80) -> CellBuffer {
    var buffer = CellBuffer(columns: columns, rows: lines.count)
    for (row, line) in lines.enumerated() { buffer.put(line, row: row, column: 0) }
    return buffer
  }

  /// What is sent between the brackets of synchronized output when `before` becomes `after`.
  private func bytes(from before: CellBuffer, to after: CellBuffer) -> String {
    var encoder = FrameEncoder(usesColor: true)
    _ = encoder.encode(before)
    let text = String(decoding: encoder.encode(after), as: UTF8.self)
    #expect(text.isEmpty || text.hasPrefix("\u{1B}[?2026h") && text.hasSuffix("\u{1B}[?2026l"))
    return String(text.dropFirst(8).dropLast(8))
  }

  @Test("nothing changed costs nothing")
  func nothingChanged() {
    let buffer = shown(["some text", "漢字"])
    #expect(bytes(from: buffer, to: buffer) == "")
  }

  @Test("one change costs a cursor move and itself")
  func oneChange() {
    let before = shown(["size 12345 bytes", "rest"])
    #expect(bytes(from: before, to: shown(["size 12346 bytes", "rest"])) == "\u{1B}[1;10H6")
    #expect(bytes(from: before, to: shown(["size 12345 bytes", "test"])) == "\u{1B}[2Ht")
  }

  @Test("a gap is written again where that is not longer than a move")
  func gaps() {
    let before = shown(["1 2 3 4 aaaaaaaaaaaaaaaaaaaa 5"])
    let after = shown(["6 7 8 9 aaaaaaaaaaaaaaaaaaaa 0"])
    #expect(bytes(from: before, to: after) == "\u{1B}[1H6 7 8 9\u{1B}[22C0")
  }

  @Test("a row's rest is erased if that is shorter")
  func erasing() {
    let before = shown(["a long line of text that goes"])
    #expect(bytes(from: before, to: shown(["a"])) == "\u{1B}[1;3H\u{1B}[K")
    #expect(bytes(from: shown(["abc"]), to: shown(["a"])) == "\u{1B}[1;2H  ")
  }

  @Test("the style is chosen where it changes, and taken back at the end")
  func styles() {
    let before = CellBuffer(columns: 40, rows: 1)
    var after = before
    var end = after.put("red", row: 0, column: 0, style: CellStyle(.red))
    end = after.put("bold", row: 0, column: end, style: CellStyle(.red, isBold: true))
    after.put("green", row: 0, column: end, style: CellStyle(.green))
    #expect(
      bytes(from: before, to: after)
        == "\u{1B}[1H\u{1B}[31mred\u{1B}[1mbold\u{1B}[0;32mgreen\u{1B}[m")
  }

  @Test("after a wide character the cursor is set anew")
  func wideCharacters() {
    let before = shown(["ab..ef"])
    #expect(bytes(from: before, to: shown(["ab漢cd"])) == "\u{1B}[1;3H漢\u{1B}[5Gcd")
  }

  @Test("without colours a change of colour is none, and other styles remain")
  func noColors() {
    var buffer = shown(["text"])
    var encoder = FrameEncoder(usesColor: false)
    _ = encoder.encode(buffer)
    buffer.restyle(row: 0) { $0.color = .red }
    #expect(encoder.encode(buffer).isEmpty)
    buffer.restyle(row: 0) { $0.isReversed = true }
    #expect(String(decoding: encoder.encode(buffer), as: UTF8.self).contains("\u{1B}[7m"))
  }

  @Test("a first frame, one of another size, and one after forgetting are drawn whole")
  func wholeFrames() {
    var encoder = FrameEncoder(usesColor: true)
    let first = shown(["one", "two"])
    let whole = encoder.encode(first)
    #expect(String(decoding: whole, as: UTF8.self).contains("\u{1B}[2J"))
    encoder.forget()
    #expect(encoder.encode(first) == whole)
    let other = shown(["one", "two"], columns: 79)
    #expect(encoder.encode(other) == whole)
    #expect(encoder.encode(other) == [])
    let empty = String(decoding: encoder.encode(CellBuffer(columns: 0, rows: 0)), as: UTF8.self)
    #expect(empty.contains("\u{1B}[2J"))
  }

  @Test("what leaves the screen takes back what entering it did, and fits into the shim's limit")
  func entering() {
    for mode in ["?1049", "?25", "?7"] {
      #expect(FrameEncoder.enter.contains("\u{1B}[\(mode)"))
      #expect(FrameEncoder.leave.contains("\u{1B}[\(mode)"))
    }
    #expect(FrameEncoder.leave.utf8.count <= 256)
    #expect(FrameEncoder.leave.hasPrefix("\u{1B}[?2026l"))
  }
}
