// The screen as cells, compared with recorded frames.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI
import TestKit
import Testing

@testable import WatchScreen

@Suite("Watch screen")
struct WatchViewTests {
  private static let leak = WatchFixtures.leak(30)

  /// A state that is drawn.
  private struct Scene: Sendable {
    var name: String
    var history = WatchViewTests.leak
    var now = 529.4
    var change: @Sendable (inout WatchState) -> Void = { _ in }
  }

  private static let scenes: [Scene] = [
    Scene(name: "before", history: GrowthHistory(), now: 3),
    Scene(
      name: "before-and-over", history: GrowthHistory(), now: 3,
      change: { $0.end = "process 4242 has ended" }),
    Scene(name: "one-sample", history: WatchFixtures.leak(1), now: 500.2),
    Scene(name: "normal"),
    Scene(name: "arenas", change: { $0.growth.grouping = .arenas }),
    Scene(
      name: "types", history: WatchFixtures.types(), now: 507.5,
      change: { $0.growth.grouping = .types }),
    Scene(
      name: "types-to-come",
      change: {
        $0.growth.grouping = .types
        $0.showsExactBytes = true
      }),
    Scene(
      name: "type-chunks", history: WatchFixtures.types(), now: 507.5,
      change: {
        let key = GrowthKey.type(name: "Session", kind: .cxx, binary: "/srv/bin/server")
        $0.mode = .chunks(ChunkPanel(title: "Session", key: key))
      }),
    Scene(name: "exact-sizes", change: { $0.growth.grouping = .sizes }),
    Scene(name: "exact-bytes", change: { $0.showsExactBytes = true }),
    Scene(
      name: "no-match",
      change: {
        $0.growth.filter = 49...63
        $0.growth.grouping = .sizes
        $0.filterText = "49..63"
      }),
    Scene(
      name: "scrolled", history: WatchFixtures.manySizes, now: 5,
      change: {
        $0.growth.grouping = .sizes
        $0.growth.order = .size
        $0.top = 20
        $0.selected = .sizes(400...400)
      }),
    Scene(
      name: "paused",
      change: {
        $0.isPaused = true
        $0.message = "sorted by growth"
      }),
    Scene(
      name: "stretched", history: WatchFixtures.leak(12, container: WatchFixtures.container),
      now: 512,
      change: {
        $0.interval = 0.1
        $0.stretchedInterval = 0.25
      }),
    Scene(name: "ended", change: { $0.end = "process 4242 has ended" }),
    Scene(name: "help", change: { $0.mode = .help }),
    Scene(
      name: "chunks-being-read",
      change: { $0.mode = .chunks(ChunkPanel(title: "48", key: .sizes(33...48))) }),
    Scene(name: "chunks", change: { $0.mode = .chunks(WatchFixtures.panel(40)) }),
    Scene(
      name: "chunks-contents",
      change: {
        $0.showsContents = true
        $0.mode = .chunks(WatchFixtures.panel(9, withContents: true))
      }),
    Scene(name: "no-chunks", change: { $0.mode = .chunks(WatchFixtures.panel(0)) }),
    Scene(name: "filter-prompt", change: { $0.mode = .filterPrompt(LineEditor("48..9")) }),
    Scene(
      name: "write-prompt",
      change: {
        $0.mode = .writePrompt(LineEditor("/tmp/" + String(repeating: "a-long-name/", count: 9)))
      }),
  ]

  /// The whole buffer as text, with its right and lower edge.
  private func framed(_ buffer: CellBuffer) -> String {
    var lines: [String] = []
    for row in 0..<buffer.rows {
      var line = ""
      for column in 0..<buffer.columns { line += buffer[row, column]?.text ?? "" }
      lines.append(line + "|")
    }
    return lines.joined(separator: "\n") + "\n" + String(repeating: "-", count: buffer.columns)
      + "\n"
  }

