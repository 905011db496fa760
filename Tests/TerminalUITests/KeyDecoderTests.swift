// Keys from bytes, however the bytes are cut, and nothing from bytes that are no keys.

import TerminalUI
import TestKit
import Testing

@Suite("Keys")
struct KeyDecoderTests {
  private static let sequences: [(bytes: String, keys: [Key])] = [
    ("a", [.character("a")]), (" ", [.character(" ")]), ("~", [.character("~")]),
    ("é", [.character("é")]), ("漢", [.character("漢")]), ("🙂", [.character("🙂")]),
    ("\t", [.tab]), ("\r", [.enter]), ("\n", [.enter]), ("\u{8}", [.backspace]),
    ("\u{7F}", [.backspace]), ("\u{1}", [.control("a")]), ("\u{C}", [.control("l")]),
    ("\u{1A}", [.control("z")]), ("\u{0}", [.control("@")]), ("\u{1C}", [.control("\\")]),
    ("\u{1F}", [.control("_")]),
    // xterm and VT220.
    ("\u{1B}[A", [.up]), ("\u{1B}[B", [.down]), ("\u{1B}[C", [.right]), ("\u{1B}[D", [.left]),
    ("\u{1B}OA", [.up]), ("\u{1B}OB", [.down]), ("\u{1B}OC", [.right]), ("\u{1B}OD", [.left]),
    ("\u{1B}[H", [.home]), ("\u{1B}[F", [.end]), ("\u{1B}OH", [.home]), ("\u{1B}OF", [.end]),
    ("\u{1B}[1~", [.home]), ("\u{1B}[4~", [.end]), ("\u{1B}[2~", [.insert]),
    ("\u{1B}[3~", [.delete]), ("\u{1B}[5~", [.pageUp]), ("\u{1B}[6~", [.pageDown]),
    ("\u{1B}[Z", [.backTab]), ("\u{1B}OP", [.function(1)]), ("\u{1B}OS", [.function(4)]),
    ("\u{1B}[15~", [.function(5)]), ("\u{1B}[17~", [.function(6)]),
    ("\u{1B}[21~", [.function(10)]), ("\u{1B}[23~", [.function(11)]),
    ("\u{1B}[24~", [.function(12)]), ("\u{1B}[25~", [.function(13)]),
    ("\u{1B}[29~", [.function(16)]), ("\u{1B}[34~", [.function(20)]),
    // Modifiers.
    ("\u{1B}[1;5A", [.up]), ("\u{1B}[1;2H", [.home]), ("\u{1B}[3;5~", [.delete]),
    ("\u{1B}[1;5P", [.function(1)]), ("\u{1B}[1;2R", [.function(3)]), ("\u{1B}O5A", [.up]),
    ("\u{1B}[15;2~", [.function(5)]), ("\u{1B}x", [.character("x")]),
    ("\u{1B}é", [.character("é")]),
    ("\u{1B}\u{7F}", [.backspace]), ("\u{1B}\r", [.enter]),
    // The keypad.
    ("\u{1B}OM", [.enter]), ("\u{1B}Op", [.character("0")]), ("\u{1B}Oy", [.character("9")]),
    ("\u{1B}Ok", [.character("+")]), ("\u{1B}Oo", [.character("/")]),
    // The Linux console, tmux and rxvt.
    ("\u{1B}[[A", [.function(1)]), ("\u{1B}[[E", [.function(5)]), ("\u{1B}[7~", [.home]),
    ("\u{1B}[8~", [.end]), ("\u{1B}[a", [.up]), ("\u{1B}Oa", [.up]), ("\u{1B}[3$", [.delete]),
    ("\u{1B}[5^", [.pageUp]), ("\u{1B}[6@", [.pageDown]), ("\u{1B}[11~", [.function(1)]),
    ("\u{1B}[14~", [.function(4)]), ("\u{1B}\u{1B}[A", [.up]), ("\u{1B}\u{1B}OB", [.down]),
    // No keys: pasting, the mouse, the focus, reports, strings, what nobody sends.
    ("\u{1B}[200~ab\u{1B}[201~", [.character("a"), .character("b")]), ("\u{1B}[I", []),
    ("\u{1B}[O", []), ("\u{1B}[<0;33;12M", []), ("\u{1B}[<0;33;12m", []), ("\u{1B}[M !!", []),
    ("\u{1B}[32;10;20M", []), ("\u{1B}[24;80R", []), ("\u{1B}[?1;2c", []), ("\u{1B}[?2026;2$y", []),
    ("\u{1B}[4;2$y", []), ("\u{1B}[999~", []), ("\u{1B}[99999999999999999999~", []),
    ("\u{1B}[E", []), ("\u{1B}[97;5u", []), ("\u{1B}[ q", []), ("\u{1B}]11;rgb:0/0/0\u{7}", []),
    ("\u{1B}]11;rgb:0/0/0\u{1B}\\", []), ("\u{1B}P1$r0m\u{1B}\\", []), ("\u{1B}_G\u{1B}\\", []),
    ("\u{1B}[;~", []), ("\u{85}", []), ("\u{9B}", []),
  ]

