// What each key does, in every mode.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI
import TestKit
import Testing

@testable import WatchScreen

@Suite("Watch keys")
struct WatchStateTests {
  private let many = WatchFixtures.manySizes

  /// A state in which 60 exact sizes are sorted by size.
  private func manyState(_ columns: Int = 80, _ rows: Int = 24) -> WatchState {
    WatchFixtures.state(columns, rows) {
      $0.growth.grouping = .sizes
      $0.growth.order = .size
    }
  }

  @discardableResult
  private func press(
    _ keys: [Key], _ state: inout WatchState, _ history: GrowthHistory
  ) -> [WatchAction] {
    keys.flatMap { state.handle($0, history: history, suggestedPath: "table.txt") }
  }

  private func type(_ text: String) -> [Key] { text.map { .character($0) } }

  /// The number of the row that the cursor is on.
  private func place(_ state: WatchState) -> Int? {
    state.table(many).rows.firstIndex { $0.key == state.selected }
  }

  @Test("q quits from the table and from the help, Ctrl-L draws anew in every mode")
  func quitAndRedraw() {
    var state = WatchFixtures.state()
    #expect(press([.character("q")], &state, many) == [.quit])
    #expect(press([.character("?"), .character("q")], &state, many) == [.quit])
    let modes: [WatchState.Mode] = [
      .table, .help, .filterPrompt(LineEditor("x")), .writePrompt(LineEditor("y")),
      .chunks(WatchFixtures.panel(3)),
    ]
    for mode in modes {
      state.mode = mode
      #expect(press([.control("l")], &state, many) == [.redraw])
      #expect(state.mode == mode)
    }
  }

  @Test(
    "the help is opened by each of its keys, and any key closes it",
    arguments: [
      Key.character("?"), .character("h"), .function(1),
    ])
  func help(key: Key) {
    var state = WatchFixtures.state()
    #expect(press([key], &state, many).isEmpty)
    #expect(state.mode == .help)
    #expect(press([.character("s")], &state, many).isEmpty)
    #expect(state.mode == .table)
    #expect(state.growth.order == .growth)
  }

  @Test("s goes through all orders, says so, and shows the top")
  func sorting() {
    var state = manyState()
    state.growth.order = .growth
    state.top = 9
    var seen: [GrowthOrder] = []
    for _ in GrowthOrder.allCases {
      press([.character("s")], &state, many)
      seen.append(state.growth.order)
      #expect(state.message == "sorted by \(state.growth.order.rawValue)")
      #expect(state.top == 0)
    }
    #expect(seen == [.bytes, .count, .size, .growth])
  }

  @Test("a and x change the grouping and back, and let go of the row")
  func grouping() {
    var state = WatchFixtures.state()
    press([.down, .character("a")], &state, many)
    #expect(state.growth.grouping == .arenas)
    #expect(state.selected == nil)
    press([.character("x")], &state, many)
    #expect(state.growth.grouping == .sizes)
    press([.character("x")], &state, many)
    #expect(state.growth.grouping == .ranges)
    press([.character("a"), .character("a")], &state, many)
    #expect(state.growth.grouping == .ranges)
  }

  @Test("t shows types and sizes again, and asks for a sample if there are no types yet")
  func types() {
    var state = WatchFixtures.state()
    let history = WatchFixtures.types()
    #expect(press([.down, .character("t")], &state, many) == [.sample])
    #expect(state.growth.grouping == .types)
    #expect(state.selected == nil)
    #expect(press([.character("t")], &state, many).isEmpty)
    #expect(state.growth.grouping == .ranges)
    #expect(press([.character("t")], &state, history).isEmpty)
    #expect(press([.character("a")], &state, many).isEmpty)
    #expect(state.growth.grouping == .arenas)
    state.isPaused = true
    #expect(press([.character("t")], &state, many).isEmpty)
    let rows = state.table(history).rows
    press([.down, .enter], &state, history)
    #expect(state.mode == .chunks(ChunkPanel(title: "Session", key: rows[0].key)))
  }

  @Test("b sets the baseline, but not after the end, when the summary would be lost")
  func baseline() {
    var state = WatchFixtures.state()
    #expect(press([.character("b")], &state, many) == [.setBaseline])
    #expect(state.message != nil)
    state.end = "the process has ended"
    #expect(press([.character("b")], &state, many).isEmpty)
    #expect(state.message != nil)
  }

