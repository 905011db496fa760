// How a report is to look.

package import HeapAnalysis

/// What the terminal, or whatever shows the text, can do.
package struct TextStyle: Hashable, Sendable {
  /// Whether ANSI colours are written.
  package var usesColor: Bool
  /// Whether bars are drawn with Unicode block characters, else with `#`.
  package var usesUnicode: Bool

  /// Makes a style, by default plain ASCII.
  package init(usesColor: Bool = false, usesUnicode: Bool = false) {
    self.usesColor = usesColor
    self.usesUnicode = usesUnicode
  }
}

/// What the user asked for about a report's looks.
package struct ReportOptions: Hashable, Sendable {
  /// Whether the histogram has a row for every size instead of for ranges.
  package var isExact: Bool
  /// Whether byte figures are exact instead of rounded with a unit.
  package var showsExactBytes: Bool
  /// How many rows of the histogram or of the chunks are shown, nil for all.
  package var limit: Int?
  /// The order of the histogram's rows.
  package var order: HistogramOrder
  /// Whether everything that is known is shown.
  package var isVerbose: Bool
  /// How text is decorated.
  package var style: TextStyle
  /// How wide text may be, in columns.
  package var columns: Int
  /// Whether names of types are shown whole, however wide that makes a row: for what is no terminal.
  package var showsFullNames: Bool
  /// Whether they are, for that reason or since everything is.
  var hasFullNames: Bool { isVerbose || showsFullNames }

  /// Makes options, by default those of a plain run.
  package init(
    isExact: Bool = false, showsExactBytes: Bool = false, limit: Int? = nil,
    order: HistogramOrder = .size, isVerbose: Bool = false, style: TextStyle = TextStyle(),
    columns: Int = 80, showsFullNames: Bool = false
  ) {
    self.isExact = isExact
    self.showsExactBytes = showsExactBytes
    self.limit = limit
    self.order = order
    self.isVerbose = isVerbose
    self.style = style
    self.columns = columns
    self.showsFullNames = showsFullNames
  }
}
