// The JSON documents, each to its schema.

package import HeapAnalysis
package import HeapModel

/// The reports as JSON: one compact object and a line feed.
package enum JSONReports {
  /// Writes `malloscope/histogram/1`, with the rows of `types` if they are asked for.
  ///
  /// - Throws: what the sink throws.
  package static func writeHistogram<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions? = nil, tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    try writeHistogram(report, types: types, tool: tool, extra: { _ in }, to: &sink)
  }

  /// The same with what `extra` adds after the capture.
  static func writeHistogram<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, types: TypeTableOptions?, tool: ToolFacts,
    extra: (inout JSONWriter) -> Void, to sink: inout Sink
  ) throws(Sink.Failure) {
    let snapshot = report.snapshot
    var json = JSONWriter()
    try json.object { json throws(Sink.Failure) in
      json.preamble("malloscope/histogram/1", tool: tool, report)
      extra(&json)
      json.object("totals") { $0.totals(snapshot) }
      json.mallocs(snapshot)
      json.array("arenas") { json in
        for arena in snapshot.arenas {
          json.object { json in
            json.identity(of: arena, in: snapshot)
            json.holdings(of: arena)
            json.number("attached_threads", arena.attachedThreads)
          }
        }
      }
      try json.array("histogram") { json throws(Sink.Failure) in
        for size in snapshot.sizes {
          json.size(size)
          try json.drainIfFull(into: &sink)
        }
      }
      if let types { try json.types(report, types, into: &sink) }
      json.verdict(snapshot)
    }
    try json.finish(into: &sink)
  }

  /// Writes `malloscope/arenas/1`.
  ///
  /// It has the histogram's arenas with their segments and what their pages are worth, and every
  /// mmapped chunk that the snapshot lists. Figures about pages are null without a residency map.
  ///
  /// - Throws: what the sink throws.
  package static func writeArenas<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    let snapshot = report.snapshot
    let usage = report.residency.map { PageUsage(snapshot, residency: $0) }
    var json = JSONWriter()
    try json.object { json throws(Sink.Failure) in
      json.preamble("malloscope/arenas/1", tool: tool, report)
      json.object("totals") { json in
        json.totals(snapshot)
        json.pages(usage?.total)
      }
      json.mallocs(snapshot)
      json.array("arenas") { json in
        for (position, arena) in snapshot.arenas.enumerated() {
          json.arena(arena, in: snapshot, usage?.arenas[position], report.residency)
        }
      }
      try json.array("mmapped") { json throws(Sink.Failure) in
        for chunk in snapshot.chunks where chunk.arena == nil {
          json.object { json in
            json.address("address", chunk.userAddress.bits)
            json.number("size", chunk.size)
            json.number("usable", chunk.usableSize)
            json.number("resident_bytes", report.residency?.residentBytes(in: chunk.range))
          }
          try json.drainIfFull(into: &sink)
        }
      }
      json.verdict(snapshot)
    }
    try json.finish(into: &sink)
  }

  /// Writes `malloscope/chunks/1`: the chunks that `filter` accepts, at most `limit` of them.
  ///
  /// A chunk's `arena` is null if it is mmapped; `accepted` counts the chunks beyond the limit too.
  /// With `showsTypes` a chunk has a `type`, null if it is not in use.
  ///
  /// - Throws: what the sink throws.
  package static func writeChunks<Sink: ByteSink & ~Copyable>(
    _ report: HeapReport, filter: ChunkFilter, limit: Int?, showsTypes: Bool = false,
    tool: ToolFacts, to sink: inout Sink
  ) throws(Sink.Failure) {
    var json = JSONWriter()
    try json.object { json throws(Sink.Failure) in
      json.preamble("malloscope/chunks/1", tool: tool, report)
      var accepted = Tally()
      try json.array("chunks") { json throws(Sink.Failure) in
        let types = showsTypes ? TypeColumn(report) : nil
        var shown = 0
        for chunk in report.snapshot.chunks where filter.accepts(chunk) {
          accepted.add(size: chunk.size)
          if let limit, shown >= limit { continue }
          shown += 1
          json.chunk(chunk, types)
          try json.drainIfFull(into: &sink)
        }
      }
      json.object("accepted") { json in
        json.number("chunks", accepted.count)
        json.number("bytes", accepted.bytes)
      }
      json.verdict(report.snapshot)
    }
    try json.finish(into: &sink)
  }
}