  @Test(
    "each state has its recorded frame at 80x24, 120x40, 40x10 and in ASCII",
    arguments: scenes.map(\.name))
  func goldenFrames(name: String) throws {
    let scene = try #require(Self.scenes.first { $0.name == name })
    var text = ""
    for (columns, rows, isUnicode) in [
      (80, 24, true), (120, 40, true), (40, 10, true), (80, 24, false),
    ] {
      let state = WatchFixtures.state(columns, rows) {
        scene.change(&$0)
        $0.style.usesUnicode = isUnicode
      }
      let buffer = WatchView.render(scene.history, state, now: scene.now)
      if !isUnicode {
        let isASCII = buffer.text.unicodeScalars.allSatisfy { $0.isASCII }
        #expect(isASCII)
      }
      text += framed(buffer) + "\n"
    }
    try GoldenFile("\(name).txt").check(text)
  }

  @Test(
    "a screen that is too small says so as far as it can",
    arguments: [(39, 10), (40, 9), (5, 1), (0, 0), (0, 10), (10, 0), (-3, -3), (1, 1)])
  func tooSmall(columns: Int, rows: Int) {
    for scene in Self.scenes {
      let state = WatchFixtures.state(columns, rows, scene.change)
      let buffer = WatchView.render(scene.history, state, now: scene.now)
      #expect(buffer.columns == max(0, columns) && buffer.rows == max(0, rows))
      let text = "needs 40 x 10 cells, has \(columns) x \(rows)"
      let expected = rows > 0 ? String(text.prefix(max(0, columns))) : ""
      let shown = buffer.text.split(separator: "\n").first.map(String.init) ?? ""
      // Without the blank at its end.
      #expect(expected.hasPrefix(shown) && expected.count - shown.count <= 1)
    }
  }

  @Test("every size from nothing to 130x45 is drawn without a trap, in every state")
  func everySize() {
    var number = 0
    for rows in 0...45 {
      for columns in 0...130 {
        let scene = Self.scenes[number % Self.scenes.count]
        number += 1
        let state = WatchFixtures.state(columns, rows, scene.change)
        let buffer = WatchView.render(scene.history, state, now: scene.now)
        #expect(buffer.columns == columns && buffer.rows == rows)
      }
    }
  }

  @Test("a size beyond what a screen can have is drawn as the largest", arguments: [1_001, 70_000])
  func enormous(side: Int) {
    let state = WatchFixtures.state(side, side)
    let buffer = WatchView.render(Self.leak, state, now: 529)
    #expect(buffer.columns == 1_000 && buffer.rows == 1_000)
  }

  @Test("numbers of 64 bits do not trap, in any grouping, order or size")
  func hugeNumbers() {
    for grouping in GrowthGrouping.allCases {
      for order in GrowthOrder.allCases {
        for (columns, rows) in [(40, 10), (80, 24), (120, 40)] {
          for isOver in [false, true] {
            let state = WatchFixtures.state(columns, rows) {
              $0.growth = GrowthOptions(grouping: grouping, order: order)
              $0.showsExactBytes = isOver
              $0.end = isOver ? "over" : nil
              $0.interval = 1e300
              $0.stretchedInterval = isOver ? .infinity : .nan
            }
            let buffer = WatchView.render(WatchFixtures.huge, state, now: 1e300)
            #expect(buffer[0, 0]?.text == "4")
          }
        }
      }
    }
  }

  @Test("no name reaches the screen as control or format characters, nor breaks a row")
  func hostileNames() {
    var container = WatchFixtures.container
    container.id = WatchFixtures.hostileName
    let history = WatchFixtures.leak(
      6, command: WatchFixtures.hostileName, executable: "/" + WatchFixtures.hostileName,
      container: container)
    for columns in [40, 41, 60, 80, 133] {
      let state = WatchFixtures.state(columns, 24) {
        $0.mode = .writePrompt(LineEditor(WatchFixtures.hostileName))
        $0.message = WatchFixtures.hostileName
        $0.filterText = WatchFixtures.hostileName
      }
      expectHarmless(WatchView.render(history, state, now: 506))
      let types = WatchFixtures.types(
        naming: WatchFixtures.hostileName + String(repeating: "漢", count: columns))
      let byType = WatchFixtures.state(columns, 24) {
        $0.growth.grouping = .types
        $0.patternText = WatchFixtures.hostileName
      }
      expectHarmless(WatchView.render(types, byType, now: 508))
    }
  }