  @Test("p pauses and goes on with a sample, blank takes one now; neither after the end")
  func pausing() {
    var state = WatchFixtures.state()
    #expect(press([.character("p")], &state, many).isEmpty)
    #expect(state.isPaused)
    #expect(press([.character(" ")], &state, many) == [.sample])
    #expect(state.isPaused)
    #expect(press([.character("p")], &state, many) == [.sample])
    #expect(!state.isPaused)
    state.end = "the process has ended"
    #expect(press([.character("p"), .character(" ")], &state, many).isEmpty)
    #expect(!state.isPaused)
  }

  @Test("+ and - go through the intervals between the least and the most, and stay there")
  func intervals() {
    var state = WatchFixtures.state()
    var seen: [Double] = []
    for _ in 0..<30 {
      press([.character("-")], &state, many)
      seen.append(state.interval)
    }
    #expect(seen.first == 0.5)
    #expect(seen.last == WatchState.intervals.lowerBound)
    seen = []
    for _ in 0..<30 {
      press([.character(seen.count.isMultiple(of: 2) ? "+" : "=")], &state, many)
      seen.append(state.interval)
    }
    #expect(seen.last == WatchState.intervals.upperBound)
    #expect(seen == seen.sorted())
    // From one between two steps to the next of them.
    state.interval = 3
    press([.character("+")], &state, many)
    #expect(state.interval == 5)
    #expect(state.message == "every 5 s")
    state.interval = 3
    press([.character("-")], &state, many)
    #expect(state.interval == 2)
  }

  @Test(
    "the first arrow puts the cursor where the screen begins, later ones move it, to the ends and no further"
  )
  func arrows() {
    for (up, down) in [(Key.up, Key.down), (.character("k"), .character("j"))] {
      var state = manyState()
      press([down], &state, many)
      #expect(place(state) == 0)
      press([down, down], &state, many)
      #expect(place(state) == 2)
      press([up, up, up, up], &state, many)
      #expect(place(state) == 0)
      press(Array(repeating: down, count: 100), &state, many)
      #expect(place(state) == 59)
      #expect(state.top == 60 - state.tableRows)
      press([up], &state, many)
      #expect(place(state) == 58)
      #expect(state.top == 60 - state.tableRows)
      press(Array(repeating: up, count: 58), &state, many)
      #expect(place(state) == 0)
      #expect(state.top == 0)
    }
  }

  @Test("pages move by what is on the screen but one row, Home and End to the ends, chosen or not")
  func pages() {
    var state = manyState()
    let page = state.tableRows - 1
    press([.pageDown], &state, many)
    #expect(place(state) == page)
    press([.pageDown], &state, many)
    #expect(place(state) == 2 * page)
    press([.pageUp], &state, many)
    #expect(place(state) == page)
    for (home, end) in [(Key.home, Key.end), (.character("g"), .character("G"))] {
      press([end], &state, many)
      #expect(place(state) == 59)
      #expect(state.top == 60 - state.tableRows)
      press([end], &state, many)
      #expect(place(state) == 59)
      press([home], &state, many)
      #expect(place(state) == 0)
      #expect(state.top == 0)
      // A chosen row that has gone is as good as none.
      press([end], &state, many)
      state.selected = .sizes(7...7)
      press([home], &state, many)
      #expect(place(state) == 0)
    }
  }

  @Test("Escape lets go of the row and shows the top")
  func letGo() {
    var state = manyState()
    press([.end, .escape], &state, many)
    #expect(state.selected == nil)
    #expect(state.top == 0)
  }

  @Test(
    "the cursor's row stays on the screen in another order, on a smaller one, and with a new sample"
  )
  func cursorStaysVisible() {
    func isVisible(_ state: WatchState, _ history: GrowthHistory) -> Bool {
      let rows = state.table(history).rows
      guard let place = rows.firstIndex(where: { $0.key == state.selected }) else { return false }
      let first = state.firstRow(of: rows)
      return (first..<first + state.tableRows).contains(place)
    }
    var state = manyState()
    press([.end], &state, many)
    for _ in GrowthOrder.allCases {
      press([.character("s")], &state, many)
      #expect(isVisible(state, many))
    }
    press([.end], &state, many)
    for rows in [10, 11, 15, 23, 50] {
      state.rows = rows
      #expect(isVisible(state, many))
    }
    state.rows = 12
    state.growth.order = .growth
    var history = many
    press([.home], &state, history)
    for sample in 5..<9 {
      let heap = SyntheticReport(
        (0..<60).map { SizeClass(size: 32 + 16 * UInt64($0), inUse: 100 + (60 - $0) * sample * 9) })
      history.add(heap.report(), ProcessMemory(), at: Double(sample))
      #expect(isVisible(state, history))
    }
  }

