// The bytes of one frame in the making, and where they leave the terminal's cursor and style.

/// Writes cells, moving the cursor and changing the style only where needed.
///
/// It begins and ends with the plain style and with the cursor anywhere.
struct FramePen {
  private var bytes: [UInt8] = []
  private let usesColor: Bool
  private var style = CellStyle.plain
  private var row: Int?
  /// Nil where terminals differ: after a wide character, a mark, or the row's last column.
  private var column: Int?

  init(usesColor: Bool) {
    self.usesColor = usesColor
  }

  /// Makes the whole screen blank.
  mutating func clear() {
    append("\u{1B}[m\u{1B}[2J")
    style = .plain
  }

  /// Goes to a cell of `row`, whose cells are given.
  mutating func move(toRow row: Int, column: Int, in cells: ArraySlice<Cell>) {
    if self.row == row, let current = self.column, current <= column {
      if current == column { return }
      moveForward(from: current, to: column, in: cells)
    } else if self.row == row {
      append("\u{1B}[\(column + 1)G")
    } else if column == 0 {
      append("\u{1B}[\(row + 1)H")
    } else {
      append("\u{1B}[\(row + 1);\(column + 1)H")
    }
    self.row = row
    self.column = column
  }

  /// Skips cells that are right already, or writes them again if that is not longer.
  private mutating func moveForward(
    from current: Int, to column: Int, in cells: ArraySlice<Cell>
  ) {
    let distance = column - current
    let move = distance == 1 ? "\u{1B}[C" : "\u{1B}[\(distance)C"
    let skipped = cells.dropFirst(current).prefix(distance)
    var byteCount = 0
    for cell in skipped {
      byteCount += cell.text.utf8.count
      guard byteCount <= move.utf8.count, cell.isCertainlyOneColumn, shown(cell.style) == style
      else { return append(move) }
    }
    for cell in skipped { append(cell.text) }
  }

  /// Writes a cell where the cursor is; the row has `columns` of them.
  mutating func write(_ cell: Cell, columns: Int) {
    change(to: shown(cell.style))
    append(cell.text)
    guard let column, cell.isCertainlyOneColumn, column + 1 < columns else {
      self.column = nil
      return
    }
    self.column = column + 1
  }

  /// Makes the row blank from the cursor on.
  mutating func eraseRestOfRow() {
    change(to: .plain)
    append("\u{1B}[K")
  }

  /// How a style is shown: perhaps without colours.
  func shown(_ style: CellStyle) -> CellStyle {
    guard !usesColor else { return style }
    var style = style
    style.color = .plain
    return style
  }

  /// The frame's bytes, to be shown at once by terminals that can; none if nothing was written.
  mutating func finish() -> [UInt8] {
    guard !bytes.isEmpty else { return [] }
    change(to: .plain)
    return Array("\u{1B}[?2026h".utf8) + bytes + Array("\u{1B}[?2026l".utf8)
  }

  private mutating func change(to new: CellStyle) {
    guard new != style else { return }
    let takesAway =
      style.isBold && !new.isBold || style.isFaint && !new.isFaint
      || style.isReversed && !new.isReversed || style.isUnderlined && !new.isUnderlined
      || style.color != .plain && new.color == .plain
    let old = takesAway ? .plain : style
    var codes: [String] = []
    if new.isBold, !old.isBold { codes.append("1") }
    if new.isFaint, !old.isFaint { codes.append("2") }
    if new.isUnderlined, !old.isUnderlined { codes.append("4") }
    if new.isReversed, !old.isReversed { codes.append("7") }
    if new.color != old.color { codes.append("3\(new.color.rawValue)") }
    if takesAway, !codes.isEmpty { codes.insert("0", at: 0) }
    append("\u{1B}[" + codes.joined(separator: ";") + "m")
    style = new
  }

  private mutating func append(_ text: String) {
    bytes.append(contentsOf: text.utf8)
  }
}