  /// Every row is as wide as the screen, and has nothing that moves the cursor.
  private func expectHarmless(_ buffer: CellBuffer) {
    for row in 0..<buffer.rows {
      var width = 0
      for column in 0..<buffer.columns {
        guard let cell = buffer[row, column] else { continue }
        width += TextWidth.columns(of: cell.text)
        let isHarmless = cell.text.unicodeScalars.allSatisfy {
          ![.control, .format, .lineSeparator].contains($0.properties.generalCategory)
        }
        #expect(isHarmless, "\(row), \(column)")
      }
      #expect(width == buffer.columns, "row \(row)")
    }
  }

  @Test("rows that grew in every sample are marked, and drawn stronger than the others")
  func marked() throws {
    let buffer = WatchView.render(Self.leak, WatchFixtures.state(), now: 529)
    let lines = buffer.text.split(separator: "\n", omittingEmptySubsequences: false)
    let row = try #require(lines.firstIndex { $0.hasPrefix("▲") })
    #expect(lines[row].contains(" 33-48 ") || lines[row].contains(" 48 "))
    #expect(buffer[row, 3]?.style.isBold == true)
    #expect(lines.filter { $0.hasPrefix("▲") }.count == 1)
    #expect(lines.contains { $0.hasPrefix("△") })
    #expect(buffer[row + 2, 3]?.style.isBold == false)
  }

  @Test("a number that does not fit its column is not cut to another number")
  func tooWide() {
    for isExact in [false, true] {
      for columns in 40...130 {
        let state = WatchFixtures.state(columns, 40) {
          $0.showsExactBytes = isExact
          $0.growth = GrowthOptions(grouping: .sizes, order: .size)
        }
        var history = GrowthHistory()
        for second in 0..<3 {
          var heap = SyntheticReport([
            SizeClass(size: 32, inUse: 9_876_543_210 + second),
            SizeClass(size: 48, inUse: 1_234_567_890_123 + second),
          ])
          heap.topBytes = 0
          history.add(heap.report(), ProcessMemory(), at: Double(second))
        }
        let lines = WatchView.render(history, state, now: 3).text.split(separator: "\n")
        let rows = lines.filter { $0.hasPrefix("▲") }.map { line in
          line.dropFirst().split(separator: " ").map(String.init)
        }
        #expect(rows.count == 2)
        guard columns >= 60 else { continue }
        #expect(rows.first.map { Array($0.prefix(2)) } == ["32", "9876543212"], "\(columns)")
        #expect(rows.last.map { Array($0.prefix(2)) } == ["48", "##########"], "\(columns)")
        let bytes = isExact && columns >= 72 ? "316,049,382,784" : "294.3G"
        #expect(rows.first?[2] == bytes, "\(columns)")
      }
    }
  }

  @Test("columns are whole: the last heading is on the screen at every width, exact or not")
  func wholeColumns() {
    for columns in 40...130 {
      for isExact in [false, true] {
        let state = WatchFixtures.state(columns, 24) { $0.showsExactBytes = isExact }
        let lines = WatchView.render(Self.leak, state, now: 529).text.split(separator: "\n")
        let headings = lines.first { $0.contains("growth") && $0.contains("in use") } ?? ""
        let titles = headings.split(separator: " ")
        let last = titles.last { $0 != "trend" }
        #expect(last == "/s" || last == "cached", "\(columns): \(headings)")
        let label = isExact && columns >= 72 ? "524304-2097152" : "512K-2M"
        #expect(lines.contains { $0.contains(" \(label) ") }, "\(columns)")
      }
    }
  }

  @Test("the row of the cursor is reversed, all over, and no other")
  func selected() {
    let state = WatchFixtures.state { $0.selected = .sizes(33...48) }
    let buffer = WatchView.render(Self.leak, state, now: 529)
    let reversed = (0..<24).filter { buffer[$0, 0]?.style.isReversed == true }
    #expect(reversed.count == 1)
    for row in 0..<24 {
      for column in 0..<80 {
        #expect(buffer[row, column]?.style.isReversed == reversed.contains(row))
      }
    }
  }

