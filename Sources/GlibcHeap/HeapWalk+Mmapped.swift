// Chunks that have a mapping of their own.

package import HeapModel
import RemoteMemory

/// One chunk with a mapping of its own.
package struct MmappedChunk: Hashable, Sendable {
  /// Where its mapping begins.
  package var mapping: RemoteAddress
  /// How many bytes the chunk lies behind the mapping's start: 0 unless it was aligned.
  package var distance: UInt64
  /// From the chunk to the mapping's end, in bytes.
  package var size: UInt64

  /// The whole mapping in bytes.
  package var mappingSize: UInt64 { distance &+ size }
  /// The chunk's own address.
  var chunk: UInt64 { mapping.bits &+ distance }
  var range: AddressRange { AddressRange(mapping, byteCount: mappingSize) }
}

extension HeapWalk {
  private var hasNewHeader: Bool { instance.hasNewMmapHeader }
  /// How many bytes of the mapping the size field does not count.
  private var uncounted: UInt64 { hasNewHeader ? 16 : 0 }
  /// Bytes of a chunk that the program may not write: both header words, and what is not counted
  /// (2.43: usable is the size field less 8).
  private var overhead: UInt64 { hasNewHeader ? 24 : 16 }

  /// Finds the mmapped chunks and adds them to what was collected.
  mutating func addMmapped(to collected: inout CollectedHeap) throws(ReadFault) {
    let found = try locateMmapped()
    let mappedBytes = found.reduce(0) { $0 &+ $1.mappingSize }
    let beginnings = try beginnings(of: found)
    for (index, chunk) in found.enumerated() {
      let kind = marks.kind(of: chunk.chunk)
      let isCached = if case .cached = kind { true } else { false }
      collected.mmappedRanges.append(chunk.range)
      collected.partial.mmapped.add(size: chunk.size)
      if isCached { collected.partial.mmappedCached.add(size: chunk.size) }
      sizes.update(chunk.size) {
        if isCached { $0.cached += 1 } else { $0.inUse += 1 }
      }
      if options.collectsChunks {
        let kept = Chunk(
          userAddress: RemoteAddress(chunk.chunk &+ 16), size: chunk.size,
          usableSize: chunk.size &- overhead, state: isCached ? .tcache : .inUse, arena: nil)
        if let beginnings, !isCached, beginnings[index, 0] != nil {
          scan.chunks.append(
            kept, beginning: Beginning((0..<8).map { beginnings[index, $0] ?? 0 }))
        } else {
          scan.chunks.append(kept)
        }
      }
    }
    let isExact = compareMmapped(count: found.count, bytes: mappedBytes)
    collected.partial.systemAndMmappedBytes &+= isExact ? mappedBytes : mmapTotals.bytes
    collected.partial.accountedBytes &+=
      isExact ? mappedBytes : min(mmapTotals.bytes, mappedBytes)
  }

  /// The first words of `chunks`, nil if they are not wanted.
  private func beginnings(of chunks: [MmappedChunk]) throws(ReadFault) -> GatheredWords? {
    guard scan.chunks.beginnings != nil else { return nil }
    return try reader.gather(
      at: chunks.map { RemoteAddress($0.chunk &+ 16) }, wordsEach: ChunkBeginnings.byteCount / 8)
  }

  /// The mmapped chunks as they are in the present stop.
  ///
  /// If those that an earlier look found are not all, the others are searched for: while the target
  /// runs, if it may be let run, and then they are verified in another stop.
  private mutating func locateMmapped() throws(ReadFault) -> [MmappedChunk] {
    if copies.mmappers.count > 1 { try countMmapped() }
    guard let pacing else {
      let found = try verified(hints.mmapped)
      return isComplete(found) ? found : try searchMmapped(known: found)
    }
    if pacing.isDue, pacing.stopsTarget { try nextMoment(ofArena: false) }
    var known = hints.mmapped
    for round in 0...Self.mmapSearches {
      try countMmapped()
      let found = try verified(known)
      if isComplete(found) || round == Self.mmapSearches { return found }
      pacing.letRun()
      window.forget()
      data = DataRanges(try pacing.mappings())
      known = try searchMmapped(known: found)
      if pacing.stopsTarget { try nextMoment(ofArena: false) }
    }
    return []
  }

  /// How often mmapped chunks are searched for in a target that goes on making and freeing them.
  private static var mmapSearches: Int { 3 }

