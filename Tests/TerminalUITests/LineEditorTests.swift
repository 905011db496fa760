// Typing a line.

import TerminalUI
import TestKit
import Testing

@Suite("Line editor")
struct LineEditorTests {
  private func typed(_ keys: [Key], into start: String = "") -> LineEditor {
    var editor = LineEditor(start)
    for key in keys { #expect(editor.handle(key) == .editing) }
    return editor
  }

  private func characters(_ text: String) -> [Key] { text.map { .character($0) } }

  @Test("characters are put where the cursor is")
  func typing() {
    let editor = typed(
      characters("bd") + [.left] + characters("c") + [.home] + characters("a") + [.end]
        + characters("é漢"))
    #expect(editor.text == "abcdé漢")
    #expect(editor.cursor == 6)
  }

  @Test("a line begun with text has the cursor at its end, and it goes no further than its ends")
  func moving() {
    #expect(LineEditor("abc").cursor == 3)
    #expect(typed([.right], into: "abc").cursor == 3)
    #expect(typed([.left, .left, .left, .left, .left], into: "abc").cursor == 0)
    #expect(typed([.control("a")], into: "abc").cursor == 0)
    #expect(typed([.control("a"), .control("e")], into: "abc").cursor == 3)
  }

  @Test("characters go before and after the cursor, whole words, and all before it")
  func removing() {
    #expect(typed([.backspace], into: "abc").text == "ab")
    #expect(typed([.left, .backspace], into: "abc") == typed([.left], into: "ac"))
    #expect(typed([.left, .delete], into: "abc").text == "ab")
    #expect(typed([.delete], into: "abc").text == "abc")
    #expect(typed([.home, .backspace], into: "abc").text == "abc")
    #expect(typed([.control("w")], into: "one two  ").text == "one ")
    #expect(typed([.control("w"), .control("w"), .control("w")], into: "one two").text == "")
    let editor = typed([.left, .left, .control("u")], into: "abcd")
    #expect(editor.text == "cd" && editor.cursor == 0)
    #expect(typed([.home, .right, .control("k")], into: "abcd").text == "a")
  }

  @Test("enter accepts, and escape, Ctrl-C and Ctrl-G cancel")
  func outcomes() {
    var editor = LineEditor("abc")
    #expect(editor.handle(.enter) == .accepted)
    for key in [Key.escape, .control("c"), .control("g")] {
      #expect(editor.handle(key) == .cancelled)
    }
    #expect(editor.text == "abc")
  }

  @Test("a mark joins the character before it, and the cursor stays behind that")
  func marks() {
    let editor = typed(characters("e") + [.character("\u{301}")])
    #expect(editor.text == "é" && editor.cursor == 1)
    let flags = typed([.character("\u{1F1E9}"), .left, .character("\u{1F1EA}")])
    #expect(flags.text.count == 1 && flags.cursor == 1)
  }

  @Test("a line is bounded in characters and bytes")
  func bounds() {
    #expect(typed(characters(String(repeating: "a", count: 300))).text.count == 256)
    #expect(LineEditor(String(repeating: "a", count: 300)).text.count == 256)
    #expect(LineEditor(String(repeating: "👨‍👩‍👧", count: 100)).text.utf8.count <= 1024)
    let marks = Array(repeating: Key.character("\u{301}"), count: 2000)
    #expect(typed(characters("a") + marks).text.utf8.count <= 1024)
  }

  @Test("any keys leave the cursor within the line")
  func randomKeys() {
    let keys: [Key] =
      [
        .left, .right, .home, .end, .backspace, .delete, .control("u"), .control("w"),
        .control("k"), .control("x"), .up, .tab, .function(3),
      ] + characters("ab 漢é") + [.character("\u{301}"), .character("\u{1F1E9}")]
    for seed in UInt64(0)..<200 {
      var random = SyntheticRandom(seed: seed)
      var editor = LineEditor("some text")
      for _ in 0..<100 {
        _ = editor.handle(random.pick(keys))
        #expect((0...editor.text.count).contains(editor.cursor), "seed \(seed)")
      }
    }
  }
}
