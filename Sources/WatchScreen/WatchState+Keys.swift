// What each key does.

package import HeapAnalysis
import HeapModel
import Reports
package import TerminalUI

extension WatchState {
  /// Steps between samples, in seconds, through which + and - go.
  private static let steps: [Double] = [
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600,
  ]

  /// Does what `key` says and returns what the program has to do.
  ///
  /// `suggestedPath` is where a table would be written to, if the user names no other.
  package mutating func handle(
    _ key: Key, history: GrowthHistory, suggestedPath: String
  ) -> [WatchAction] {
    message = nil
    if key == .control("l") { return [.redraw] }
    switch mode {
    case .table: return handleInTable(key, history, suggestedPath)
    case .help:
      mode = .table
      return key == .character("q") ? [.quit] : []
    case .filterPrompt(var editor):
      switch editor.handle(key) {
      case .editing: mode = .filterPrompt(editor)
      case .cancelled: mode = .table
      case .accepted:
        mode = .table
        if isByType { takePattern(editor.text) } else { takeFilter(editor.text) }
      }
    case .writePrompt(var editor):
      switch editor.handle(key) {
      case .editing: mode = .writePrompt(editor)
      case .cancelled: mode = .table
      case .accepted:
        mode = .table
        return editor.text.isEmpty ? [] : [.write(path: editor.text)]
      }
    case .chunks(let panel): return handleInChunks(key, panel)
    }
    return []
  }

  private mutating func handleInTable(
    _ key: Key, _ history: GrowthHistory, _ suggestedPath: String
  ) -> [WatchAction] {
    let page = max(1, tableRows - 1)
    switch key {
    case .character("q"): return [.quit]
    case .character("?"), .character("h"), .function(1): mode = .help
    case .character("s"):
      growth.order = growth.order.next
      message = "sorted by \(growth.order.rawValue)"
      top = 0
    case .character("a"): choose(growth.grouping == .arenas ? .ranges : .arenas)
    case .character("t"):
      choose(growth.grouping == .types ? .ranges : .types)
      // What chunks hold is only looked at while it is shown.
      let isMissing = isByType && history.latest?.held == nil
      return isMissing && end == nil && !isPaused ? [.sample] : []
    case .character("x"): choose(growth.grouping == .sizes ? .ranges : .sizes)
    case .character("/"): mode = .filterPrompt(LineEditor(shownFilter))
    case .character("b"):
      guard end == nil else {
        message = "the process has ended: what grew is told from the last baseline"
        return []
      }
      message = "growth counts from here"
      return [.setBaseline]
    case .character("p"):
      guard end == nil else { return [] }
      isPaused.toggle()
      return isPaused ? [] : [.sample]
    case .character("+"), .character("="): changeInterval(toLonger: true)
    case .character("-"): changeInterval(toLonger: false)
    case .character(" "): return end == nil ? [.sample] : []
    case .character("w"): mode = .writePrompt(LineEditor(suggestedPath))
    case .enter:
      guard end == nil else {
        message = "the process has ended: its chunks cannot be read any more"
        return []
      }
      return openChunks(history)
    case .escape:
      selected = nil
      top = 0
    // The first key shows the cursor where the screen begins.
    case .up, .character("k"): move(history) { now, top in now.map { $0 - 1 } ?? top }
    case .down, .character("j"): move(history) { now, top in now.map { $0 + 1 } ?? top }
    case .pageUp: move(history) { now, top in (now ?? top) - page }
    case .pageDown: move(history) { now, top in (now ?? top) + page }
    case .home, .character("g"): move(history) { _, _ in 0 }
    case .end, .character("G"): move(history) { _, _ in .max }
    default: break
    }
    return []
  }

  // MARK: Choosing

  private mutating func choose(_ grouping: GrowthGrouping) {
    growth.grouping = grouping
    selected = nil
    top = 0
  }

  private mutating func takeFilter(_ text: String) {
    let trimmed = text.filter { $0 != " " }
    guard !trimmed.isEmpty else {
      growth.filter = nil
      filterText = ""
      return
    }
    do throws(ChunkFilterError) {
      growth.filter = try ChunkFilter.parseSizes(trimmed)
      filterText = trimmed
      top = 0
    } catch {
      message = "'\(text)' is no range of sizes: 64, 48..96, >1k, ..4k"
    }
  }

  private mutating func takePattern(_ text: String) {
    guard !text.isEmpty else {
      growth.pattern = nil
      patternText = ""
      return
    }
    do throws(TypePatternError) {
      let pattern = try TypePattern(parsing: text)
      // A row has the chunks of all sizes.
      guard pattern.sizes == nil else {
        message = "'\(text)' has sizes, which rows of types cannot be chosen by"
        return
      }
      growth.pattern = pattern
      patternText = text
      top = 0
    } catch {
      message = "'\(text)' is no regular expression for types: std::.*, ^Session$"
    }
  }

  private mutating func changeInterval(toLonger: Bool) {
    let next =
      toLonger
      ? Self.steps.first { $0 > interval } : Self.steps.last { $0 < interval }
    interval = next ?? interval
    message = "every \(Figures.seconds(interval))"
  }

  // MARK: Moving

  /// The rows in the order of the screen.
  package func table(_ history: GrowthHistory) -> GrowthTable {
    GrowthTable(history, growth)
  }

  /// Puts the cursor on the row that `place` names, from the one that it is on, if any, and the first
  /// row shown.
  private mutating func move(
    _ history: GrowthHistory, to place: (_ now: Int?, _ top: Int) -> Int
  ) {
    let rows = table(history).rows
    guard !rows.isEmpty else { return }
    top = firstRow(of: rows)
    let now = rows.firstIndex { $0.key == selected }
    selected = rows[min(rows.count - 1, max(0, place(now, top)))].key
    top = firstRow(of: rows)
  }

  /// The first row that is shown, so that the one that the cursor is on is: it may have moved away with
  /// a new sample, another order or another size of the screen.
  func firstRow(of rows: [GrowthRow]) -> Int {
    let height = max(1, tableRows)
    var first = top
    if let selected, let place = rows.firstIndex(where: { $0.key == selected }) {
      first = min(place, max(first, place - height + 1))
    }
    return max(0, min(first, rows.count - height))
  }

  private mutating func openChunks(_ history: GrowthHistory) -> [WatchAction] {
    let rows = table(history).rows
    guard let row = rows.first(where: { $0.key == selected }) ?? rows.first else { return [] }
    selected = row.key
    mode = .chunks(ChunkPanel(title: GrowthWords.label(row), key: row.key))
    return [.fetchChunks(row.key)]
  }

  private mutating func handleInChunks(_ key: Key, _ panel: ChunkPanel) -> [WatchAction] {
    var panel = panel
    let page = chunkRows
    switch key {
    case .escape, .enter, .backspace, .left, .character("q"):
      mode = .table
      return []
    case .character(" "):
      return [.fetchChunks(panel.key)]
    case .up, .character("k"): panel.top -= 1
    case .down, .character("j"): panel.top += 1
    case .pageUp: panel.top -= page
    case .pageDown: panel.top += page
    case .home: panel.top = 0
    case .end: panel.top = .max / 2
    default: break
    }
    panel.top = max(0, min(panel.top, (panel.lines?.count ?? 0) - page))
    mode = .chunks(panel)
    return []
  }
}