  /// Compares with glibc's count and returns whether both agree as documented.
  private mutating func compareMmapped(count: Int, bytes: UInt64) -> Bool {
    // With headers of both kinds in a process, there are two of each check.
    let whose = copies.mmappers.count == copies.others.count + 1 ? "" : " of malloc \(copies.index)"
    checks.append(
      Check(
        "n_mmaps" + whose, expected: UInt64(truncatingIfNeeded: mmapTotals.count),
        found: UInt64(count)))
    let holds = areBytesRight(bytes, count: count)
    checks.append(
      Check("mmapped_mem" + whose, expected: mmapTotals.bytes, found: bytes, holds: holds))
    if count == mmapTotals.count, holds { return true }
    if log.hasSwapped(.mmapped), count < mmapTotals.count {
      log.addSwapped(
        .mmapped, at: nil, bytes: mmapTotals.bytes &- min(bytes, mmapTotals.bytes),
        places: mmapTotals.count - count)
      return false
    }
    log.add(
      pacing == nil || progress.moment == 0 ? .mmapMismatch : .moved, at: nil,
      bytes: max(bytes, mmapTotals.bytes) - min(bytes, mmapTotals.bytes),
      "\(count) mmapped chunks of \(bytes) bytes were found, glibc counts "
        + "\(mmapTotals.count) of \(mmapTotals.bytes)")
    return false
  }

  private func isComplete(_ chunks: [MmappedChunk]) -> Bool {
    isComplete(count: chunks.count, bytes: chunks.reduce(0) { $0 &+ $1.mappingSize })
  }

  private func isComplete(count: Int, bytes: UInt64) -> Bool {
    count == mmapTotals.count && areBytesRight(bytes, count: count)
  }

  /// glibc 2.43 and 2.44 add 16 too many to `mmapped_mem` with every mremap that changes a size.
  private func areBytesRight(_ bytes: UInt64, count: Int) -> Bool {
    if bytes == mmapTotals.bytes { return true }
    return hasNewHeader && count == mmapTotals.count && bytes < mmapTotals.bytes
      && (mmapTotals.bytes - bytes) % 16 == 0
  }

  /// Those of `hints` that are still chunks, as they are now.
  private func verified(_ hints: [MmappedChunk]) throws(ReadFault) -> [MmappedChunk] {
    let headers = try reader.gather(at: hints.map { RemoteAddress($0.chunk) }, wordsEach: 2)
    let chunks = hints.indices.compactMap { index -> MmappedChunk? in
      guard let previousSize = headers[index, 0], let field = headers[index, 1],
        let limit = data.reachEnd(containing: hints[index].mapping.bits),
        let chunk = chunk(
          mapping: hints[index].mapping.bits, distance: hints[index].distance,
          previousSize: previousSize, field: field, limit: limit)
      else { return nil }
      return chunk
    }
    return disjoint(chunks)
  }

  /// Those of `chunks` whose mappings lie in no arena's memory and in no other's, ascending: a damaged
  /// size can lead over both.
  private func disjoint(_ chunks: [MmappedChunk]) -> [MmappedChunk] {
    let arenas = arenaMemory.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
    var next = 0
    var covered = RemoteAddress(0)
    return chunks.sorted { $0.mapping < $1.mapping }.filter { chunk in
      while next < arenas.count, arenas[next].lowerBound < chunk.range.upperBound {
        covered = max(covered, arenas[next].upperBound)
        next += 1
      }
      guard chunk.mapping >= covered else { return false }
      covered = max(covered, chunk.range.upperBound)
      return true
    }
  }

  /// The chunk `distance` bytes behind `mapping`, if the two words there are its header: the distance
  /// itself, and a size that makes the whole mapping whole pages, flagged as mmapped and nothing else.
  private func chunk(
    mapping: UInt64, distance: UInt64, previousSize: UInt64, field: UInt64, limit: UInt64
  ) -> MmappedChunk? {
    let stated = hasNewHeader ? previousSize & ~1 : previousSize
    guard stated == distance, field & 15 == 2 else { return nil }
    let size = (field & ~7) &+ uncounted
    guard size >= 32, mapping <= limit, distance <= limit &- mapping,
      size <= limit &- mapping &- distance,
      (distance &+ size) & (options.pageSize &- 1) == 0
    else { return nil }
    return MmappedChunk(mapping: RemoteAddress(mapping), distance: distance, size: size)
  }

  /// Searches the anonymous memory that is no arena's for mmapped chunks.
  ///
  /// Every page is tried until as many are found as glibc counts. `known` ones are taken as they are.
  mutating func searchMmapped(known: [MmappedChunk]) throws(ReadFault) -> [MmappedChunk] {
    let found = try searchMmapped(known: known, everyPage: false)
    // What glibc counts too much can hide that an aligned chunk was taken for what it was before it was
    // moved, and that differs by whole pages.
    let bytes = found.reduce(0) { $0 &+ $1.mappingSize }
    return isComplete(found) && mmapTotals.bytes &- bytes < options.pageSize
      ? found : try searchMmapped(known: known, everyPage: true)
  }

