// A terminal as small as what the encoder may ask of it, for looking at what its bytes do.

import TestKit

@testable import TerminalUI

/// A screen that obeys bytes and remembers what it did not understand.
struct EmulatedScreen {
  private(set) var cells: [[Cell]]
  /// What no terminal should be sent: unknown sequences, control characters, places outside.
  private(set) var complaints: [String] = []
  /// How many bytes chose a style.
  private(set) var styleByteCount = 0
  private let columns: Int
  private let rows: Int
  private var row = 0
  private var column = 0
  private var style = CellStyle.plain
  private var lastCell: (row: Int, column: Int)?
  /// Where wide characters and marks leave the cursor: anywhere, as terminals disagree.
  private var random: SyntheticRandom

  struct Cell: Equatable {
    var text = " "
    var style = CellStyle.plain
  }

  init(columns: Int, rows: Int, seed: UInt64) {
    self.columns = columns
    self.rows = rows
    random = SyntheticRandom(seed: seed)
    // Something else has been there before.
    let rest = Cell(text: "#", style: .reversed)
    cells = Array(repeating: Array(repeating: rest, count: columns), count: rows)
  }

  mutating func obey(_ bytes: [UInt8]) {
    var rest = Array(String(decoding: bytes, as: UTF8.self).unicodeScalars)[...]
    lastCell = nil
    while let scalar = rest.popFirst() {
      guard scalar == "\u{1B}" else {
        write(scalar)
        continue
      }
      lastCell = nil
      guard rest.popFirst() == "[" else { return complain("no control sequence") }
      var parameters = ""
      while let next = rest.first, next.value < 0x40 {
        parameters.unicodeScalars.append(next)
        rest.removeFirst()
      }
      guard let final = rest.popFirst() else { return complain("cut off") }
      obey(final, parameters)
    }
    if style != .plain { complain("style left behind") }
  }

  private mutating func obey(_ final: Unicode.Scalar, _ parameters: String) {
    let numbers = parameters.split(separator: ";").map { Int($0) ?? -1 }
    switch (final, numbers.count) {
    case ("H", 0...2):
      row = (numbers.first ?? 1) - 1
      column = (numbers.dropFirst().first ?? 1) - 1
    case ("G", 1): column = numbers[0] - 1
    case ("C", 0...1): column += numbers.first ?? 1
    case ("K", 0):
      for place in column..<max(column, columns) { set(Cell(style: style), row, place) }
    case ("J", 1) where numbers == [2]:
      for row in 0..<rows { for column in 0..<columns { cells[row][column] = Cell(style: style) } }
    case ("m", _):
      styleByteCount += parameters.utf8.count + 3
      numbers.isEmpty ? choose(0) : numbers.forEach { choose($0) }
    case ("h", 1) where parameters == "?2026", ("l", 1) where parameters == "?2026": break
    default: complain("ESC [ \(parameters) \(final)")
    }
    if !(0..<rows).contains(row) || !(0..<columns).contains(column) {
      complain("cursor at \(row), \(column)")
    }
  }

  private mutating func choose(_ code: Int) {
    switch code {
    case 0: style = .plain
    case 1: style.isBold = true
    case 2: style.isFaint = true
    case 4: style.isUnderlined = true
    case 7: style.isReversed = true
    case 31...36: style.color = CellStyle.Color(rawValue: UInt8(code - 30)) ?? .plain
    default: complain("style \(code)")
    }
  }

  private mutating func write(_ scalar: Unicode.Scalar) {
    if scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) {
      return complain("control character \(scalar.value)")
    }
    if let lastCell {
      let last = cells[lastCell.row][lastCell.column].text
      let isFlag =
        last.unicodeScalars.count == 1 && isRegional(scalar)
        && last.unicodeScalars.allSatisfy(isRegional)
      if isFlag || TextWidth.treatment(of: scalar) == .mark {
        cells[lastCell.row][lastCell.column].text.unicodeScalars.append(scalar)
        if isFlag { set(Cell(text: "", style: style), lastCell.row, lastCell.column + 1) }
        column = random.index(columns)
        return
      }
    }
    let width = TextWidth.columns(of: Character(scalar))
    guard column + width <= columns else { return complain("beyond the edge") }
    set(Cell(text: String(scalar), style: style), row, column)
    if width == 2 { set(Cell(text: "", style: style), row, column + 1) }
    lastCell = (row, column)
    column = width == 2 || column + 1 == columns ? random.index(columns) : column + 1
  }

  private func isRegional(_ scalar: Unicode.Scalar) -> Bool {
    (0x1F1E6...0x1F1FF).contains(scalar.value)
  }

  /// Stores a cell; half a wide character does not remain.
  private mutating func set(_ cell: Cell, _ row: Int, _ column: Int) {
    guard column < columns else { return complain("beyond the edge") }
    if cells[row][column].text.isEmpty, !cell.text.isEmpty, column > 0 {
      cells[row][column - 1].text = " "
    }
    if column + 1 < columns, cells[row][column + 1].text.isEmpty {
      cells[row][column + 1].text = " "
    }
    cells[row][column] = cell
  }

  private mutating func complain(_ what: String) {
    complaints.append(what)
  }
}
