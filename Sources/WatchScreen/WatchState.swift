// What the screen of a watch shows, beside the samples themselves.

package import HeapAnalysis
package import HeapModel
package import Reports
package import TerminalUI

/// Sample chunks of one row.
package struct ChunkPanel: Hashable, Sendable {
  /// A chunk with what it holds, if that was asked for.
  package struct Line: Hashable, Sendable {
    /// The chunk.
    package var chunk: Chunk
    /// Its first bytes, nil if contents are not shown or could not be read.
    package var contents: [UInt8]?

    /// Makes a line.
    package init(chunk: Chunk, contents: [UInt8]? = nil) {
      self.chunk = chunk
      self.contents = contents
    }
  }

  /// What the row is called.
  package var title: String
  /// The row.
  package var key: GrowthKey
  /// The chunks, nil while they are being fetched.
  package var lines: [Line]?
  /// How many there are in all, shown or not.
  package var total = 0
  /// The first line shown.
  package var top = 0

  /// Makes a panel whose chunks are still to come.
  package init(title: String, key: GrowthKey) {
    self.title = title
    self.key = key
  }
}

/// The state of the screen: what the user chose, and what is going on.
package struct WatchState: Sendable {
  /// What lies over the table.
  package enum Mode: Hashable, Sendable {
    /// Nothing.
    case table
    /// The list of keys.
    case help
    /// A line in which sizes are typed, or a pattern for types.
    case filterPrompt(LineEditor)
    /// A line in which a file name is typed.
    case writePrompt(LineEditor)
    /// Sample chunks of a row.
    case chunks(ChunkPanel)
  }

  /// How the heap is divided, sorted and filtered.
  package var growth: GrowthOptions
  /// The filter of sizes as it was typed, "" for none.
  package var filterText = ""
  /// The filter of types as it was typed, "" for none.
  package var patternText = ""
  /// The seconds between samples that are asked for.
  package var interval: Double
  /// The seconds between samples as they are, if the target would else be stopped for too long.
  package var stretchedInterval: Double?
  /// The share of the time that the target may be stopped.
  package var mostStopped: Double
  /// Whether no samples are taken.
  package var isPaused = false
  /// The row that the cursor is on, nil before the user moved it.
  package var selected: GrowthKey?
  /// The first row shown.
  package var top = 0
  /// What lies over the table.
  package var mode = Mode.table
  /// What happened last, until the next key.
  package var message: String?
  /// Why there are no more samples, nil while there are.
  package var end: String?
  /// Whether a chunk's contents may be shown.
  package var showsContents = false
  /// Whether byte figures are exact.
  package var showsExactBytes = false
  /// What the terminal can show.
  package var style: TextStyle
  /// The size of the screen in cells.
  package var columns: Int
  package var rows: Int
  /// The process, for a file's name.
  package var pid: Int32

  /// Makes the state of a screen on which nothing was done yet.
  package init(
    pid: Int32, growth: GrowthOptions = GrowthOptions(), interval: Double = 1,
    mostStopped: Double = 0.01, style: TextStyle = TextStyle(), columns: Int = 80, rows: Int = 24
  ) {
    self.pid = pid
    self.growth = growth
    self.interval = interval
    self.mostStopped = mostStopped
    self.style = style
    self.columns = columns
    self.rows = rows
  }

  /// Whether the rows are types.
  var isByType: Bool { growth.grouping == .types }

  /// The filter of such rows as there are.
  var shownFilter: String { isByType ? patternText : filterText }

  /// The least and the most seconds between samples.
  package static let intervals = 0.1...3600.0
  /// The smallest screen that holds the table.
  package static let smallestColumns = 40
  package static let smallestRows = 10
}

/// What a key asks the program to do.
package enum WatchAction: Hashable, Sendable {
  /// End the watch.
  case quit
  /// Have growth count from here.
  case setBaseline
  /// Fetch sample chunks of a row.
  case fetchChunks(GrowthKey)
  /// Write the table to a file.
  case write(path: String)
  /// Take a sample now.
  case sample
  /// Draw the whole screen anew.
  case redraw
}
