// Synthetic chunks that have mappings of their own.

import HeapModel

extension SyntheticBuilder {
  /// Maps the planned chunks and writes their headers.
  mutating func placeMmappedChunks() {
    for _ in 0..<plan.mmappedChunks {
      if random.chance(20) { placeForeignPages() }
      let length = pages(random.chance(20) ? 0x21000 : 0x1000 * (1 + random.below(8)))
      if random.chance(35) {
        placeAligned(length)
      } else {
        placePlain(length)
      }
    }
    let order = mmapped.indices.sorted { mmapped[$0].userAddress < mmapped[$1].userAddress }
    mmapped = order.map { mmapped[$0] }
    mmappedMappings = order.map { mmappedMappings[$0] }
  }

  private mutating func placePlain(_ length: UInt64) {
    let start = placeMapping(length)
    memory.map(start, length, "rw-")
    if allows(.resizedMappings, 25) { noteResize() }
    finish(start: start, offset: 0, length: length)
  }

  /// A chunk whose user pointer was moved up to an alignment: the header at the mapping's start
  /// stays as it was, even when the mapping is resized later.
  private mutating func placeAligned(_ length: UInt64) {
    let alignment = random.pick([32, 64, 256, 1024, plan.pageSize, plan.pageSize * 2])
    let original = length + pages(alignment + 32)
    var resized = original
    if allows(.resizedMappings, 50) {
      // It keeps at least the page with its own header.
      let shortest = pages(alignment + 32) + plan.pageSize
      resized = random.multiple(
        of: plan.pageSize, from: shortest, to: max(shortest, original + 4 * plan.pageSize))
      if resized != original { noteResize() }
    }
    let start = placeMapping(resized)
    memory.map(start, resized, "rw-")
    // A resize may have moved the mapping by pages, so that the pointer lost its alignment.
    let first = resized != original && random.chance(50) ? start + plan.pageSize : start
    var user = (first + 16 + alignment - 1) & ~(alignment - 1)
    if user - 16 - first < 32 { user += alignment }
    memory.store(words: [0, original - (shape.isAtLeast243 ? 16 : 0) | 2], at: start)
    finish(start: start, offset: user - 16 - first, length: resized)
  }

  private mutating func noteResize() {
    if shape.isAtLeast243 { mmappedDrift += 16 }
  }

  private mutating func finish(start: UInt64, offset: UInt64, length: UInt64) {
    let chunk = start + offset
    let sizeField = length - offset - (shape.isAtLeast243 ? 16 : 0)
    memory.store(words: [offset, sizeField | 2], at: chunk)
    let usable = sizeField - (shape.isAtLeast243 ? 8 : 16)
    if random.chance(60) {
      misleadPages(from: chunk + 16, to: start + length)
      memory.store(words: (0..<min(8, usable / 8)).map { _ in random.next() }, at: chunk + 16)
    }
    mmapped.append(
      Chunk(
        userAddress: RemoteAddress(chunk + 16), size: length - offset, usableSize: usable,
        state: .inUse, arena: nil))
    mmappedMappings.append(AddressRange(RemoteAddress(start), byteCount: length))
  }
}
