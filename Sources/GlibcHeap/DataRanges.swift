// The parts of the address space that can hold chunks.

package import HeapModel

/// Private writable anonymous memory, neighbouring mappings joined.
///
/// Mappings are no heap boundaries: the kernel splits them (huge pages, mlock, names) and merges them
/// with neighbours, and labels what is beside the break `[heap]`.
package struct DataRanges: Sendable {
  /// The ranges, ascending and disjoint.
  private(set) var ranges: [AddressRange]
  /// The same with memory of any protection: a page that the program has protected inside of a chunk
  /// ends no heap.
  private var reach: [AddressRange]
  /// The mappings themselves.
  private let mappings: [AddressRange]
  /// The mappings that the kernel calls the program break's.
  private(set) var breakMappings: [AddressRange]
  /// All mappings as they were given: what is said of files is asked for seldom.
  private let all: [MemoryMapping]

  /// Picks them from the target's mappings, which ascend, as the kernel lists them.
  package init(_ mappings: [MemoryMapping]) {
    let candidates = mappings.filter { $0.isPrivateAnonymousData }
      .sorted { $0.range.lowerBound < $1.range.lowerBound }
    ranges = Self.joined(candidates.map(\.range))
    reach = Self.joined(
      mappings.filter(\.isPrivateAnonymous).map(\.range).sorted { $0.lowerBound < $1.lowerBound })
    self.mappings = candidates.map(\.range)
    breakMappings = candidates.filter { $0.name == "[heap]" }.map(\.range)
    all = mappings
  }

  /// How many mappings of a file, and what lies between them, are looked back through for its first.
  private static let mappingsOfFile = 64

  /// The name of the file that is mapped at `address`, with the distance from where it begins.
  func place(inFile address: UInt64) -> String? {
    var low = 0
    var high = all.count
    while low < high {
      let middle = (low + high) / 2
      if all[middle].range.lowerBound.bits <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, all[low - 1].range.upperBound.bits > address,
      all[low - 1].name.hasPrefix("/")
    else { return nil }
    let path = all[low - 1].name
    var base = all[low - 1].range.lowerBound
    for mapping in all[..<low].suffix(Self.mappingsOfFile).reversed() where mapping.name == path {
      base = mapping.range.lowerBound
      // A file that is loaded twice begins twice.
      if mapping.fileOffset == 0 { break }
    }
    let name = path.split(separator: "/").last ?? ""
    return "\(name)+0x" + String(address &- base.bits, radix: 16)
  }

  /// Adds memory that was mapped since; only searches, for which all mappings count, leave it out.
  mutating func add(_ range: AddressRange) {
    Self.add(range, to: &ranges)
    Self.add(range, to: &reach)
    if let last = breakMappings.last, last.upperBound == range.lowerBound {
      breakMappings[breakMappings.count - 1] = AddressRange(last.lowerBound, range.upperBound)
    }
  }

  /// Adds `range` to ascending disjoint ranges, joined with its neighbours.
  private static func add(_ range: AddressRange, to ranges: inout [AddressRange]) {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < range.lowerBound { low = middle + 1 } else { high = middle }
    }
    var joined = range
    var end = low
    while end < ranges.count, ranges[end].lowerBound <= joined.upperBound {
      joined = AddressRange(
        min(joined.lowerBound, ranges[end].lowerBound),
        max(joined.upperBound, ranges[end].upperBound))
      end += 1
    }
    ranges.replaceSubrange(low..<end, with: [joined])
  }

  /// Where the program break's memory ends if `address` is in it.
  func breakEnd(containing address: UInt64) -> UInt64? {
    guard breakMappings.contains(where: { $0.contains(RemoteAddress(address)) }) else { return nil }
    return breakMappings.last?.upperBound.bits
  }

  private static func joined(_ sorted: [AddressRange]) -> [AddressRange] {
    var joined: [AddressRange] = []
    for range in sorted {
      if let last = joined.last, last.upperBound >= range.lowerBound {
        joined[joined.count - 1] = AddressRange(
          last.lowerBound, max(last.upperBound, range.upperBound))
      } else {
        joined.append(range)
      }
    }
    return joined
  }

  /// The range that `address` is in.
  func range(containing address: UInt64) -> AddressRange? {
    Self.range(containing: address, in: ranges)
  }

  /// Where the last range ends that begins before `address`.
  func end(before address: UInt64) -> UInt64? {
    ranges.last { $0.lowerBound.bits < address }?.upperBound.bits
  }

  /// Where the memory that `address` is in ends, whatever its protection.
  func reachEnd(containing address: UInt64) -> UInt64? {
    Self.range(containing: address, in: reach)?.upperBound.bits
  }

  /// The first address at or after `address` that is in a range.
  func start(atOrAfter address: UInt64) -> UInt64? {
    if range(containing: address) != nil { return address }
    return ranges.first { $0.lowerBound.bits >= address }?.lowerBound.bits
  }

  private static func range(
    containing address: UInt64, in ranges: [AddressRange]
  ) -> AddressRange? {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].lowerBound.bits <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, ranges[low - 1].upperBound.bits > address else { return nil }
    return ranges[low - 1]
  }

  /// Whether a pointer to a chunk's user bytes could be `address`.
  func canHoldUserPointer(_ address: UInt64) -> Bool {
    address & 15 == 0 && range(containing: address) != nil
  }

  /// The mappings without the parts that `excluded` covers, small ones first: a chunk's own mapping is
  /// small beside those that other allocators and runtimes reserve, which a search should not see
  /// before it must.
  func searchable(except excluded: [AddressRange]) -> [AddressRange] {
    let pieces = subtracting(excluded)
    return pieces.sorted { ($0.byteCount, $0.lowerBound) < ($1.byteCount, $1.lowerBound) }
  }

  private func subtracting(_ excluded: [AddressRange]) -> [AddressRange] {
    let holes = excluded.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
    var result: [AddressRange] = []
    // Holes may overlap each other, so the furthest end counts, not the last one's.
    var index = 0
    var covered = RemoteAddress(0)
    for range in mappings {
      var start = max(range.lowerBound, min(covered, range.upperBound))
      while index < holes.count, holes[index].lowerBound < range.upperBound {
        let hole = holes[index]
        if hole.lowerBound > start { result.append(AddressRange(start, hole.lowerBound)) }
        covered = max(covered, hole.upperBound)
        start = max(start, min(hole.upperBound, range.upperBound))
        index += 1
      }
      if start < range.upperBound { result.append(AddressRange(start, range.upperBound)) }
    }
    return result
  }
}
