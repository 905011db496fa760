// The memory of a process that does not exist: bytes with mappings around them, both changeable.

package import HeapModel
package import RemoteMemory

/// Mapped memory that a test fills, field by field.
package struct SyntheticMemory: Sendable {
  /// Consecutive bytes, page-aligned.
  private struct Region: Sendable {
    let start: UInt64
    var bytes: [UInt8]
    var end: UInt64 { start + UInt64(bytes.count) }
  }

  /// Ascending and disjoint.
  private var regions: [Region] = []
  /// What the process's maps would say, ascending.
  package private(set) var mappings: [MemoryMapping] = []

  /// Makes memory with nothing mapped.
  package init() {}

  /// The bytes as the walker reads them.
  package var image: MemoryImage {
    MemoryImage(regions.map { .init(address: RemoteAddress($0.start), bytes: $0.bytes) })
  }

  /// The readable ranges, ascending.
  package var readableRanges: [AddressRange] {
    regions.map { AddressRange(RemoteAddress($0.start), RemoteAddress($0.end)) }
  }

  /// Maps `byteCount` zero bytes at `start`; a mapping that is not readable holds none.
  package mutating func map(
    _ start: UInt64, _ byteCount: UInt64, _ permissions: String, name: String = "",
    fileOffset: UInt64 = 0
  ) {
    guard byteCount > 0 else { return }
    let mapping = MemoryMapping(
      range: AddressRange(RemoteAddress(start), byteCount: byteCount),
      isReadable: permissions.contains("r"), isWritable: permissions.contains("w"),
      isExecutable: permissions.contains("x"), isShared: false, fileOffset: fileOffset,
      deviceMajor: name.hasPrefix("/") ? 8 : 0, deviceMinor: name.hasPrefix("/") ? 1 : 0,
      inode: name.hasPrefix("/") ? UInt64(1000 + name.utf8.count) : 0, name: name,
      isDeleted: name == "/anon_hugepage")
    precondition(
      !mappings.contains { $0.range.overlaps(mapping.range) }, "mappings do not overlap")
    mappings.append(mapping)
    mappings.sort { $0.range.lowerBound < $1.range.lowerBound }
    guard mapping.isReadable else { return }
    regions.append(Region(start: start, bytes: [UInt8](repeating: 0, count: Int(byteCount))))
    regions.sort { $0.start < $1.start }
  }

  /// Adds everything that `other`, whose mappings lie elsewhere, holds.
  package mutating func add(_ other: SyntheticMemory) {
    mappings = (mappings + other.mappings).sorted { $0.range.lowerBound < $1.range.lowerBound }
    regions = (regions + other.regions).sorted { $0.start < $1.start }
  }

  /// Joins neighbouring unnamed mappings of the same kind, as the kernel does.
  package mutating func joinNeighbours() {
    var joined: [MemoryMapping] = []
    for mapping in mappings {
      if let last = joined.last, last.range.upperBound == mapping.range.lowerBound,
        last.name.isEmpty, mapping.name.isEmpty, last.isReadable == mapping.isReadable,
        last.isWritable == mapping.isWritable
      {
        joined[joined.count - 1].range = AddressRange(
          last.range.lowerBound, mapping.range.upperBound)
      } else {
        joined.append(mapping)
      }
    }
    mappings = joined
  }

  /// Splits the mapping that holds `address` there, as madvise and mprotect do.
  package mutating func splitMapping(at address: UInt64) {
    let place = RemoteAddress(address)
    guard
      let index = mappings.firstIndex(where: {
        $0.range.lowerBound < place && $0.range.contains(place)
      })
    else { return }
    let whole = mappings[index].range
    mappings[index].range = AddressRange(whole.lowerBound, place)
    var second = mappings[index]
    second.range = AddressRange(place, whole.upperBound)
    mappings.insert(second, at: index + 1)
  }

  /// Takes away the bytes of `range`, so that reading them fails; the mappings stay.
  package mutating func makeUnreadable(_ range: AddressRange) {
    let low = range.lowerBound.bits
    let high = range.upperBound.bits
    regions = regions.flatMap { region -> [Region] in
      guard region.start < high, low < region.end else { return [region] }
      let before = region.start < low ? Int(low - region.start) : 0
      let after = high < region.end ? Int(region.end - high) : 0
      return [
        Region(start: region.start, bytes: Array(region.bytes.prefix(before))),
        Region(start: region.end - UInt64(after), bytes: Array(region.bytes.suffix(after))),
      ].filter { !$0.bytes.isEmpty }
    }
  }

  /// Takes away `range`, bytes and mappings.
  package mutating func unmap(_ range: AddressRange) {
    splitMapping(at: range.lowerBound.bits)
    splitMapping(at: range.upperBound.bits)
    mappings.removeAll { range.contains($0.range) }
    makeUnreadable(range)
  }

  /// Sets every readable byte to `value`.
  package mutating func fillEverything(with value: UInt8) {
    for index in regions.indices {
      regions[index].bytes = [UInt8](repeating: value, count: regions[index].bytes.count)
    }
  }

  /// Stores `value` in little-endian order at `address`, which must be mapped.
  package mutating func store<Value: FixedWidthInteger>(_ value: Value, at address: UInt64) {
    guard let index = regionIndex(of: address) else {
      preconditionFailure("\(RemoteAddress(address)) is not mapped")
    }
    let offset = Int(address - regions[index].start)
    regions[index].bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
  }

  /// Stores consecutive words from `address` on.
  package mutating func store(words: [UInt64], at address: UInt64) {
    guard !words.isEmpty, let index = regionIndex(of: address) else {
      precondition(words.isEmpty, "\(RemoteAddress(address)) is not mapped")
      return
    }
    let offset = Int(address - regions[index].start)
    words.withUnsafeBytes { source in
      regions[index].bytes.withUnsafeMutableBytes {
        UnsafeMutableRawBufferPointer(rebasing: $0[offset..<offset + source.count])
          .copyMemory(from: source)
      }
    }
  }

  /// The word at `address`, which must be mapped.
  package func word(at address: UInt64) -> UInt64 {
    guard let index = regionIndex(of: address) else {
      preconditionFailure("\(RemoteAddress(address)) is not mapped")
    }
    let offset = Int(address - regions[index].start)
    return regions[index].bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
  }

  /// The bytes of `range`, which must be mapped in one piece.
  package func bytes(of range: AddressRange) -> [UInt8] {
    guard let index = regionIndex(of: range.lowerBound.bits) else {
      preconditionFailure("\(range) is not mapped")
    }
    let offset = Int(range.lowerBound.bits - regions[index].start)
    return Array(regions[index].bytes[offset..<offset + Int(range.byteCount)])
  }

  /// Whether a word can be read at `address`.
  package func isReadable(_ address: UInt64) -> Bool { regionIndex(of: address) != nil }

  private func regionIndex(of address: UInt64) -> Int? {
    var low = 0
    var high = regions.count
    while low < high {
      let middle = (low + high) / 2
      if regions[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < regions[low - 1].end else { return nil }
    return low - 1
  }
}
