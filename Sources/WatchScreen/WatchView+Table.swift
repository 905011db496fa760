// The time line, the table and the last row.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI

extension WatchView {
  // MARK: The middle

  /// The time line, or once there are no more samples what they have shown.
  mutating func drawMiddle(_ layout: WatchLayout) {
    let rows = layout.header..<layout.headings
    if state.end != nil { drawSummary(rows) } else { drawTimeLine(rows) }
  }

  private mutating func drawSummary(_ rows: Range<Int>) {
    let summary = GrowthSummary(history, grouping: state.growth.grouping)
    var row = rows.lowerBound
    let sentences =
      [state.end.map { $0 + "." }].compactMap { $0 }
      + GrowthWords.sentences(summary, of: history.latest?.target)
    for (index, sentence) in sentences.enumerated() {
      for line in Self.lines(sentence, width: buffer.columns) {
        guard row < rows.upperBound else { return }
        buffer.put(
          line, row: row, column: 0, style: index == 0 ? .bold : CellStyle(.yellow))
        row += 1
      }
    }
  }

  private mutating func drawTimeLine(_ rows: Range<Int>) {
    guard history.sampleCount > 0 else { return }
    let values = history.values(.inUse)
    let least = values.min() ?? 0
    let most = values.max() ?? 0
    let labels = [most, least].map { Figures.rounded(bytes: UInt64(max(0, min($0, 1.8e19)))) }
    let gutter = 9
    let width = buffer.columns - gutter
    let resampled = Self.resampled(
      values, at: history.times, from: history.firstTime, to: history.latestTime, columns: width)
    let lines = Chart.columns(
      resampled, rows: rows.count, range: most > least ? least...most : nil,
      usesUnicode: state.style.usesUnicode)
    for (index, line) in lines.enumerated() {
      buffer.put(
        line, row: rows.lowerBound + index, column: gutter, style: CellStyle(.cyan))
    }
    buffer.put(right(labels[0], gutter - 1), row: rows.lowerBound, column: 0, style: .faint)
    if rows.count > 1 {
      buffer.put(right(labels[1], gutter - 1), row: rows.upperBound - 1, column: 0, style: .faint)
    }
  }

  /// The values that were the latest at the end of each column's time; before there are as many samples
  /// as columns, each has a column of its own.
  static func resampled(
    _ values: [Double], at times: [Double], from start: Double, to end: Double, columns: Int
  ) -> [Double?] {
    guard columns > 0, let first = values.first else { return [] }
    guard values.count > columns / 2, end > start else {
      return values.suffix(columns).map { $0 }
    }
    var result: [Double?] = []
    var place = 0
    var latest = first
    for column in 1...columns {
      let moment = start + (end - start) * Double(column) / Double(columns)
      while place < values.count, times[place] <= moment {
        latest = values[place]
        place += 1
      }
      result.append(latest)
    }
    return result
  }

  // MARK: The table

  /// A column of the table.
  private struct Column {
    var title: String
    var width: Int
    /// Whether it holds names, of which the middle can be left out, and not figures.
    var isName = false
    var text: (GrowthRow) -> String
  }

  mutating func drawTable(_ layout: WatchLayout) {
    guard history.sampleCount > 0 else { return }
    let table = state.table(history)
    let columns = self.columns
    let isWide = buffer.columns >= 60
    let gap = isWide ? 2 : 1
    var x = 2
    for column in columns {
      buffer.put(
        column.isName ? column.title : right(column.title, column.width), row: layout.headings,
        column: x, style: .faint)
      x += column.width + gap
    }
    let trendWidth = buffer.columns - x
    if trendWidth >= 6 {
      buffer.put("trend", row: layout.headings, column: x, style: .faint)
    }
    guard !table.rows.isEmpty else {
      let text =
        state.isByType && history.latest?.held == nil
        ? "the next sample looks at what chunks hold"
        : table.filteredOut > 0
          ? state.isByType ? "no type like \(state.patternText)" : "no size in \(state.filterText)"
          : "no chunks"
      buffer.put(text, row: layout.table.lowerBound, column: 2)
      return
    }
    let top = state.firstRow(of: table.rows)
    for (row, growth) in zip(layout.table, table.rows.dropFirst(top)) {
      let style = self.style(growth)
      buffer.put(TextWatch.mark(growth, state.style), row: row, column: 0, style: style)
      var x = 2
      for column in columns {
        if column.isName {
          buffer.put(
            column.text(growth).shortened(to: column.width, beginning: 0.6), row: row, column: x,
            style: style, limit: column.width)
        } else {
          let text = fitting(column.text(growth), column.width)
          buffer.put(right(text, column.width), row: row, column: x, style: style)
        }
        x += column.width + gap
      }
      if trendWidth >= 6 {
        let values = Self.resampled(
          growth.points, at: history.times, from: history.firstTime, to: history.latestTime,
          columns: min(trendWidth, 32))
        buffer.put(
          Chart.sparkline(values, usesUnicode: state.style.usesUnicode), row: row, column: x,
          style: CellStyle(.cyan))
      }
      if growth.key == state.selected { buffer.restyle(row: row) { $0.isReversed = true } }
    }
  }

