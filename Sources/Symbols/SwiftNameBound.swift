// How long the source's name for one of Swift's can be, before it is made.

/// A bound for what the Swift runtime's demangler makes of a name.
///
/// That cannot be told how long its result may be. A name can refer to any part of itself again, and these to
/// others (swift's docs/ABI/Mangling.rst, "Substitutions"): what is counted here is how often the text may
/// double by that. Parts keep their size, and are numbered in the order in which they end.
struct SwiftNameBound {
  /// The longest result for which a name is demangled; half of it are real names of 3000 bytes.
  private static let limit = 16 << 20
  /// The most bytes that one operator adds, such as `reabstraction thunk helper from`.
  private static let operatorSize = 64
  /// What the names of Swift begin with.
  private static let prefixes = ["$s", "$S", "_$s", "_$S", "$e", "_$e", "_T0"].map {
    Array($0.utf8)
  }

  private let name: [UInt8]
  private var place = 0
  /// A bound for the size of all parts up to here.
  private var total = 0
  /// Bounds of the parts that were referred to, by their numbers.
  private var parts: [Int: Int] = [:]

  /// Whether it looks like a name of Swift's.
  static func isSwift(_ name: some Sequence<UInt8>) -> Bool {
    prefixes.contains { name.starts(with: $0) }
  }

  /// Looks through a name of Swift's.
  init(_ name: some Sequence<UInt8>) {
    self.name = Array(name)
    place = 2
    while place < self.name.count, total <= Self.limit {
      let letter = self.name[place]
      if letter == UInt8(ascii: "A") {
        place += 1
        takeReferences()
      } else if Self.digits.contains(letter) {
        takeIdentifier()
      } else {
        place += 1
        add(Self.operatorSize)
      }
    }
  }

  /// Whether the result cannot be too long.
  var isSmall: Bool { total <= Self.limit }

  private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
  private static let lower = UInt8(ascii: "a")...UInt8(ascii: "z")
  private static let upper = UInt8(ascii: "A")...UInt8(ascii: "Z")

  private mutating func add(_ count: Int, times: Int = 1) {
    let (product, overflow) = count.multipliedReportingOverflow(by: times)
    total = overflow || product > Self.limit ? Self.limit + 1 : total + product
  }

  private mutating func number() -> Int? {
    var value: Int?
    while place < name.count, Self.digits.contains(name[place]) {
      value = min((value ?? 0) * 10 + Int(name[place] & 15), 1 << 20)
      place += 1
    }
    return value
  }

  /// A number and as many letters; behind a zero, letters for words that there were before.
  private mutating func takeIdentifier() {
    if name[place] == UInt8(ascii: "0") {
      place += 1
      while place < name.count, Self.lower.contains(name[place]) || Self.upper.contains(name[place])
      {
        add(name.count)
        place += 1
        if Self.upper.contains(name[place - 1]) { break }
      }
    }
    guard let count = number() else { return }
    place += count
    add(count)
  }

  /// Letters for parts, each of which a number can precede: how often; the last one is a capital.
  private mutating func takeReferences() {
    while place < name.count {
      let count = number()
      guard place < name.count else { return }
      let letter = name[place]
      place += 1
      if Self.lower.contains(letter) {
        refer(to: Int(letter - UInt8(ascii: "a")), times: count ?? 1)
      } else if Self.upper.contains(letter) {
        refer(to: Int(letter - UInt8(ascii: "A")), times: count ?? 1)
        return
      } else {
        if letter == UInt8(ascii: "_") { refer(to: (count ?? -1) + 27, times: 1) }
        return
      }
    }
  }

  private mutating func refer(to part: Int, times: Int) {
    let size = parts.lazy.filter { $0.key >= part }.map(\.value).min() ?? total
    parts[part] = size
    add(size, times: times)
  }
}
