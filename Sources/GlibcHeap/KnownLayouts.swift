// The known layouts as debug information would state them, to compare with what it does state.

package import HeapModel

/// A layout that we walk with, field by field.
package struct KnownLayout: Sendable {
  /// A field that tells layouts apart.
  struct Field: Sendable {
    /// Its names; they changed over time.
    var names: [String]
    /// Its offset in bytes, nil if the layout does not have it.
    var offset: Int?
    /// Its size in bytes, nil if that does not matter.
    var byteCount: Int?

    init(_ names: String..., at offset: Int?, byteCount: Int? = nil) {
      self.names = names
      self.offset = offset
      self.byteCount = byteCount
    }
  }

  /// The structure that it is a layout of.
  package let structure: MallocSymbols.Structure
  /// What it is called in messages.
  package let name: String
  private let fields: [Field]
  private let byteCounts: ClosedRange<UInt64>

  /// Where `layout` differs from this one; empty if they are the same as far as we read it.
  package func differences(from layout: MallocSymbols.Layout) -> [LayoutDifference] {
    var differences: [LayoutDifference] = []
    func note(_ field: String?, _ expected: UInt64?, _ found: UInt64?) {
      differences.append(
        LayoutDifference(
          structure: structure.rawValue, layout: name, field: field, expected: expected,
          found: found))
    }
    for field in fields {
      let member = field.names.lazy.compactMap { layout.members[$0] }.first
      let expected = field.offset.map { UInt64($0) }
      let name = field.names.first { layout.members[$0] != nil } ?? field.names[0]
      if member?.offset != expected {
        note(name, expected, member?.offset)
      } else if let size = field.byteCount, let found = member?.byteCount, found != UInt64(size) {
        note(name, nil, nil)
      }
    }
    if !byteCounts.contains(layout.byteCount) {
      note(nil, byteCounts.lowerBound, layout.byteCount)
    }
    return differences
  }

  /// The layouts of a structure.
  static func all(of structure: MallocSymbols.Structure) -> [KnownLayout] {
    switch structure {
    case .arena: [ArenaLayout.a, .b, .c, .d].map(KnownLayout.init)
    case .parameters: ([.v217] + ParametersLayout.recognisable).map(KnownLayout.init)
    case .heapInfo: [32, 48].map { KnownLayout(HeapInfoLayout(byteCount: $0)) }
    case .tcache: TcacheLayout.all.map(KnownLayout.init)
    }
  }

  /// Where debug information differs from the known layout that comes nearest to it, preferring
  /// `used` among equals.
  static func leastDifferences(
    of layout: MallocSymbols.Layout, _ structure: MallocSymbols.Structure, used: KnownLayout?
  ) -> [LayoutDifference] {
    ([used].compactMap(\.self) + all(of: structure)).map { $0.differences(from: layout) }
      .min { $0.count < $1.count } ?? []
  }
}

extension KnownLayout {
  /// An arena's.
  init(_ layout: ArenaLayout) {
    structure = .arena
    name = layout.name
    fields = [
      Field("mutex", at: ArenaLayout.mutex), Field("flags", at: ArenaLayout.flags),
      Field("fastbinsY", at: layout.fastbins, byteCount: 8 * ArenaLayout.fastbinCount),
      Field("top", at: layout.top), Field("bins", at: layout.bins, byteCount: 254 * 8),
      Field("next", at: layout.next), Field("attached_threads", at: layout.attachedThreads),
      Field("system_mem", at: layout.systemMemory),
      Field("max_system_mem", at: layout.maxSystemMemory),
    ]
    byteCounts = UInt64(layout.byteCount)...UInt64(layout.byteCount)
  }

  /// That of `mp_`; behind what we read there may be more.
  init(_ layout: ParametersLayout) {
    structure = .parameters
    name = layout.name
    fields = [
      Field("n_mmaps", at: layout.mmapCount, byteCount: 4),
      Field("n_mmaps_max", at: layout.mmapCountMaximum, byteCount: 4),
      Field("mmapped_mem", at: layout.mmappedMemory), Field("sbrk_base", at: layout.sbrkBase),
      Field("hp_pagesize", at: layout.hugePageSize),
      // The name of 2.42 on is for the bins of one size each.
      Field("tcache_bins", "tcache_small_bins", at: layout.tcacheBins),
      Field("tcache_count", at: layout.tcacheCount),
    ]
    byteCounts = UInt64(layout.byteCount)...UInt64(layout.byteCount + 16)
  }

  /// That of a heap's header.
  init(_ layout: HeapInfoLayout) {
    structure = .heapInfo
    name = "\(layout.byteCount)"
    fields = [
      Field("ar_ptr", at: HeapInfoLayout.arena), Field("prev", at: HeapInfoLayout.previous),
      Field("size", at: HeapInfoLayout.size, byteCount: 8),
    ]
    byteCounts = UInt64(layout.byteCount)...UInt64(layout.byteCount)
  }

  /// A thread's cache's.
  init(_ layout: TcacheLayout) {
    structure = .tcache
    name = "0x\(String(layout.chunkSize, radix: 16))"
    let counters = layout.counterWidth * layout.binCount
    fields = [
      Field("counts", at: layout.countsFreeSlots ? nil : 0, byteCount: counters),
      Field("num_slots", at: layout.countsFreeSlots ? 0 : nil, byteCount: counters),
      Field("entries", at: layout.heads, byteCount: 8 * layout.binCount),
    ]
    byteCounts = UInt64(layout.byteCount)...UInt64(layout.byteCount)
  }
}
