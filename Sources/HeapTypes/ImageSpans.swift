// Which binary's memory a word points into, told in a few ns for words that point nowhere.

import HeapModel

/// The parts of all binaries, to be found by address.
///
/// Words are tested once for each of the first 64 bytes of a chunk, and most are no pointers into a binary.
/// So there is a table of the places of 16 MiB that hold parts, in which no two share an entry, and for
/// each such place a table of its pages.
struct ImageSpans {
  /// The address bits within one place, 16 MiB.
  private static let placeBits: UInt64 = 24
  /// The address bits within one page of the tables; no page of a real machine is smaller.
  private static let pageBits: UInt64 = 12
  private static let pagesPerPlace = 1 << Int(placeBits - pageBits)
  /// No more places than this are known, 64 GiB of binaries; the tables have 8 KiB for each.
  private static let mostPlaces = 4096
  /// No more parts than this are known.
  private static let mostParts = 65_000

  /// One part of a binary.
  struct Part {
    var lower: UInt64
    var upper: UInt64
    /// The number of its binary.
    var binary: Int
    var isExecutable: Bool
    var isWritable: Bool
  }

  private struct Place {
    /// The address without its low bits, all ones if there is none.
    var number: UInt64
    /// Where its pages begin in the table of pages.
    var firstPage: Int
  }

  /// The parts, ascending by address.
  private(set) var parts: [Part] = []
  /// Where the first begins, and the first behind the widest gap: mostly the first library, with the heap
  /// and much else between it and the program.
  private var starts: (low: UInt64, high: UInt64) = (0, 0)
  /// How far it is from there to the gap, and to the end of the last.
  private var extents: (low: UInt64, high: UInt64) = (0, 0)
  private var places: [Place] = []
  private var placeMask: UInt64 = 0
  /// For each page of the places 1 more than the number of the first part that touches it, 0 if none does.
  private var pages: [UInt16] = []

  /// Builds the tables for `binaries`.
  init(_ binaries: [MappedBinary]) {
    for (index, binary) in binaries.enumerated() {
      for part in binary.parts where !part.range.isEmpty {
        parts.append(
          Part(
            lower: part.range.lowerBound.bits, upper: part.range.upperBound.bits, binary: index,
            isExecutable: part.isExecutable, isWritable: part.isWritable))
      }
    }
    parts.sort { $0.lower < $1.lower }
    parts.removeLast(max(0, parts.count - Self.mostParts))
    findGap()
    buildTables()
  }

  private mutating func findGap() {
    guard let first = parts.first else { return }
    var end = first.upper
    var gap = (lower: end, upper: end)
    for part in parts {
      if part.lower > end, part.lower &- end > gap.upper &- gap.lower { gap = (end, part.lower) }
      end = max(end, part.upper)
    }
    starts = (first.lower, gap.upper)
    let hasGap = gap.upper > gap.lower
    extents =
      hasGap
      ? (gap.lower &- first.lower, end &- gap.upper) : (end &- first.lower, 0)
  }

  private mutating func buildTables() {
    var numbers: [UInt64] = []
    for (index, part) in parts.enumerated() {
      var page = part.lower >> Self.pageBits
      let last = (part.upper &- 1) >> Self.pageBits
      while page <= last {
        let number = page >> (Self.placeBits - Self.pageBits)
        if numbers.last != number {
          guard numbers.count < Self.mostPlaces else { break }
          numbers.append(number)
          pages += repeatElement(0, count: Self.pagesPerPlace)
        }
        let place = (numbers.count - 1) * Self.pagesPerPlace
        let entry = place + Int(page & UInt64(Self.pagesPerPlace - 1))
        if pages[entry] == 0 { pages[entry] = UInt16(index + 1) }
        page += 1
      }
    }
    var size = 16
    while !fillPlaces(numbers, size: size) { size *= 2 }
  }

  /// Puts the places into a table of `size` entries, and returns false if two fell on the same
  /// and a larger table can help.
  private mutating func fillPlaces(_ numbers: [UInt64], size: Int) -> Bool {
    places = Array(repeating: Place(number: .max, firstPage: 0), count: size)
    placeMask = UInt64(size - 1)
    for (index, number) in numbers.enumerated() {
      let entry = Int(Self.spread(number) & placeMask)
      guard places[entry].number == .max else {
        if size < 1 << 20 { return false }
        // Only this place stays unknown.
        continue
      }
      places[entry] = Place(number: number, firstPage: index * Self.pagesPerPlace)
    }
    return true
  }

  /// Numbers of places that follow one another stay apart, and those far apart meet seldom.
  private static func spread(_ number: UInt64) -> UInt64 {
    number ^ (number >> 10) ^ (number >> 21)
  }

  /// Whether a part can hold `address`: most words are no addresses at all.
  @inline(__always)
  func mayHold(_ address: UInt64) -> Bool {
    (address &- starts.low < extents.low) != (address &- starts.high < extents.high)
  }

  /// The number of the part that holds `address`, nil if none does.
  @inline(__always)
  func part(at address: UInt64) -> Int? {
    guard mayHold(address) else { return nil }
    let number = address >> Self.placeBits
    let place = places[Int(Self.spread(number) & placeMask)]
    guard place.number == number else { return nil }
    let page = Int((address >> Self.pageBits) & UInt64(Self.pagesPerPlace - 1))
    let entry = pages[place.firstPage + page]
    guard entry != 0 else { return nil }
    return part(at: address, from: Int(entry) - 1)
  }

  /// The same, known to be none before part `first`.
  private func part(at address: UInt64, from first: Int) -> Int? {
    var index = first
    while index < parts.count, parts[index].lower <= address {
      if address < parts[index].upper { return index }
      index += 1
    }
    return nil
  }

  /// Whether `address` lies in code.
  func isCode(_ address: UInt64) -> Bool {
    part(at: address).map { parts[$0].isExecutable } ?? false
  }

  /// Whether `address` lies in a binary, but not in code.
  func isData(_ address: UInt64) -> Bool {
    part(at: address).map { !parts[$0].isExecutable } ?? false
  }
}
