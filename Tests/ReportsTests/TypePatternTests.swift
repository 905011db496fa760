// The patterns by which types are chosen.

import HeapAnalysis
import HeapModel
import Testing

@Suite("Type patterns")
struct TypePatternTests {
  private func names(_ pattern: String) throws -> [String] {
    let choice = try TypePattern(parsing: pattern).choice(of: TypeFixtures.types)
    return zip(TypeFixtures.types, choice).filter(\.1).map(\.0.name)
  }

  @Test(
    "sizes are those in the last brackets that can be sizes of a chunk",
    arguments: [
      ("[2048]", "", 2048...2048), ("Session[1k-8k]", "Session", 1024...8192),
      ("std::.*[2k+]", "std::.*", 2048...UInt64.max), ("x[-1024]", "x", 0...1024),
      ("[1M+]", "", 1_048_576...UInt64.max), ("a[0-9][64]", "a[0-9]", 64...64),
      ("^a$[1g-2G]", "^a$", 1 << 30...2 << 30), ("malloc[50k+]", "malloc", 51200...UInt64.max),
    ] as [(String, String, ClosedRange<UInt64>)])
  func sizes(text: String, expression: String, sizes: ClosedRange<UInt64>) throws {
    let pattern = try TypePattern(parsing: text)
    #expect(pattern.expression == expression)
    #expect(pattern.sizes == sizes)
  }

  @Test(
    "other brackets are characters",
    arguments: [
      "", "Session", "[a-z]+", "v[0-9]", "x[15]", "[2048]{1}", "a\\[2048]", "[[:alpha:]]", "[k]",
      "[1k-x]", "[1.5k]", "[2k+-3k]", "[1-2-3]", "a[^48]", "[+]",
    ])
  func expressions(text: String) throws {
    let pattern = try TypePattern(parsing: text)
    #expect(pattern.expression == text)
    #expect(pattern.sizes == nil)
  }

  @Test("what cannot be read is named, with the place")
  func errors() {
    func error(_ text: String) -> TypePatternError? {
      do throws(TypePatternError) {
        _ = try TypePattern(parsing: text)
        return nil
      } catch {
        return error
      }
    }
    #expect(error("ab(c") == .notAnExpression("ab(c", what: "expected ')'", character: 5))
    #expect(
      error("Session[]")
        == .notAnExpression(
          "Session[]", what: "expected custom character class members", character: 8))
    #expect(
      error("*x[64]")
        == .notAnExpression(
          "*x", what: "quantifier '*' must appear after expression", character: 1))
    #expect(error("x[8k-1k]") == .emptyRange("8k-1k"))
    #expect(error("x[99999999999g+]") == .sizeTooLarge("99999999999g+"))
    #expect(error("x[20000000000000000000]") == .sizeTooLarge("20000000000000000000"))
    let long = String(repeating: "(", count: 5000)
    #expect(error(long) == .tooLong(characters: 5000))
    // The library's parser would run out of stack.
    for bracket in ["(", "[", "(?="] {
      let nested = String(repeating: bracket, count: 64)
      #expect(error(nested) != nil)
      #expect(error(nested + "[(") == .tooManyBrackets(66))
    }
  }

  @Test("no pattern ends us, however odd", arguments: 0..<400)
  func oddPatterns(seed: Int) {
    let alphabet = Array("()[]{}*+?|\\^$.,-:=!<>#&~aZ09kM \u{E9}\u{1B}")
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func next(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(limit))
    }
    for _ in 0..<20 {
      let text = String((0..<next(12)).map { _ in alphabet[next(alphabet.count)] })
      _ = try? TypePattern(parsing: text).choice(of: TypeFixtures.types)
    }
  }

  @Test("a name is searched, of the case that is written, unless bound to its ends")
  func matching() throws {
    #expect(try names("") == TypeFixtures.types.map(\.name))
    #expect(try names("ession") == ["Session", "std::string[] of Session+32", "Session"])
    #expect(try names("^Session$") == ["Session", "Session"])
    #expect(try names("session").isEmpty)
    #expect(try names("(?i)^SESSION$").count == 2)
    #expect(
      try names("^std::(run|str)") == ["std::runtime_error", "std::string[] of Session+32"])
    #expect(try names("\\[\\]") == ["std::string[] of Session+32"])
    #expect(try names("(a+)+$[16+]").isEmpty)
  }

  @Test("two words mean all that is neither C++ nor Swift", arguments: ["malloc", "non-object"])
  func untyped(word: String) throws {
    let expected = TypeFixtures.types.filter { $0.kind != .cxx && $0.kind != .swift }.map(\.name)
    #expect(try names(word) == expected)
    #expect(try names(word + "[1k+]") == expected)
    #expect(try names("^\(word)$").isEmpty)
  }
}
