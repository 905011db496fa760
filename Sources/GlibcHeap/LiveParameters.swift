// What malloc's parameters (`mp_`) can hold while the program runs, where their initial contents are not known.

/// A place that may hold `mp_`.
struct LiveParameters {
  private let bytes: CopiedBytes
  private let offset: Int
  private let layout: ParametersLayout

  init(_ bytes: CopiedBytes, at offset: Int, _ layout: ParametersLayout) {
    self.bytes = bytes
    self.offset = offset
    self.layout = layout
  }

  private func word(_ place: Int) -> UInt64? { bytes.word(at: offset + place) }
  private func number(_ place: Int) -> UInt64? {
    bytes.halfWord(at: offset + place).map { UInt64($0) }
  }

  var sbrkBase: UInt64 { word(layout.sbrkBase) ?? 0 }

  /// Whether its thresholds, and what the shape is told by, are those of a program that has just begun.
  var isInitial: Bool {
    for (index, word) in ParametersLayout.initialWords.enumerated()
    where self.word(8 * index) != word {
      return false
    }
    guard
      number(layout.mmapCountMaximum) == UInt64(ParametersLayout.initialMmapCountMaximum)
    else { return false }
    return layout.tcacheBins.map { word($0) == ParametersLayout.initialTcacheBins } ?? true
  }

  /// Whether the fields of tcache are those of a program that was not told otherwise: `tcache_bins`,
  /// `tcache_max_bytes` and `tcache_count` up to 2.42, and of 2.43.
  var hasInitialCache: Bool {
    guard let bins = layout.tcacheBins, let fill = layout.tcacheCount else { return false }
    let words = [word(bins), word(bins + 8), word(fill)]
    return words == [ParametersLayout.initialTcacheBins, 1032, 7]
      || words == [ParametersLayout.initialTcacheBins, 1041, 16]
  }

  /// Whether its fields can be those of `mp_`, each for itself and beside each other.
  ///
  /// The thresholds can be anything: the program sets them, and so does glibc.
  var isPlausible: Bool { hasPlausibleArenas && hasPlausibleMmaps && hasPlausibleExtensions }

  private var hasPlausibleArenas: Bool {
    guard let test = word(24), let maximum = word(32) else { return false }
    return test < 1 << 32 && maximum < 1 << 32
  }

  /// `n_mmaps`, `n_mmaps_max`, `max_n_mmaps`, `no_dyn_threshold`, `mmapped_mem`, `max_mmapped_mem`: each
  /// mmapped chunk has at least a page.
  private var hasPlausibleMmaps: Bool {
    guard let count = number(layout.mmapCount), let limit = number(layout.mmapCount + 4),
      let most = number(layout.mmapCount + 8), let isFixed = number(layout.mmapCount + 12),
      let bytes = word(layout.mmappedMemory), let mostBytes = word(layout.mmappedMemory + 8)
    else { return false }
    return count <= most && most < 1 << 31 && limit < 1 << 31 && isFixed <= 1
      && bytes <= mostBytes && mostBytes < 1 << 56 && bytes >= count * 4096
      && mostBytes >= most * 4096
  }

  /// `thp_mode`, `thp_pagesize`, `hp_pagesize`, and the fields of tcache; what is padding is zero.
  private var hasPlausibleExtensions: Bool {
    if let huge = layout.hugePageSize {
      for place in [huge - 8, huge] {
        guard let size = word(place), size == 0 || size >= 4096 && size.nonzeroBitCount == 1
        else { return false }
      }
      guard number(layout.mmapCount + 16) == 0 else { return false }
      // There is a mode if arena_max does not lie right before the sizes.
      if huge - 8 > 40 { guard let mode = word(40), mode < 8 else { return false } }
    }
    guard let bins = layout.tcacheBins, let fill = layout.tcacheCount else { return true }
    guard let count = word(bins), let bytes = word(bins + 8), let limit = word(fill) else {
      return false
    }
    return (1...76).contains(count) && bytes < 1 << 40 && limit < 1 << 16
  }
}
