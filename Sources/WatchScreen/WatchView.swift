// The screen of a watch: a pure function from samples and state to cells.

package import HeapAnalysis
import HeapModel
import Reports
package import TerminalUI

/// Draws a watch.
package struct WatchView {
  let history: GrowthHistory
  let state: WatchState
  /// The caller's clock, in seconds, of the moment that is drawn.
  let now: Double
  var buffer: CellBuffer

  /// The screen of `history` in `state` at the moment `now`, in seconds of the clock by which the
  /// samples were added.
  package static func render(
    _ history: GrowthHistory, _ state: WatchState, now: Double
  ) -> CellBuffer {
    var view = WatchView(
      history: history, state: state, now: now,
      buffer: CellBuffer(columns: state.columns, rows: state.rows))
    view.draw()
    return view.buffer
  }

  private mutating func draw() {
    guard state.columns >= WatchState.smallestColumns, state.rows >= WatchState.smallestRows else {
      buffer.put(
        "needs \(WatchState.smallestColumns) x \(WatchState.smallestRows) cells, has "
          + "\(state.columns) x \(state.rows)", row: 0, column: 0)
      return
    }
    let layout = state.layout
    drawHeader(rows: layout.header)
    switch state.mode {
    case .help: drawHelp(from: layout.header)
    case .chunks(let panel): drawChunks(panel, from: layout.header)
    case .table, .filterPrompt, .writePrompt:
      drawMiddle(layout)
      drawTable(layout)
    }
    drawFooter()
  }

  // MARK: Text that flows

  /// A piece of text in one style.
  struct Piece {
    var text: String
    var style = CellStyle.plain
  }

  /// Puts groups of pieces into rows, each whole in one row and two blanks apart; what does not fit is
  /// left out.
  mutating func flow(_ groups: [[Piece]], rows: Range<Int>, indent: Int = 0) {
    var row = rows.lowerBound
    var column = 0
    for group in groups where !group.isEmpty {
      let width = group.reduce(0) { $0 + TextWidth.columns(of: $1.text) }
      if column > 0, column + width > buffer.columns {
        row += 1
        column = indent
      }
      guard row < rows.upperBound else { return }
      for piece in group {
        column = buffer.put(piece.text, row: row, column: column, style: piece.style)
      }
      column += 2
    }
  }

  /// The lines of a sentence, broken between words.
  static func lines(_ sentence: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in sentence.split(separator: " ") {
      if !line.isEmpty,
        TextWidth.columns(of: line) + 1 + TextWidth.columns(of: String(word)) > width
      {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? String(word) : " " + word
    }
    return line.isEmpty ? lines : lines + [line]
  }

  func bytes(_ bytes: UInt64) -> String {
    state.showsExactBytes ? Figures.grouped(bytes) : Figures.rounded(bytes: bytes)
  }
}

/// How the rows of the screen are given away.
struct WatchLayout {
  /// The rows of the header.
  var header: Int
  /// The rows of the time line, or of the summary in its place.
  var middle: Int
  /// The row of the table's headings.
  var headings: Int
  /// The rows of the table.
  var table: Range<Int>
}

extension WatchState {
  var layout: WatchLayout {
    let header = rows >= 16 ? (columns >= 60 ? 4 : 6) : rows >= 12 ? 4 : 3
    let line = rows >= 34 ? 6 : rows >= 22 ? 4 : rows >= 14 ? 2 : 1
    let middle = end == nil ? line : max(line, min(rows / 3, 9))
    let headings = header + middle
    return WatchLayout(
      header: header, middle: middle, headings: headings,
      table: min(headings + 1, rows - 1)..<max(headings + 1, rows - 1))
  }

  /// How many rows of the table are on the screen.
  var tableRows: Int { layout.table.count }

  /// How many chunks of a panel are, between two rows of headings and the last row.
  var chunkRows: Int { max(1, rows - layout.header - 3) }
}