  @Test(
    "a good filter is taken, an empty one takes it away, a bad one is refused and changes nothing")
  func filters() {
    var state = manyState()
    press([.character("/")] + type("48 .. 96") + [.enter], &state, many)
    #expect(state.mode == .table)
    #expect(state.growth.filter == 48...96)
    #expect(state.filterText == "48..96")
    #expect(state.table(many).rows.count == 4)
    // The prompt begins with what there is.
    press([.character("/")], &state, many)
    #expect(state.mode == .filterPrompt(LineEditor("48..96")))
    press([.escape], &state, many)
    #expect(state.growth.filter == 48...96)
    for bad in ["x", "9..1", "48...96", "-1", "99999999999999999999", "<0"] {
      press([.character("/"), .control("u")] + type(bad) + [.enter], &state, many)
      #expect(state.growth.filter == 48...96, "\(bad)")
      #expect(state.filterText == "48..96")
      #expect(state.message?.contains("'\(bad)'") == true, "\(bad)")
      #expect(state.mode == .table)
    }
    press([.down], &state, many)
    #expect(state.message == nil)
    press([.character("/"), .control("u"), .enter], &state, many)
    #expect(state.growth.filter == nil)
    #expect(state.filterText == "")
    press([.character("/")] + type(">1k"), &state, many)
    press([.enter], &state, many)
    #expect(state.growth.filter == 1025...UInt64.max)
    #expect(state.table(many).rows.isEmpty)
    #expect(press([.down, .up, .end, .home, .pageDown, .enter], &state, many).isEmpty)
    #expect(state.mode == .table)
    #expect(place(state) == nil)
  }

  @Test("letters in a prompt are text, not keys")
  func promptText() {
    var state = WatchFixtures.state()
    #expect(press([.character("/")] + type("qbp +-saxwh?"), &state, many).isEmpty)
    #expect(state.mode == .filterPrompt(LineEditor("qbp +-saxwh?")))
    #expect(!state.isPaused)
  }

