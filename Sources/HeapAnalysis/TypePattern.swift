// What a user writes to choose types: a regular expression, and the sizes of the chunks.

package import HeapModel

/// Why a pattern for types could not be read.
package enum TypePatternError: Error, Hashable, Sendable {
  /// The text is no regular expression: what is wrong, and at which character, counted from 1.
  case notAnExpression(String, what: String, character: Int?)
  /// The pattern is longer than anyone writes by hand.
  case tooLong(characters: Int)
  /// It opens more parentheses and brackets than the library can be trusted with.
  case tooManyBrackets(Int)
  /// The size behind the expression is larger than 64 bits can hold.
  case sizeTooLarge(String)
  /// No size can lie in the range behind the expression.
  case emptyRange(String)
}

/// A choice of types by their names, and of their chunks by size.
///
/// It is an extended regular expression that is looked for anywhere in the name, of either case as it
/// is written: `^` and `$` bind it to the ends. The word `malloc` or `non-object` alone stands for all
/// that is neither C++ nor Swift. Behind it, or alone, can be the sizes of chunks, with their headers
/// as everywhere: `[2048]`, `[1k-8k]`, `[50k+]`, `[-1024]`, both ends included, with the units k, m, g
/// and t, which are powers of 1024.
///
/// What stands in brackets at the end is the sizes only if it can be read so and some chunk can have
/// such a size, of which the least is 16: `[a-z]` and `[0-9]` are characters, as is `[2048]{1}`.
package struct TypePattern: Hashable, Sendable {
  /// The longest pattern, in characters.
  private static let longest = 4096
  /// The most brackets: the library reads them recursively, and ends us where the stack does.
  private static let mostBrackets = 64

  /// The expression without the sizes, "" for all names.
  package let expression: String
  /// The sizes wanted, nil for all.
  package let sizes: ClosedRange<UInt64>?

  /// Reads a pattern.
  ///
  /// - Throws: `TypePatternError`.
  package init(parsing text: String) throws(TypePatternError) {
    guard text.count <= Self.longest else { throw .tooLong(characters: text.count) }
    let brackets = text.utf8.count { $0 == UInt8(ascii: "(") || $0 == UInt8(ascii: "[") }
    guard brackets <= Self.mostBrackets else { throw .tooManyBrackets(brackets) }
    (expression, sizes) = try Self.divided(text)
    if !isUntyped { _ = try Self.compiled(expression) }
  }

  /// Whether all types are wanted that are neither C++ nor Swift.
  private var isUntyped: Bool { expression == "malloc" || expression == "non-object" }

  /// For each of `types` whether it is wanted.
  package func choice(of types: [HeldType]) -> [Bool] {
    let isWanted = test()
    return types.map { isWanted($0.name, $0.kind) }
  }

  /// What tells whether a type of some name and kind is wanted, whatever its chunks' sizes.
  package func test() -> (_ name: String, _ kind: HeldKind) -> Bool {
    if expression.isEmpty { return { _, _ in true } }
    if isUntyped { return { _, kind in kind != .cxx && kind != .swift } }
    guard let regex = try? Self.compiled(expression) else { return { _, _ in false } }
    return { name, _ in name.contains(regex) }
  }

  // MARK: Reading

  private static func compiled(
    _ expression: String
  ) throws(TypePatternError) -> Regex<AnyRegexOutput> {
    do {
      return try Regex(expression).matchingSemantics(.unicodeScalar)
    } catch {
      throw .notAnExpression(
        expression, what: "\(error)", character: character(of: error, in: expression))
    }
  }

  /// Where an error is, which the library only tells in a type of its own.
  private static func character(of error: any Error, in expression: String) -> Int? {
    let place = Mirror(reflecting: error).descendant("location", "range") as? Range<String.Index>
    guard let start = place?.lowerBound, start <= expression.endIndex else { return nil }
    return expression.distance(from: expression.startIndex, to: start) + 1
  }

  /// The expression and the sizes behind it.
  private static func divided(
    _ text: String
  ) throws(TypePatternError) -> (String, ClosedRange<UInt64>?) {
    guard text.last == "]", let bracket = text.lastIndex(of: "[") else { return (text, nil) }
    let before = text[..<bracket]
    let escapes = before.reversed().prefix { $0 == "\\" }.count
    let inside = text[text.index(after: bracket)...].dropLast()
    guard escapes.isMultiple(of: 2), let sizes = try sizes(inside),
      sizes.upperBound >= SizeRanges.bounds[0]
    else { return (text, nil) }
    return (String(before), sizes)
  }

  /// The sizes between two brackets, nil if it is something else.
  private static func sizes(
    _ text: Substring
  ) throws(TypePatternError) -> ClosedRange<UInt64>? {
    let whole = String(text)
    let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    do throws(ChunkFilterError) {
      switch (parts.count, parts.first, parts.last) {
      case (1, let only?, _) where only.last == UInt8(ascii: "+"):
        return try ChunkFilter.parseSize(Substring(only.dropLast()).utf8, in: whole)...UInt64.max
      case (1, let only?, _):
        let size = try ChunkFilter.parseSize(Substring(only).utf8, in: whole)
        return size...size
      case (2, let low?, let high?):
        let first = low.isEmpty ? 0 : try ChunkFilter.parseSize(Substring(low).utf8, in: whole)
        let last = try ChunkFilter.parseSize(Substring(high).utf8, in: whole)
        guard first <= last else { throw .emptyRange(whole) }
        return first...last
      default: return nil
      }
    } catch {
      switch error {
      case .sizeTooLarge: throw .sizeTooLarge(whole)
      case .emptyRange: throw .emptyRange(whole)
      default: return nil
      }
    }
  }
}
