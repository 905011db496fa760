// Which chunks that begin like objects of C++ classes are some, by their sizes.

import HeapModel
import RemoteMemory

extension TypeAttribution {
  /// Takes from classes of C++ the chunks that do not have the size of their objects.
  ///
  /// malloc overwrites the first two words of most memory that is given back, but a chunk that is joined to the
  /// free memory before it keeps its own, and when that memory is handed out again and not yet written, a block
  /// can begin with the pointer of an object that is gone. What tells them apart is the size: all objects of
  /// a class have one, so their chunks have one, too, or 16 bytes more where the rest was too small to split
  /// off.
  ///
  /// - The size of a class is the one that, with 16 bytes more, has more than half of the chunks that begin
  ///   with its pointer; of at most 3 chunks the most frequent, and of equally many the smallest. With
  ///   `TypeSources.asksLayouts` it is what debug information says.
  /// - A chunk of another size is an array if the class's pointer stands in it again where the next object
  ///   of that size would begin (without a chunk's header between); else it only begins like the class. So do
  ///   all further ones once `mostLooks` chunks were looked at.
  /// - If in one of two chunks of a class a whole old object follows, with the header of its chunk before it,
  ///   each chunk of the class is looked at, and those where this is so only begin like the class.
  /// - If no size has more than half, no chunk is said to be an object, but for what are arrays by
  ///   themselves.
  ///
  /// What this cannot tell: a block of the class's own size that was handed out from memory with old objects in
  /// it and was not written since. It looks like an object in every byte.
  mutating func compareSizes(_ chunks: inout [Chunk]) {
    let classes = meanings.classes
    guard classes.count > 0 else { return }
    // Most classes have chunks of one size only, and nothing to be compared.
    var only = [UInt64](repeating: 0, count: classes.count)
    var differs = [Bool](repeating: false, count: classes.count)
    var anyDiffers = meanings.sources.asksLayouts
    for chunk in chunks where classes.isClass(chunk.held) {
      let number = Int(chunk.held)
      if only[number] == 0 {
        only[number] = chunk.size
      } else if only[number] != chunk.size {
        differs[number] = true
        anyDiffers = true
      }
    }
    takeOldNeighbours(&chunks, classes)
    guard anyDiffers else { return }
    var counts = WordTable()
    for chunk in chunks where classes.isClass(chunk.held) {
      if differs[Int(chunk.held)] || meanings.sources.asksLayouts {
        counts.increment(Self.key(chunk))
      }
    }
    let sizes = classSizes(counts, classes)
    var looks = 0
    for index in chunks.indices where classes.isClass(chunks[index].held) {
      let chunk = chunks[index]
      guard let size = sizes[Int(chunk.held)] else { continue }
      if chunk.size &- size <= 16, size != 0 { continue }
      let origin = classes.origin(of: chunk.held)
      var place = origin.place == 0 ? PointerPlace.doubtful : .remains
      if origin.place == 0, size != 0, chunk.size > size, looks < Self.mostLooks {
        looks += 1
        if isArray(chunk, ofSize: size) { place = .array }
      }
      chunks[index].held = meanings.type(origin.meaning, at: place.rawValue, in: &table)
    }
  }

  /// So many chunks are looked at in the target's memory to see whether they are arrays.
  private static var mostLooks: Int { 20_000 }

  private static func key(_ chunk: Chunk) -> UInt64 {
    UInt64(chunk.held) << 40 | (chunk.size >> 4 & 0xFF_FFFF_FFFF)
  }

  /// For each type that is a class's the size of its chunks, 0 if they have none in common; nil for those
  /// whose chunks all agree, and for other types.
  private func classSizes(_ counts: WordTable, _ classes: ObjectClasses) -> [UInt64?] {
    var bySize: [Int: [(size: UInt64, count: UInt32)]] = [:]
    counts.forEach { key, count in
      bySize[Int(key >> 40), default: []].append((size: (key & 0xFF_FFFF_FFFF) << 4, count: count))
    }
    var sizes = [UInt64?](repeating: nil, count: classes.count)
    for (number, list) in bySize where number < sizes.count {
      if let known = knownSize(UInt32(number), classes) {
        sizes[number] = known
      } else if list.count > 1 {
        sizes[number] = Self.commonSize(list)
      }
    }
    return sizes
  }