  private var columns: [Column] {
    let isWide = buffer.columns >= 60
    // Exact figures take so many columns; on a smaller screen the last of them would be cut.
    let isExact = state.showsExactBytes && buffer.columns >= 72
    let bytesWidth = isExact ? 15 : 7
    func bytes(_ bytes: UInt64) -> String {
      isExact ? Figures.grouped(bytes) : Figures.rounded(bytes: bytes)
    }
    let labelWidth = isExact ? 20 : isWide ? 10 : 9
    let isByType = state.isByType
    // Of a type's name there is as much as the other columns leave.
    let nameWidth = min(60, max(labelWidth, buffer.columns - (isExact ? 60 : isWide ? 52 : 29)))
    var columns = [
      Column(
        title: isByType ? "type" : state.growth.grouping == .arenas ? "arena" : "size",
        width: isByType ? nameWidth : labelWidth, isName: isByType
      ) {
        GrowthWords.label($0, isExact: isExact)
      }
    ]
    if isWide {
      columns.append(Column(title: "chunks", width: 10) { Figures.grouped($0.now.inUse.count) })
    }
    columns.append(Column(title: "in use", width: bytesWidth) { bytes($0.now.inUse.bytes) })
    columns.append(
      Column(title: "growth", width: 8) {
        $0.growth == 0 ? "-" : Figures.signed(bytes: $0.growth)
      })
    columns.append(
      Column(title: "/s", width: isWide ? 9 : 8) { row in
        history.rate(row).map { $0 == 0 ? "-" : Figures.signed(bytes: $0) } ?? "-"
      })
    if !isByType, buffer.columns >= (isExact ? 120 : 100) {
      columns.append(Column(title: "free", width: bytesWidth) { bytes($0.now.free.bytes) })
      columns.append(Column(title: "cached", width: bytesWidth) { bytes($0.now.cached.bytes) })
    }
    return columns
  }

  private func style(_ row: GrowthRow) -> CellStyle {
    if row.grewInEverySample { return CellStyle(.yellow, isBold: true) }
    return row.growth > 0 && row.neverShrank ? CellStyle(.yellow) : .plain
  }

  // MARK: The last row

  mutating func drawFooter() {
    let row = buffer.rows - 1
    switch state.mode {
    case .filterPrompt(let editor):
      let what = state.isByType ? "types (std::.*): " : "sizes (48..96, >1k): "
      return drawPrompt(what, editor, row: row)
    case .writePrompt(let editor): return drawPrompt("write to: ", editor, row: row)
    case .table, .help, .chunks: break
    }
    if let message = state.message {
      buffer.put(message, row: row, column: 0, style: .bold)
      return
    }
    var column = 0
    for (key, meaning) in footer {
      let width = key.count + 1 + meaning.count
      guard column + width <= buffer.columns else { break }
      column = buffer.put(key, row: row, column: column, style: .bold)
      column = buffer.put(" " + meaning, row: row, column: column, style: .faint) + 2
    }
  }

  private var footer: [(String, String)] {
    if case .chunks = state.mode {
      return [("esc", "back"), ("space", "again"), ("arrows", "scroll")]
    }
    if case .help = state.mode { return [("any key", "back")] }
    let sort = ("s", "by \(state.growth.order.rawValue)")
    let filter = ("/", state.shownFilter.isEmpty ? "filter" : state.shownFilter)
    return [
      ("q", "quit"), ("?", "help"), sort, filter, ("b", "baseline"),
      ("p", state.isPaused ? "go on" : "pause"), ("+-", "interval"), ("a", "arenas"),
      ("t", "types"), ("enter", "chunks"), ("x", "exact"), ("w", "write"),
    ]
  }

  private mutating func drawPrompt(_ label: String, _ editor: LineEditor, row: Int) {
    let start = buffer.put(label, row: row, column: 0, style: .bold)
    let characters = Array(editor.text + " ").map(String.init)
    // The cursor stays in sight, however long the line is.
    var hidden = min(editor.cursor, characters.count - 1)
    var width = TextWidth.columns(of: characters[hidden])
    while hidden > 0 {
      width += TextWidth.columns(of: characters[hidden - 1])
      guard width <= buffer.columns - start else { break }
      hidden -= 1
    }
    var column = start
    for index in hidden..<characters.count {
      column = buffer.put(
        characters[index], row: row, column: column,
        style: index == editor.cursor ? .reversed : .plain)
    }
  }

  /// A text as it fits a column: a number that does not fit without its commas either is `###`, since
  /// a part of its digits would be another number.
  private func fitting(_ text: String, _ width: Int) -> String {
    guard TextWidth.columns(of: text) > width else { return text }
    let digits = text.filter { $0 != "," }
    return TextWidth.columns(of: digits) > width ? String(repeating: "#", count: width) : digits
  }

  func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - TextWidth.columns(of: text))) + text
  }
}