  @Test("w writes to the path that is suggested, or typed; an empty one and Escape write nothing")
  func writing() {
    var state = WatchFixtures.state()
    #expect(press([.character("w"), .enter], &state, many) == [.write(path: "table.txt")])
    #expect(state.mode == .table)
    #expect(
      press([.character("w"), .control("u")] + type("/a b") + [.enter], &state, many)
        == [.write(path: "/a b")])
    #expect(press([.character("w"), .control("u"), .enter], &state, many).isEmpty)
    #expect(press([.character("w"), .escape], &state, many).isEmpty)
    #expect(press([.character("w"), .control("c")], &state, many).isEmpty)
    #expect(state.mode == .table)
  }

  @Test(
    "Enter opens the chunks of the row, or of the first, and they can be fetched again and left")
  func chunks() {
    var state = manyState()
    let second = GrowthKey.sizes(48...48)
    #expect(press([.down, .down, .enter], &state, many) == [.fetchChunks(second)])
    #expect(state.mode == .chunks(ChunkPanel(title: "48", key: second)))
    #expect(press([.character(" ")], &state, many) == [.fetchChunks(second)])
    for key in [Key.escape, .enter, .backspace, .left, .character("q")] {
      state.mode = .chunks(WatchFixtures.panel(3))
      #expect(press([key], &state, many).isEmpty)
      #expect(state.mode == .table)
    }
    var other = manyState()
    #expect(press([.enter], &other, many) == [.fetchChunks(.sizes(32...32))])
    #expect(other.selected == .sizes(32...32))
  }

  @Test("the chunk panel scrolls to its last chunk and no further", arguments: [10, 16, 24, 50])
  func chunkScrolling(rows: Int) throws {
    func top(_ state: WatchState) throws -> Int {
      guard case .chunks(let panel) = state.mode else {
        throw TestKitError.recorded(file: "no panel")
      }
      return panel.top
    }
    var state = WatchFixtures.state(80, rows) { $0.mode = .chunks(WatchFixtures.panel(100)) }
    func shown() -> String { WatchView.render(many, state, now: 5).text }
    let last = "0x" + String(0x55d0_c0ab_0010 + 99 * 4_144, radix: 16)
    #expect(!shown().contains(last))
    press([.end], &state, many)
    #expect(shown().contains(last))
    let most = try top(state)
    press([.down, .pageDown, .character("j")], &state, many)
    #expect(try top(state) == most)
    press([.up], &state, many)
    #expect(try top(state) == most - 1)
    #expect(!shown().contains(last))
    press([.pageUp], &state, many)
    #expect(try top(state) < most - 1)
    press([.home, .up, .character("k"), .pageUp], &state, many)
    #expect(try top(state) == 0)
    // All fit.
    state.mode = .chunks(WatchFixtures.panel(2))
    press([.end, .down], &state, many)
    #expect(try top(state) == 0)
    // Still being read.
    state.mode = .chunks(ChunkPanel(title: "48", key: .sizes(33...48)))
    press([.end, .down, .pageDown, .up], &state, many)
    #expect(try top(state) == 0)
  }

  @Test("before the first sample keys do what they can")
  func beforeTheFirst() {
    var state = WatchFixtures.state()
    let history = GrowthHistory()
    let keys: [Key] = [
      .down, .up, .pageDown, .pageUp, .home, .end, .enter, .escape, .character("s"),
      .character("a"), .character("x"), .character("?"), .escape,
    ]
    #expect(press(keys, &state, history).isEmpty)
    #expect(state.selected == nil)
    #expect(state.mode == .table)
    #expect(press([.character("q")], &state, history) == [.quit])
  }

  @Test("after the end Enter says why there are no chunks")
  func afterTheEnd() {
    var state = WatchFixtures.state { $0.end = "the process has ended" }
    #expect(press([.down, .enter], &state, many).isEmpty)
    #expect(state.mode == .table)
    #expect(state.message?.contains("ended") == true)
    #expect(press([.character("w"), .enter], &state, many) == [.write(path: "table.txt")])
    #expect(press([.character("q")], &state, many) == [.quit])
  }

  @Test("10,000 random keys never trap, and the cursor stays on a row that is on the screen")
  func randomKeys() {
    let keys: [Key] =
      "qsaxb/pw+-=? hjkgG48.>1kZ漢".map { .character($0) }
      + [
        .up, .down, .left, .right, .pageUp, .pageDown, .home, .end, .insert, .delete, .backspace,
        .enter, .escape, .tab, .backTab, .function(1), .function(99), .control("l"),
        .control("c"), .control("u"), .control("w"),
      ]
    let histories = [many, WatchFixtures.leak(5), GrowthHistory(), WatchFixtures.huge]
    var random = SyntheticRandom(seed: 21)
    var state = manyState()
    var history = many
    for number in 0..<10_000 {
      if random.chance(1) { history = random.pick(histories) }
      if random.chance(1) {
        state.rows = random.index(60)
        state.columns = random.index(140)
      }
      if random.chance(1) { state.end = state.end == nil ? "over" : nil }
      if random.chance(5), case .chunks(var panel) = state.mode {
        panel.lines = WatchFixtures.panel(random.index(40)).lines
        state.mode = .chunks(panel)
      }
      press([random.pick(keys)], &state, history)
      let rows = state.table(history).rows
      let first = state.firstRow(of: rows)
      #expect(first >= 0 && first <= max(0, rows.count - state.tableRows), "key \(number)")
      #expect(state.top >= 0, "key \(number)")
      #expect(WatchState.intervals.contains(state.interval), "key \(number)")
      if let place = rows.firstIndex(where: { $0.key == state.selected }), state.tableRows > 0 {
        #expect((first..<first + state.tableRows).contains(place), "key \(number)")
      }
      if case .chunks(let panel) = state.mode {
        #expect(panel.top >= 0 && panel.top <= max(0, panel.lines?.count ?? 0), "key \(number)")
      }
      if number.isMultiple(of: 20) {
        let buffer = WatchView.render(history, state, now: 700)
        #expect(buffer.columns == state.columns && buffer.rows == state.rows)
      }
    }
  }
}