  /// The same, with `everyPage` looking for aligned chunks in every page of a mapping.
  private mutating func searchMmapped(
    known: [MmappedChunk], everyPage: Bool
  ) throws(ReadFault) -> [MmappedChunk] {
    var found = known
    var bytes = known.reduce(0) { $0 &+ $1.mappingSize }
    guard mmapTotals.count > 0 else { return [] }
    let page = options.pageSize
    var pages = PageHeaders(pageSize: page, limit: options.searchedPages)
    for range in data.searchable(except: arenaMemory + known.map(\.range)) {
      let limit = data.reachEnd(containing: range.lowerBound.bits) ?? range.upperBound.bits
      var address = (range.lowerBound.bits &+ (page &- 1)) & ~(page &- 1)
      while !isComplete(count: found.count, bytes: bytes), pagesLeft > 0,
        let header = try pages.next(from: address, in: range, reader: reader)
      {
        pacing?.attend()
        address = header.address &+ page
        guard let chunk = try chunk(at: header, limit: limit, everyPage: everyPage) else {
          continue
        }
        found.append(chunk)
        bytes &+= chunk.mappingSize
        address = header.address &+ chunk.mappingSize
      }
    }
    if pages.swappedPages > 0 { log.noteSwapped(.mmapped) }
    if pages.isExhausted || pagesLeft <= 0, !isComplete(count: found.count, bytes: bytes) {
      log.add(
        .limitReached, at: nil,
        "the search for mmapped chunks ended after \(options.searchedPages) pages")
    }
    return disjoint(found)
  }

  /// The chunk of the mapping that begins with `header`.
  ///
  /// memalign leaves the first header where it was and writes the real one behind it, where the user
  /// pointer is aligned; mremap later changes only the real one. So a header that states its own
  /// distance from the mapping's start is the one that counts. Where mremap has moved the mapping, the
  /// pointer's alignment is lost, and only a look at `everyPage` finds it.
  private mutating func chunk(
    at header: PageHeaders.Header, limit: UInt64, everyPage: Bool
  ) throws(ReadFault) -> MmappedChunk? {
    let address = header.address
    guard header.field & 15 == 2, header.field >= 32,
      (hasNewHeader ? header.previousSize & ~1 : header.previousSize) == 0
    else { return nil }
    pagesLeft -= 1
    let distances = alignedDistances(at: address, limit: limit)
    if let chunk = try chunk(mapping: address, distances: distances, limit: limit) { return chunk }
    if everyPage {
      // The first header states the mapping's size when the chunk was aligned inside of it.
      let reach = min(limit &- address, (header.field & ~7) &+ uncounted)
      let page = options.pageSize
      var first = page
      while first < reach, pagesLeft > 0 {
        let end = min(reach, first &+ 512 &* page)
        pagesLeft -= 512
        let distances = stride(from: first, to: end, by: Int(page)).map { $0 &- 16 }
        if let chunk = try chunk(mapping: address, distances: distances, limit: limit) {
          return chunk
        }
        first = end
      }
    }
    return chunk(
      mapping: address, distance: 0, previousSize: header.previousSize, field: header.field,
      limit: limit)
  }

  /// The chunk at one of `distances` behind `mapping`.
  private func chunk(
    mapping: UInt64, distances: [UInt64], limit: UInt64
  ) throws(ReadFault) -> MmappedChunk? {
    // Reading a page that was never touched would give it a place in the page tables.
    let distances = distances.filter { isTouched(mapping &+ $0) }
    let headers = try reader.gather(
      at: distances.map { RemoteAddress(mapping &+ $0) }, wordsEach: 2)
    for (index, distance) in distances.enumerated() {
      guard let previousSize = headers[index, 0], let field = headers[index, 1],
        let chunk = chunk(
          mapping: mapping, distance: distance, previousSize: previousSize, field: field,
          limit: limit)
      else { continue }
      return chunk
    }
    return nil
  }

  /// Where memalign can have put the chunk of a mapping: for each power of two, the first place whose
  /// user pointer is a multiple of it, or the one after if that leaves less than a smallest chunk, which
  /// up to 2.42 it must not (2.43 and 2.44 leave 16 bytes, too).
  private func alignedDistances(at mapping: UInt64, limit: UInt64) -> [UInt64] {
    var distances: Set<UInt64> = []
    var alignment: UInt64 = 32
    while alignment <= limit &- mapping {
      let aligned = (mapping &+ 16 &+ alignment &- 1) & ~(alignment &- 1)
      for user in [aligned, aligned &+ alignment] {
        let distance = user &- 16 &- mapping
        if distance >= 16, distance < limit &- mapping, limit &- mapping &- distance >= 32 {
          distances.insert(distance)
        }
      }
      alignment <<= 1
    }
    return distances.sorted()
  }
}
