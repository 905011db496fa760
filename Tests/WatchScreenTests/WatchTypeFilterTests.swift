// The filter of the rows of types.

import HeapAnalysis
import HeapModel
import Reports
import TerminalUI
import Testing

@testable import WatchScreen

@Suite("Watch filter of types")
struct WatchTypeFilterTests {
  private let history = WatchFixtures.types()

  /// Types a line at the prompt, in place of what there is.
  private func filter(_ text: String, _ state: inout WatchState) {
    let typed = text.map { Key.character($0) }
    for key in [.character("/"), .control("u")] + typed + [.enter] {
      #expect(state.handle(key, history: history, suggestedPath: "").isEmpty)
    }
  }

  private func names(_ state: WatchState) -> [String] {
    state.table(history).rows.compactMap {
      if case .type(let name, _, _) = $0.key { name } else { nil }
    }
  }

  @Test("a pattern chooses types by their names, a bad one changes nothing, an empty one ends it")
  func patterns() {
    var state = WatchFixtures.state { $0.growth.grouping = .types }
    let all = names(state)
    filter("^Session$|Codec<1\\d", &state)
    let chosen = ["Session"] + (10..<20).map { "ingest::Codec<\($0)>" }
    #expect(Set(names(state)) == Set(chosen) && names(state).count == chosen.count)
    for bad in ["(", "[1k-8k]", "Session[2k+]", String(repeating: "(", count: 70)] {
      filter(bad, &state)
      #expect(state.patternText == "^Session$|Codec<1\\d")
      #expect(state.message?.hasPrefix("'\(bad)' ") == true)
      #expect(names(state).count == chosen.count)
    }
    filter("non-object", &state)
    #expect(names(state).isEmpty)
    let none = WatchView.render(history, state, now: 508).text
    #expect(none.contains("no type like non-object") && none.contains("/ non-object"))
    filter("", &state)
    #expect(names(state) == all && state.growth.pattern == nil)
  }

  @Test("it is kept apart from that of sizes")
  func apart() {
    var state = WatchFixtures.state()
    filter("48..96", &state)
    let sizes = state.table(history).rows.map(\.key)
    _ = state.handle(.character("t"), history: history, suggestedPath: "")
    #expect(names(state).count == 34)
    _ = state.handle(.character("/"), history: history, suggestedPath: "")
    #expect(state.mode == .filterPrompt(LineEditor("")))
    #expect(WatchView.render(history, state, now: 508).text.contains("types (std::.*):"))
    _ = state.handle(.escape, history: history, suggestedPath: "")
    filter("Cache", &state)
    #expect(names(state) == ["Cache"])
    _ = state.handle(.character("t"), history: history, suggestedPath: "")
    #expect(state.table(history).rows.map(\.key) == sizes)
    #expect(state.shownFilter == "48..96")
  }
}
