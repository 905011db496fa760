// One spelling for what compilers and demanglers write differently: `const char *`, `char const*`.

/// Writes the name of a type as all others are written: without spaces, with `const` behind what it is said
/// of, and with one order and number of the words of `unsigned long int`.
///
/// GCC's debug information has `Holder<long unsigned int, 4>`, clang's `Holder<unsigned long, 4>`, and the
/// demangler `Holder<unsigned long, 4ul>`.
struct TypeSpelling {
  /// Deeper ones are written as they are.
  private static let depthLimit = 64

  /// Longer names are not looked at.
  static let lengthLimit = 4096
  /// What demanglers call a namespace without a name.
  static let anonymous = Array("(anonymous namespace)".utf8)
  /// Words of which a number's type has several.
  private static let numberWords = [
    "__int128", "char", "double", "int", "long", "short", "signed", "unsigned",
  ].map { Array($0.utf8) }
  private static let int = 3
  private static let char = 1
  private static let signed = 6
  private static let qualifiers = ["const", "volatile"].map { Array($0.utf8) }

  private let text: [UInt8]
  private var place = 0
  private var result: [UInt8] = []

  /// The name in the common spelling.
  static func common(_ name: some Sequence<UInt8>) -> [UInt8] {
    var spelling = TypeSpelling(Array(name))
    spelling.takeType(depth: 0)
    return spelling.result
  }

  /// The parts of a name in the common spelling that are its scopes, and the last one.
  static func components(_ name: [UInt8]) -> [ArraySlice<UInt8>] {
    var parts: [ArraySlice<UInt8>] = []
    var start = 0
    var depth = 0
    var index = 0
    while index < name.count {
      switch name[index] {
      case UInt8(ascii: "<"), UInt8(ascii: "("): depth += 1
      case UInt8(ascii: ">"), UInt8(ascii: ")"): depth -= 1
      case UInt8(ascii: ":") where depth == 0 && index + 1 < name.count && name[index + 1] == 58:
        parts.append(name[start..<index])
        start = index + 2
        index += 1
      default: break
      }
      index += 1
    }
    return parts + [name[start...]]
  }

  private init(_ text: [UInt8]) {
    self.text = text
    result.reserveCapacity(text.count)
  }

  private mutating func takeLetter() {
    result.append(text[place])
    place += 1
  }

  /// Takes a type up to the comma or the bracket behind it; if it is in none, all there is.
  private mutating func takeType(depth: Int) {
    var waiting: [[UInt8]] = []
    var words: [Int] = []
    var hasName = false
    while place < text.count {
      let letter = text[place]
      if letter == UInt8(ascii: " ") {
        place += 1
        continue
      }
      if let word = takeWord() {
        if let number = Self.numberWords.firstIndex(of: word) {
          words.append(number)
          hasName = true
        } else if Self.qualifiers.contains(word) {
          if hasName {
            put(&words)
            result += word
          } else {
            waiting.append(word)
          }
        } else {
          put(&words)
          result += word
          hasName = true
        }
        continue
      }
      if [UInt8(ascii: ","), UInt8(ascii: ">"), UInt8(ascii: ")")].contains(letter), depth > 0 {
        break
      }
      let opens = letter == UInt8(ascii: "<") || letter == UInt8(ascii: "(")
      if letter != UInt8(ascii: "<"), letter != UInt8(ascii: ":") {
        put(&words)
        for qualifier in waiting { result += qualifier }
        waiting = []
      }
      put(&words)
      takeLetter()
      if opens, depth < Self.depthLimit {
        takeList(depth: depth)
        hasName = true
      }
    }
    put(&words)
    for qualifier in waiting { result += qualifier }
  }

  /// Takes types and the bracket behind them.
  private mutating func takeList(depth: Int) {
    while place < text.count {
      takeType(depth: depth + 1)
      guard place < text.count else { return }
      let isEnd = text[place] != UInt8(ascii: ",")
      takeLetter()
      if isEnd { return }
    }
  }

  /// Takes an identifier or a number; of the latter only the digits are kept.
  private mutating func takeWord() -> [UInt8]? {
    if text[place...].starts(with: Self.anonymous) {
      place += Self.anonymous.count
      return Self.anonymous
    }
    let word = Array(text[place...].prefix(while: Self.isOfWord))
    guard let first = word.first else { return nil }
    place += word.count
    guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return word }
    return Array(word.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
  }

  private static func isOfWord(_ letter: UInt8) -> Bool {
    switch letter {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
      true
    default: false
    }
  }

  /// Writes the words of a number's type in their order, without those that say nothing.
  private mutating func put(_ words: inout [Int]) {
    guard !words.isEmpty else { return }
    var kept = words.sorted()
    if kept.count > 1 { kept.removeAll { $0 == Self.int } }
    if !kept.contains(Self.char), kept.count > 1 { kept.removeAll { $0 == Self.signed } }
    if kept == [Self.signed] || kept.isEmpty { kept = [Self.int] }
    for word in kept { result += Self.numberWords[word] }
    words = []
  }
}
