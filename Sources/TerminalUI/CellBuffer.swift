// A screen in memory: what is to be seen, without a terminal.

/// One column of a row.
///
/// A character that is two columns wide takes its cell and an empty one after it.
package struct Cell: Hashable, Sendable {
  /// A character with the marks over it; empty in the second column of a wide one.
  package let text: String
  /// How it is drawn.
  package fileprivate(set) var style: CellStyle

  static let blank = Cell(text: " ", style: .plain)

  /// Whether it belongs to the wide character before it.
  package var isSecondHalf: Bool { text.isEmpty }

  /// Whether every terminal gives it one column and the cursor stands behind it after that.
  var isCertainlyOneColumn: Bool {
    let scalars = text.unicodeScalars
    guard let first = scalars.first, scalars.index(after: scalars.startIndex) == scalars.endIndex
    else { return false }
    // Up to the first marks; lines and blocks.
    return first.value < 0x300 || (0x2500...0x259F).contains(first.value)
  }
}

/// A rectangle of cells, blank at first.
package struct CellBuffer: Hashable, Sendable {
  /// How many columns it has.
  package let columns: Int
  /// How many rows it has.
  package let rows: Int
  private var cells: [Cell]

  private static let greatestSide = 1000

  /// Makes a blank one; a number below 0 counts as 0, one above 1000 as 1000.
  package init(columns: Int, rows: Int) {
    self.columns = min(max(columns, 0), Self.greatestSide)
    self.rows = min(max(rows, 0), Self.greatestSide)
    cells = Array(repeating: .blank, count: self.columns * self.rows)
  }

  /// The cell there, or nil outside.
  package subscript(row: Int, column: Int) -> Cell? {
    guard contains(row, column) else { return nil }
    return cells[row * columns + column]
  }

  /// The cells of a row that exists.
  func cells(ofRow row: Int) -> ArraySlice<Cell> {
    cells[row * columns..<(row + 1) * columns]
  }

  /// Writes `text` from there on, as far as the row and `limit` columns reach.
  ///
  /// Outside of the buffer nothing happens. Where only half of a wide character would fit, there is
  /// a blank.
  ///
  /// - Returns: The column after it.
  @discardableResult
  package mutating func put(
    _ text: String, row: Int, column: Int, style: CellStyle = .plain, limit: Int? = nil
  ) -> Int {
    guard row >= 0, row < rows, column < columns else { return column }
    var end = columns
    if let limit {
      let (sum, overflows) = column.addingReportingOverflow(max(limit, 0))
      if !overflows { end = min(end, sum) }
    }
    var column = column
    for piece in TextPieces(text) {
      guard column < end else { break }
      let next = column + piece.columns
      if piece.columns == 1 {
        set(Cell(text: piece.text, style: style), row, column)
      } else if column >= 0, next <= end {
        set(Cell(text: piece.text, style: style), row, column)
        set(Cell(text: "", style: style), row, column + 1)
      } else {
        for half in column..<min(next, end) { set(Cell(text: " ", style: style), row, half) }
      }
      column = min(next, end)
    }
    return column
  }

  /// Makes the columns that exist blanks of that style.
  package mutating func fill(row: Int, columns range: Range<Int>, style: CellStyle) {
    for column in range.clamped(to: 0..<columns) {
      set(Cell(text: " ", style: style), row, column)
    }
  }

  /// Changes how all of a row is drawn, for instance to mark it as selected.
  package mutating func restyle(row: Int, _ change: (inout CellStyle) -> Void) {
    guard row >= 0, row < rows else { return }
    for index in row * columns..<(row + 1) * columns { change(&cells[index].style) }
  }

  /// The rows joined by line feeds, without the blanks at their ends.
  package var text: String {
    (0..<rows).map { row in
      var line = cells(ofRow: row)[...]
      while line.last?.text == " " { line.removeLast() }
      return line.map(\.text).joined()
    }.joined(separator: "\n")
  }

  private func contains(_ row: Int, _ column: Int) -> Bool {
    row >= 0 && row < rows && column >= 0 && column < columns
  }

  /// Stores one cell, if it exists; the other half of a wide character that it cuts becomes blank.
  private mutating func set(_ cell: Cell, _ row: Int, _ column: Int) {
    guard contains(row, column) else { return }
    let index = row * columns + column
    if cells[index].isSecondHalf {
      cells[index - 1] = Cell(text: " ", style: cells[index - 1].style)
    }
    if column + 1 < columns, cells[index + 1].isSecondHalf {
      cells[index + 1] = Cell(text: " ", style: cells[index + 1].style)
    }
    cells[index] = cell
  }
}