  private static func commonSize(_ list: [(size: UInt64, count: UInt32)]) -> UInt64 {
    let sorted = list.sorted { $0.size < $1.size }
    var total: UInt64 = 0
    var best: (size: UInt64, count: UInt64) = (0, 0)
    for (index, entry) in sorted.enumerated() {
      total += UInt64(entry.count)
      var count = UInt64(entry.count)
      if index + 1 < sorted.count, sorted[index + 1].size == entry.size &+ 16 {
        count += UInt64(sorted[index + 1].count)
      }
      if count > best.count { best = (entry.size, count) }
    }
    return best.count * 2 > total || total <= 3 ? best.size : 0
  }

  /// The chunk size of a class's objects by debug information, if that is to be asked.
  private func knownSize(_ number: UInt32, _ classes: ObjectClasses) -> UInt64? {
    let sources = meanings.sources
    let origin = classes.origin(of: number)
    guard sources.asksLayouts, origin.place == 0, let name = meanings.name(of: origin.meaning),
      sources.binaries.indices.contains(name.binary),
      let layout = sources.symbols.layout(of: name.name, in: sources.binaries[name.binary].path),
      layout.byteCount > 0, layout.byteCount < 1 << 40
    else { return nil }
    return max(32, (layout.byteCount &+ 23) & ~15)
  }

  /// Whether the chunk's first word stands in it again at a distance that objects have whose chunks have
  /// `size` bytes.
  private func isArray(_ chunk: Chunk, ofSize size: UInt64) -> Bool {
    let memory = meanings.sources.memory
    guard size >= 32, let first = try? memory.word(at: chunk.userAddress), first != 0,
      let start = chunk.userAddress.advanced(by: size &- 24),
      let words = try? memory.words(at: start, count: 3)
    else { return false }
    return words.contains(first)
  }

  // MARK: Old neighbours

  /// So many chunks are read to see whether old objects stand in them.
  private static var mostReads: Int { 1000 }

  /// Takes from each class the chunks in which a whole old object follows the first, if there are any.
  private mutating func takeOldNeighbours(_ chunks: inout [Chunk], _ classes: ObjectClasses) {
    var samples = [UInt8](repeating: 0, count: classes.count)
    var isSuspect = [Bool](repeating: false, count: classes.count)
    var anySuspect = false
    var reads = 0
    for chunk in chunks where chunk.usableSize > 64 && classes.isClass(chunk.held) {
      guard reads < Self.mostReads else { break }
      let number = Int(chunk.held)
      guard samples[number] < 2, classes.origin(of: chunk.held).place == 0
      else { continue }
      samples[number] += 1
      reads += 1
      if hasOldNeighbour(chunk) {
        isSuspect[number] = true
        anySuspect = true
      }
    }
    guard anySuspect else { return }
    reads = 0
    for index in chunks.indices where classes.isClass(chunks[index].held) {
      guard isSuspect[Int(chunks[index].held)], chunks[index].usableSize > 64 else { continue }
      reads += 1
      // Of a class of which so many were looked at, the rest is not believed either.
      guard reads > Self.mostLooks || hasOldNeighbour(chunks[index]) else { continue }
      let origin = classes.origin(of: chunks[index].held)
      chunks[index].held = meanings.type(
        origin.meaning, at: PointerPlace.doubtful.rawValue, in: &table)
    }
  }

  /// Whether the chunk's first word stands in it again where a chunk's memory could begin, after what could
  /// be the header of one.
  private func hasOldNeighbour(_ chunk: Chunk) -> Bool {
    let count = Int(min(chunk.usableSize, 2048) / 8)
    guard let words = try? meanings.sources.memory.words(at: chunk.userAddress, count: count),
      let first = words.first
    else { return false }
    for index in stride(from: 4, to: words.count, by: 2) where words[index] == first {
      if Self.isHeader(words[index - 1]) { return true }
    }
    return false
  }
}
