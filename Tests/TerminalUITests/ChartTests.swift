// Values drawn with characters, down to those that are none.

import TerminalUI
import Testing

@Suite("Charts")
struct ChartTests {
  @Test("a sparkline goes from the least to the greatest value in eighths")
  func sparkline() {
    let values = (0..<8).map { Double?(Double($0)) }
    #expect(Chart.sparkline(values, usesUnicode: true) == "▁▂▃▄▅▆▇█")
    #expect(Chart.sparkline(values, usesUnicode: false) == ".:-=+*#@")
    #expect(Chart.sparkline([10, nil, 20], usesUnicode: true) == "▁ █")
    #expect(Chart.sparkline([-5, 0, 5], usesUnicode: true) == "▁▅█")
  }

  @Test("a range is kept to, and what lies outside is drawn at its edge")
  func range() {
    #expect(Chart.sparkline([0, 7, 14, 99, -9], range: 0...14, usesUnicode: true) == "▁▅██▁")
    #expect(Chart.sparkline([1, 2], range: 0...1000, usesUnicode: true) == "▁▁")
    #expect(Chart.sparkline([1, 2], range: 5...5, usesUnicode: true) == "▁▁")
    #expect(Chart.sparkline([1, 2], range: 0 ... .infinity, usesUnicode: true) == "▁▁")
    #expect(Chart.sparkline([1, 2], range: -.infinity ... .infinity, usesUnicode: true) == "▁▁")
  }

  @Test("equal values are the lowest bar, and none are nothing")
  func equalValues() {
    #expect(Chart.sparkline([3, 3, 3], usesUnicode: true) == "▁▁▁")
    #expect(Chart.sparkline([0], usesUnicode: false) == ".")
    #expect(Chart.sparkline([], usesUnicode: true) == "")
    #expect(Chart.sparkline([nil, nil], usesUnicode: true) == "  ")
  }

  @Test("NaN and infinities are not known, and the greatest numbers are numbers")
  func extremeValues() {
    let greatest = Double.greatestFiniteMagnitude
    let tiny = Double.leastNonzeroMagnitude
    #expect(Chart.sparkline([.nan, 1, .infinity, 2, -.infinity], usesUnicode: true) == " ▁ █ ")
    #expect(Chart.sparkline([-greatest, 0, greatest], usesUnicode: true) == "▁▅█")
    #expect(Chart.sparkline([0, tiny], usesUnicode: true) == "▁█")
    #expect(
      Chart.columns([.nan, greatest, -greatest], rows: 2, usesUnicode: true) == [" █ ", " █▁"])
  }

  @Test("columns have their height over all rows, the least being one eighth")
  func columns() {
    #expect(
      Chart.columns([0, 5, 10, 15, nil], rows: 2, usesUnicode: true) == ["  ▃█ ", "▁▆██ "])
    #expect(Chart.columns([0, 5, 10, 15], rows: 1, usesUnicode: true) == ["▁▃▆█"])
    #expect(
      Chart.columns([0, 1, 2, nil], rows: 3, usesUnicode: false) == ["  # ", " ## ", "### "])
  }

  @Test("columns without rows or values are empty, and rows are bounded")
  func columnBounds() {
    #expect(Chart.columns([1, 2], rows: 0, usesUnicode: true) == [])
    #expect(Chart.columns([1, 2], rows: .min, usesUnicode: true) == [])
    #expect(Chart.columns([], rows: 2, usesUnicode: true) == ["", ""])
    #expect(Chart.columns([1], rows: .max, usesUnicode: false).count == 1000)
  }

  @Test("a bar is as long as its part, to an eighth")
  func bar() {
    #expect(Chart.bar(1, of: 2, width: 8, usesUnicode: true) == "████")
    #expect(Chart.bar(3, of: 16, width: 4, usesUnicode: true) == "▊")
    #expect(Chart.bar(5, of: 16, width: 4, usesUnicode: true) == "█▎")
    #expect(Chart.bar(1, of: 2, width: 8, usesUnicode: false) == "####")
    #expect(Chart.bar(7, of: 7, width: 3, usesUnicode: true) == "███")
  }

  @Test("a small part is seen, and too great a one fills the bar")
  func barEdges() {
    #expect(Chart.bar(1, of: 1e18, width: 8, usesUnicode: true) == "▏")
    #expect(Chart.bar(1, of: 1e18, width: 8, usesUnicode: false) == "#")
    #expect(Chart.bar(9, of: 3, width: 2, usesUnicode: true) == "██")
  }

  @Test("what is no part of anything is no bar")
  func noBar() {
    for (part, whole) in [
      (0.0, 5.0), (-1, 5), (1, 0), (1, -1), (.nan, 1), (1, .nan), (.infinity, 1),
      (1, .infinity), (.infinity, .infinity),
    ] {
      #expect(Chart.bar(part, of: whole, width: 9, usesUnicode: true) == "", "\(part) \(whole)")
    }
    #expect(Chart.bar(1, of: 2, width: 0, usesUnicode: true) == "")
    #expect(Chart.bar(1, of: 2, width: .min, usesUnicode: false) == "")
    #expect(Chart.bar(1, of: 1, width: .max, usesUnicode: false).count == 1000)
    let greatest = Double.greatestFiniteMagnitude
    #expect(Chart.bar(greatest, of: .leastNonzeroMagnitude, width: 2, usesUnicode: true) == "██")
  }
}
