// What a user writes to choose chunks, read strictly.

package import HeapModel

/// Why a criterion for chunks could not be read.
package enum ChunkFilterError: Error, Hashable, Sendable {
  /// The text is neither a size nor a range of sizes, such as `64`, `48..96`, `>1k`, `..4k`.
  case notASize(String)
  /// The size is larger than 64 bits can hold.
  case sizeTooLarge(String)
  /// No size can lie in the range.
  case emptyRange(String)
  /// The text is no state's name.
  case notAState(String)
  /// The text is neither an arena's index nor `mmap`.
  case notAnArena(String)
  /// The text is no hexadecimal address.
  case notAnAddress(String)
}

extension ChunkFilter {
  /// Reads a size or a range of sizes; both ends of a range belong to it.
  ///
  /// Forms: `64`, `48..96`, `48..`, `..96`, `>1k`, `>=1k`, `<1k`, `<=1k`. A number may have the
  /// suffix k, M, G or T (of either case), which multiplies it by a power of 1024.
  ///
  /// - Throws: `notASize`, `sizeTooLarge` or `emptyRange`.
  package static func parseSizes(
    _ text: String
  ) throws(ChunkFilterError) -> ClosedRange<UInt64> {
    let compact = String(text.filter { $0 != " " })
    let bytes = compact.utf8[...]
    if compact.hasPrefix(">") || compact.hasPrefix("<") {
      return try parseComparison(bytes, in: text)
    }
    guard let dot = bytes.firstIndex(of: UInt8(ascii: ".")) else {
      let size = try parseSize(bytes, in: text)
      return size...size
    }
    let low = bytes[..<dot]
    let dots = bytes[dot...].prefix { $0 == UInt8(ascii: ".") }
    let high = bytes[dots.endIndex...]
    guard dots.count == 2, !(low.isEmpty && high.isEmpty) else { throw .notASize(text) }
    let first = low.isEmpty ? 0 : try parseSize(low, in: text)
    let last = high.isEmpty ? UInt64.max : try parseSize(high, in: text)
    guard first <= last else { throw .emptyRange(text) }
    return first...last
  }

  /// Reads state names joined by commas; `free` is short for `binned`, `cached` for both
  /// `tcache` and `fastbin`.
  ///
  /// - Throws: `notAState`.
  package static func parseStates(_ text: String) throws(ChunkFilterError) -> Set<ChunkState> {
    var states: Set<ChunkState> = []
    for name in text.split(separator: ",", omittingEmptySubsequences: false) {
      switch name {
      case "free": states.insert(.binned)
      case "cached": states.formUnion([.tcache, .fastbin])
      default:
        guard let state = ChunkState.allCases.first(where: { $0.name == name }) else {
          throw .notAState(String(name))
        }
        states.insert(state)
      }
    }
    return states
  }

  /// Reads an arena's index, `main` for the first, or `mmap`.
  ///
  /// - Throws: `notAnArena`.
  package static func parseOrigin(_ text: String) throws(ChunkFilterError) -> Origin {
    if text == "mmap" { return .mmap }
    if text == "main" { return .arena(0) }
    guard let index = Int32(text), index >= 0 else { throw .notAnArena(text) }
    return .arena(index)
  }

  /// Reads a hexadecimal address, with `0x` before it or without.
  ///
  /// - Throws: `notAnAddress`.
  package static func parseAddress(_ text: String) throws(ChunkFilterError) -> RemoteAddress {
    let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? text.dropFirst(2) : text[...]
    guard let first = digits.first, first.isHexDigit, let bits = UInt64(digits, radix: 16) else {
      throw .notAnAddress(text)
    }
    return RemoteAddress(bits)
  }

  private static func parseComparison(
    _ bytes: Substring.UTF8View, in text: String
  ) throws(ChunkFilterError) -> ClosedRange<UInt64> {
    let isLowerBound = bytes.first == UInt8(ascii: ">")
    let rest = bytes.dropFirst()
    let includesBound = rest.first == UInt8(ascii: "=")
    let bound = try parseSize(includesBound ? rest.dropFirst() : rest, in: text)
    if includesBound { return isLowerBound ? bound...UInt64.max : 0...bound }
    guard bound != (isLowerBound ? UInt64.max : 0) else { throw .emptyRange(text) }
    return isLowerBound ? bound + 1...UInt64.max : 0...bound - 1
  }

  /// Reads one size, a number with or without a suffix; errors say that they are about `text`.
  static func parseSize(
    _ bytes: Substring.UTF8View, in text: String
  ) throws(ChunkFilterError) -> UInt64 {
    let digits = bytes.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    let shift: UInt64
    switch bytes[digits.endIndex...].map({ $0 | 0x20 }) {
    case []: shift = 0
    case [UInt8(ascii: "k")]: shift = 10
    case [UInt8(ascii: "m")]: shift = 20
    case [UInt8(ascii: "g")]: shift = 30
    case [UInt8(ascii: "t")]: shift = 40
    default: throw .notASize(text)
    }
    guard !digits.isEmpty else { throw .notASize(text) }
    guard let number = UInt64(Substring(digits)), number <= UInt64.max >> shift else {
      throw .sizeTooLarge(text)
    }
    return number << shift
  }
}