extension JSONWriter {
  mutating func totals(_ snapshot: HeapSnapshot) {
    number("system_bytes", snapshot.systemBytes)
    tally("in_use", snapshot.inUse)
    tally("free", snapshot.free)
    tally("cached", snapshot.cached)
    number("top_bytes", snapshot.topBytes)
    tally("mmapped", snapshot.mmapped)
  }

  /// Writes each copy of malloc with what it holds; of mmapped chunks, its own count.
  fileprivate mutating func mallocs(_ snapshot: HeapSnapshot) {
    array("mallocs") { json in
      for malloc in snapshot.mallocs {
        let arenas = snapshot.arenas(of: malloc)
        json.object { json in
          json.number("index", malloc.index)
          json.number("copies", malloc.copies)
          json.string("file", malloc.path)
          json.string("glibc", malloc.glibcVersion)
          json.string("arena_layout", malloc.arenaLayout)
          json.address("main_arena", malloc.mainArena.bits)
          json.number("first_arena", malloc.arenas.lowerBound)
          json.number("arenas", malloc.arenas.count)
          json.number("system_bytes", arenas.reduce(0) { $0 &+ $1.systemBytes })
          json.tally("in_use", arenas.reduce(into: Tally()) { $0 += $1.inUse })
          json.tally("free", arenas.reduce(into: Tally()) { $0 += $1.free })
          json.tally("cached", arenas.reduce(into: Tally()) { $0 += $1.cached })
          json.number("top_bytes", arenas.reduce(0) { $0 &+ $1.topBytes })
          json.tally("mmapped", malloc.mmapped)
        }
      }
    }
  }

  fileprivate mutating func identity(of arena: ArenaSummary, in snapshot: HeapSnapshot) {
    number("index", arena.index)
    number("malloc", snapshot.malloc(of: arena)?.index)
    address("address", arena.address.bits)
    string("kind", arena.kind.rawValue)
    number("heaps", arena.segments.count)
  }

  fileprivate mutating func holdings(of arena: ArenaSummary) {
    number("system_bytes", arena.systemBytes)
    tally("in_use", arena.inUse)
    tally("free", arena.free)
    tally("cached", arena.cached)
    number("top_bytes", arena.topBytes)
  }

  fileprivate mutating func pages(_ pages: ArenaPages?) {
    number("resident_bytes", pages?.residentBytes)
    number("trimmable_bytes", pages?.trimmableBytes)
    number("pinned_bytes", pages?.pinnedBytes)
  }

  fileprivate mutating func arena(
    _ arena: ArenaSummary, in snapshot: HeapSnapshot, _ usage: ArenaPages?,
    _ residency: ResidencyMap?
  ) {
    object { json in
      json.identity(of: arena, in: snapshot)
      json.holdings(of: arena)
      json.number("attached_threads", arena.attachedThreads)
      json.pages(usage)
      json.tally("tcache_structure", arena.tcacheStructures)
      json.number("header_bytes", arena.headerBytes)
      json.number("foreign_bytes", arena.foreignBytes)
      json.number("unaccounted_bytes", arena.unaccountedBytes)
      json.boolean("locked", arena.isLocked)
      json.array("segments") { json in
        for segment in arena.segments {
          json.object { json in
            json.address("address", segment.lowerBound.bits)
            json.number("bytes", segment.byteCount)
            json.number("resident_bytes", residency?.residentBytes(in: segment))
          }
        }
      }
    }
  }

  fileprivate mutating func size(_ size: SizeClass) {
    object { json in
      json.number("size", size.size)
      json.number("in_use_chunks", size.inUse)
      json.number("in_use_bytes", size.inUseBytes)
      json.number("free_chunks", size.free)
      json.number("free_bytes", size.freeBytes)
      json.number("cached_chunks", size.cached)
      json.number("cached_bytes", size.cachedBytes)
    }
  }

  /// Writes a chunk, with its type if there is a column of them.
  fileprivate mutating func chunk(_ chunk: Chunk, _ types: TypeColumn?) {
    object { json in
      json.address("address", chunk.userAddress.bits)
      json.number("size", chunk.size)
      json.number("usable", chunk.usableSize)
      json.string("state", chunk.state.name)
      json.number("arena", chunk.arena.map(Int.init))
      if let types { json.string("type", types.name(of: chunk)) }
    }
  }
}