  @Test("a sequence is its key, whole and cut in two anywhere")
  func sequences() {
    for (text, keys) in Self.sequences {
      // A key behind it shows that exactly the sequence has been taken.
      let bytes = Array(text.utf8) + [UInt8(ascii: "Q")]
      let expected = keys + [.character("Q")]
      for cut in 0...bytes.count {
        var decoder = KeyDecoder()
        let first = decoder.keys(from: Array(bytes[..<cut]))
        let both = first + decoder.keys(from: Array(bytes[cut...]))
        #expect(both == expected, "\(text.debugDescription) cut at \(cut)")
        #expect(!decoder.isWaiting)
      }
    }
  }

  @Test("one byte at a time is as good as all at once")
  func singleBytes() {
    var decoder = KeyDecoder()
    var keys: [Key] = []
    for (text, _) in Self.sequences {
      for byte in text.utf8 { keys += decoder.keys(from: [byte]) }
    }
    #expect(keys == Self.sequences.flatMap(\.keys))
  }

  @Test("an escape that stands alone is the key once nothing follows")
  func escape() {
    var decoder = KeyDecoder()
    #expect(decoder.keys(from: [0x1B]) == [])
    #expect(decoder.isWaiting)
    #expect(decoder.finish() == [.escape])
    #expect(!decoder.isWaiting)
    #expect(decoder.finish() == [])
    #expect(decoder.keys(from: [0x1B, 0x1B]) == [])
    #expect(decoder.finish() == [.escape, .escape])
    #expect(decoder.keys(from: [0x1B, 0x1B, 0x1B]) == [.escape])
    #expect(decoder.finish() == [.escape, .escape])
    #expect(decoder.keys(from: Array("\u{1B}\u{1B}q".utf8)) == [.escape, .character("q")])
  }

  @Test(
    "what else is partial is dropped once nothing follows",
    arguments: [
      "\u{1B}[", "\u{1B}[1;", "\u{1B}O", "\u{1B}[M!", "\u{1B}P", "\u{1B}]0;text", "\u{1B}[[",
    ])
  func partial(text: String) {
    var decoder = KeyDecoder()
    #expect(decoder.keys(from: Array(text.utf8)) == [])
    #expect(decoder.isWaiting)
    #expect(decoder.finish() == [])
    #expect(!decoder.isWaiting)
    #expect(decoder.keys(from: Array("a".utf8)) == [.character("a")])
  }

  @Test("a character cut off is waited for, and dropped once nothing follows")
  func partialCharacter() {
    var decoder = KeyDecoder()
    #expect(decoder.keys(from: [0xE6, 0xBC]) == [])
    #expect(decoder.isWaiting)
    #expect(decoder.keys(from: [0xA2]) == [.character("漢")])
    #expect(decoder.keys(from: [0xF0, 0x9F]) == [])
    #expect(decoder.finish() == [])
    #expect(decoder.keys(from: [0x99, 0x82, 0x61]) == [.character("a")])
  }

  @Test(
    "malformed UTF-8 is dropped, and what follows is read",
    arguments: [
      [0x80], [0xFF], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xC3],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80], [0xE6, 0xBC], [0xF0, 0x9F, 0x99], [0xFE, 0xFE],
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    var decoder = KeyDecoder()
    #expect(decoder.keys(from: bytes + Array("a\u{1B}[A".utf8)) == [.character("a"), .up])
    #expect(!decoder.isWaiting)
  }

  @Test("a sequence that is cut off by another does not spoil it")
  func cutOff() {
    var decoder = KeyDecoder()
    #expect(decoder.keys(from: Array("\u{1B}[1;\u{1B}[A".utf8)) == [.up])
    #expect(decoder.keys(from: Array("\u{1B}[ \u{1B}[A".utf8)) == [.up])
    #expect(decoder.keys(from: Array("\u{1B}]0;x\u{1B}[A".utf8)) == [.up])
    #expect(decoder.keys(from: Array("\u{1B}[1\r".utf8)) == [.enter])
    #expect(decoder.keys(from: Array("\u{1B}O\u{1B}[B".utf8)) == [.down])
  }

  @Test("a sequence of any length ends, and is not kept")
  func longSequences() {
    var decoder = KeyDecoder()
    let digits = String(repeating: "1;", count: 50_000)
    #expect(decoder.keys(from: Array("\u{1B}[\(digits)Aq".utf8)) == [.character("q")])
    #expect(decoder.keys(from: Array("\u{1B}]\(digits)\u{7}q".utf8)) == [.character("q")])
  }

  @Test("any bytes are survived, and how they are cut does not matter")
  func randomBytes() {
    let alphabet = Array("\u{1B}\u{1B}\u{1B}[[OM<?;$~ 159APz\r\u{7}\\é漢🙂".utf8)
    for seed in UInt64(0)..<2000 {
      var random = SyntheticRandom(seed: seed)
      let isWild = random.chance(30)
      let bytes = (0..<random.below(120)).map { _ in
        isWild ? UInt8(random.below(256)) : random.pick(alphabet)
      }
      var whole = KeyDecoder()
      let expected = whole.keys(from: bytes)
      var parts = KeyDecoder()
      var keys: [Key] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        let part = rest.prefix(1 + random.index(5))
        keys += parts.keys(from: Array(part))
        rest = rest.dropFirst(part.count)
      }
      #expect(keys == expected, "seed \(seed): \(bytes)")
      #expect(parts.isWaiting == whole.isWaiting, "seed \(seed)")
      #expect(parts.finish() == whole.finish(), "seed \(seed)")
    }
  }
}
