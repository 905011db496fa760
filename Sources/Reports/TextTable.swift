// A table whose columns are as wide as what is in them.

/// Rows of cells under headings; numbers stand right, names left.
struct TextTable {
  enum Alignment {
    case left
    case right
  }

  /// A cell's text and its meaning for the eye.
  struct Cell {
    var text: String
    var tone: Tone

    /// A cell that says that there is nothing.
    static let none = Cell("-", .faint)

    init(_ text: String, _ tone: Tone = .plain) {
      self.text = text
      self.tone = tone
    }
  }

  private let headings: [(text: String, alignment: Alignment)]
  private let minimumWidths: [Int: Int]
  private let maximumWidths: [Int: Int]
  private var rows: [[Cell]] = []
  private var notes: [Int: [String]] = [:]

  /// Makes an empty table; the widths are by column number, and a text that is wider than its column
  /// may be moves what stands to the right of it.
  init(
    _ headings: [(text: String, alignment: Alignment)], minimumWidths: [Int: Int] = [:],
    maximumWidths: [Int: Int] = [:]
  ) {
    self.headings = headings
    self.minimumWidths = minimumWidths
    self.maximumWidths = maximumWidths
  }

  /// Adds a row; it has one cell for each heading.
  mutating func add(_ cells: [Cell]) {
    rows.append(cells)
  }

  /// Adds a line of its own under the row added last.
  mutating func note(_ line: String) {
    notes[rows.count - 1, default: []].append(line)
  }

  /// How wide the table is with two spaces between columns.
  var width: Int { widths.reduce(0, +) + 2 * (headings.count - 1) }

  /// Appends the table to `page`.
  func write(to page: inout TextPage) {
    write(to: &page) { _, _ throws(Never) in }
  }

  /// Appends the table to `page`, and under each row what `details` appends for its number: lines that
  /// are too many to be kept.
  func write<Failure>(
    to page: inout TextPage, details: (Int, inout TextPage) throws(Failure) -> Void
  ) throws(Failure) {
    let widths = widths
    page.line(line(headings.map { Cell($0.text, .faint) }, widths, page))
    for (index, row) in rows.enumerated() {
      page.line(line(row, widths, page))
      for note in notes[index] ?? [] { page.line(note) }
      try details(index, &page)
    }
  }

  private var widths: [Int] {
    headings.indices.map { column in
      let least = max(minimumWidths[column] ?? 0, headings[column].text.count)
      let widest = rows.reduce(least) { max($0, $1[column].text.count) }
      return min(widest, maximumWidths[column] ?? .max)
    }
  }

  private func line(_ cells: [Cell], _ widths: [Int], _ page: TextPage) -> String {
    var line = ""
    var pendingSpaces = 0
    for (column, cell) in cells.enumerated() {
      let space = max(0, widths[column] - cell.text.count)
      let before = headings[column].alignment == .right ? space : 0
      pendingSpaces += before + (column > 0 ? 2 : 0)
      if !cell.text.isEmpty {
        line += String(repeating: " ", count: pendingSpaces) + page.toned(cell.text, cell.tone)
        pendingSpaces = 0
      }
      pendingSpaces += space - before
    }
    return line
  }
}
