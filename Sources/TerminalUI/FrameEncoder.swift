// From one screen to the next in few bytes.

/// What turns one frame into the bytes that lead from the frame before to it.
///
/// The bytes go to a terminal that `enter` has been written to. Nothing is taken for granted where
/// terminals disagree: after a wide character the cursor is set anew.
package struct FrameEncoder: Sendable {
  private let usesColor: Bool
  private var last: CellBuffer?

  /// The alternate screen, blank, without a cursor and without lines that go on in the next row.
  package static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[m\u{1B}[2J\u{1B}[H"
  /// Takes back what `enter` and an unfinished frame did.
  package static let leave = "\u{1B}[?2026l\u{1B}[m\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// Makes an encoder that has shown nothing yet.
  ///
  /// Without colours, bold, faint, reversed and underlined remain.
  package init(usesColor: Bool) {
    self.usesColor = usesColor
  }

  /// The bytes that make the terminal show `buffer`; none if it does already.
  ///
  /// The first frame, and one of another size, are drawn whole.
  package mutating func encode(_ buffer: CellBuffer) -> [UInt8] {
    var pen = FramePen(usesColor: usesColor)
    let before: CellBuffer
    if let last, last.columns == buffer.columns, last.rows == buffer.rows {
      before = last
    } else {
      pen.clear()
      before = CellBuffer(columns: buffer.columns, rows: buffer.rows)
    }
    for row in 0..<buffer.rows {
      encode(buffer.cells(ofRow: row), from: before.cells(ofRow: row), row: row, with: &pen)
    }
    last = buffer
    return pen.finish()
  }

  /// Has the next frame drawn whole, since something else may have written to the terminal.
  package mutating func forget() {
    last = nil
  }

  private func encode(
    _ cells: ArraySlice<Cell>, from before: ArraySlice<Cell>, row: Int, with pen: inout FramePen
  ) {
    func differs(_ column: Int) -> Bool {
      let new = cells[cells.startIndex + column]
      let old = before[before.startIndex + column]
      return new.text != old.text || pen.shown(new.style) != pen.shown(old.style)
    }
    guard var last = cells.indices.last.map({ $0 - cells.startIndex }) else { return }
    while last >= 0, !differs(last) { last -= 1 }
    guard last >= 0 else { return }
    var firstOfBlanks = cells.count
    while firstOfBlanks > 0, isBlank(cells[cells.startIndex + firstOfBlanks - 1], pen) {
      firstOfBlanks -= 1
    }
    for column in 0...last where differs(column) {
      let cell = cells[cells.startIndex + column]
      // It has come with its first half.
      if cell.isSecondHalf { continue }
      pen.move(toRow: row, column: column, in: cells)
      if column >= firstOfBlanks, last - column >= Self.eraseByteCount {
        pen.eraseRestOfRow()
        return
      }
      pen.write(cell, columns: cells.count)
    }
  }

  /// From how many blanks on the row's rest is erased instead.
  private static let eraseByteCount = 3

  private func isBlank(_ cell: Cell, _ pen: FramePen) -> Bool {
    cell.text == " " && pen.shown(cell.style) == .plain
  }
}