  @Test("the header says that the interval is stretched, on every size that holds the table")
  func stretchedIsTold() {
    for (columns, rows) in [
      (40, 10), (40, 24), (59, 12), (60, 10), (80, 11), (80, 24), (120, 10), (200, 60),
    ] {
      let state = WatchFixtures.state(columns, rows) {
        $0.interval = 0.1
        $0.stretchedInterval = 0.25
      }
      let text = WatchView.render(Self.leak, state, now: 529).text
      #expect(text.contains("0.25 s, not 0.1 s"), "\(columns) x \(rows)")
    }
  }

  @Test("the cursor of a prompt is on the screen, wherever it is and however wide the text")
  func promptCursor() {
    for text in ["", "a", String(repeating: "漢字", count: 60), String(repeating: "x", count: 256)] {
      for back in [0, 1, 30, 200] {
        for columns in [40, 41, 80] {
          var editor = LineEditor(text)
          for _ in 0..<back { _ = editor.handle(.left) }
          for mode in [WatchState.Mode.filterPrompt(editor), .writePrompt(editor)] {
            let state = WatchFixtures.state(columns, 10) { $0.mode = mode }
            let buffer = WatchView.render(Self.leak, state, now: 529)
            let cursor = (0..<columns).filter { buffer[9, $0]?.style.isReversed == true }
            #expect((1...2).contains(cursor.count), "\(text.count), \(back), \(columns)")
          }
        }
      }
    }
  }

  @Test("resampled values are the latest at each column's end, over the whole time")
  func resampling() {
    let times = (0..<100).map { Double($0) * 2 }
    let values = times.map { $0 * 3 }
    let some = WatchView.resampled(values, at: times, from: 0, to: 198, columns: 10)
    #expect(some.count == 10)
    #expect(some.last == 594.0)
    #expect(some.first == 54.0)
    // Few samples have a column each.
    let few = WatchView.resampled([1, 2, 3], at: [0, 1, 2], from: 0, to: 2, columns: 10)
    #expect(few == [1.0, 2.0, 3.0])
    #expect(WatchView.resampled([], at: [], from: 0, to: 0, columns: 10).isEmpty)
    #expect(WatchView.resampled([1, 2], at: [0, 1], from: 0, to: 1, columns: 0).isEmpty)
    #expect(WatchView.resampled([1, 2], at: [5, 5], from: 5, to: 5, columns: 3) == [1.0, 2.0])
  }

  @Test("bytes are shown as text, and in hexadecimal where there is room for both")
  func dumping() {
    let bytes = Array("Hello, world\u{1B}\u{7F}".utf8) + [0xFF, 0x00]
    #expect(WatchView.dump(bytes, width: 80).hasPrefix("48 65 6c 6c 6f 2c 20 77 "))
    #expect(WatchView.dump(bytes, width: 80).hasSuffix("  Hello, world...."))
    #expect(WatchView.dump(bytes, width: 16) == "Hello, world....")
    #expect(WatchView.dump(bytes, width: 3) == "Hel")
    #expect(WatchView.dump(bytes, width: 0) == "")
    #expect(WatchView.dump(bytes, width: -5) == "")
    for width in 0..<150 {
      #expect(WatchView.dump(bytes + bytes + bytes, width: width).count <= width)
    }
  }

  @Test("a frame in which only the clock and three rows changed costs less than 4 KiB")
  func frameCost() {
    for (columns, rows, usesColor) in [(80, 24, true), (120, 40, true), (200, 60, false)] {
      var encoder = FrameEncoder(usesColor: usesColor)
      var history = WatchFixtures.leak(60)
      let state = WatchFixtures.state(columns, rows)
      let whole = encoder.encode(WatchView.render(history, state, now: 559)).count
      let next = WatchFixtures.leakReport(60)
      history.add(next.report, next.memory, at: 560)
      let bytes = encoder.encode(WatchView.render(history, state, now: 560)).count
      let clock = encoder.encode(WatchView.render(history, state, now: 561)).count
      print(
        "a frame at \(columns)x\(rows): \(bytes) bytes cost, the first \(whole), a clock \(clock)")
      #expect(bytes > 0 && bytes < 4_096, "\(bytes)")
      #expect(clock > 0 && clock < 64, "\(clock)")
      #expect(encoder.encode(WatchView.render(history, state, now: 561)).isEmpty)
    }
  }
}
