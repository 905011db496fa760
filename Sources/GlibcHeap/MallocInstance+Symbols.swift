// Symbols as a second witness: what they decide where the file alone does not, and what they say
// of what it decided.

package import HeapModel

/// How what was decided about a malloc compares with what symbols say.
package struct LayoutComparison: Hashable, Sendable {
  /// What was decided, by what, and what else says so.
  package var evidence: [LayoutEvidence] = []
  /// What symbols say otherwise.
  package var findings: [Finding] = []

  /// Makes an empty comparison.
  package init() {}
}

// MARK: - Deciding

extension MallocInstance {
  /// The instance in `loaded` that `symbols` lead to, nil if they do not tell enough.
  ///
  /// - Throws: `HeapError.unknownLayout` if they tell of a layout that is not known.
  static func instance(
    in loaded: LoadedImage, deciding symbols: MallocSymbols?, _ misfit: LayoutMisfit
  ) throws(HeapError) -> MallocInstance? {
    try refuse(misfit, symbols)
    guard let symbols, let arena = symbols.variables["main_arena"],
      let parameters = symbols.variables["mp_"], let arenaFields = symbols.layouts[.arena],
      let parameterFields = symbols.layouts[.parameters],
      let arenaLayout = [ArenaLayout.a, .b, .c, .d].first(where: {
        KnownLayout($0).differences(from: arenaFields).isEmpty
      }),
      let layout = ([.v217] + ParametersLayout.recognisable).first(where: {
        KnownLayout($0).differences(from: parameterFields).isEmpty
      })
    else { return nil }
    var instance = MallocInstance(
      loaded, arena.address, arenaLayout, parameters.address, layout)
    instance.decidingSymbols = symbols.path
    return instance
  }

  /// Refuses a library whose debug information lays out a structure as no known layout does.
  ///
  /// - Throws: `HeapError.unknownLayout`.
  static func refuse(
    _ misfit: LayoutMisfit, _ symbols: MallocSymbols?,
    used: [MallocSymbols.Structure: KnownLayout] = [:]
  ) throws(HeapError) {
    guard let symbols else { return }
    var misfit = misfit
    for structure in MallocSymbols.Structure.allCases {
      guard let layout = symbols.layouts[structure] else { continue }
      misfit.differences += KnownLayout.leastDifferences(
        of: layout, structure, used: used[structure])
    }
    guard misfit.differences.isEmpty else { throw .unknownLayout(misfit) }
  }
}

// MARK: - Comparing

extension MallocInstance {
  /// Compares what was decided about this malloc, which is that of `loaded`, with what `symbols` say.
  ///
  /// What the library's own file decided stays decided.
  ///
  /// - Throws: `HeapError.unknownLayout` if a structure is laid out as in no known layout.
  package func compared(
    with symbols: MallocSymbols?, of loaded: LoadedImage
  ) throws(HeapError) -> LayoutComparison {
    let parametersLayout = parametersLayout(told: symbols?.layouts[.parameters])
    let used: [MallocSymbols.Structure: KnownLayout] = [
      .arena: KnownLayout(arenaLayout), .parameters: KnownLayout(parametersLayout),
      .heapInfo: KnownLayout(heapInfoLayout),
    ]
    try Self.refuse(LayoutMisfit(loaded), symbols, used: used)
    var result = LayoutComparison()
    compareAddresses(with: symbols, &result)
    for (structure, words) in [
      (MallocSymbols.Structure.arena, arenaWords),
      (.parameters, words(of: parametersLayout)),
    ] {
      result.add(
        structure, used[structure], words, file: path, symbols: symbols, at: mainArena,
        isDecidedBySymbols: decidingSymbols != nil)
    }
    result.evidence.append(
      LayoutEvidence(
        file: path, what: "mmapped chunk header",
        value: arenaLayout == .d
          ? "the size leaves out the mapping's last 16 bytes" : "the size is the mapping's",
        decidedBy: "arena layout \(arenaLayout.name)"))
    return result
  }

  private typealias Words = (what: String, value: String, decidedBy: String)

  private var arenaWords: Words {
    (
      "arena layout", arenaLayout.name,
      isFromMemory
        ? "the \(arenaLayout.next) bytes from main_arena to the pointer to the next arena, and its bins"
        : "its \(arenaLayout.next) bytes from main_arena to its pointer to itself"
          + (arenaLayout == .a || arenaLayout == .b ? ", and attached_threads behind it" : "")
    )
  }

  /// The shape of `mp_`: the file cannot tell 2.17's from 2.24's, debug information can.
  private func parametersLayout(told: MallocSymbols.Layout?) -> ParametersLayout {
    guard parametersLayout == .v224, let told,
      KnownLayout(ParametersLayout.v217).differences(from: told).isEmpty
    else { return parametersLayout }
    return .v217
  }

  private func words(of layout: ParametersLayout) -> Words {
    (
      "mp_ layout", layout.name,
      (isFromMemory ? "what it can hold" : "its initial contents")
        + ": n_mmaps_max at \(layout.mmapCountMaximum), "
        + (layout.tcacheBins.map { "tcache_bins at \($0)" } ?? "no tcache_bins")
    )
  }

  private func compareAddresses(
    with symbols: MallocSymbols?, _ result: inout LayoutComparison
  ) {
    let places = [
      (
        "main_arena", mainArena,
        isFromMemory
          ? "its ring and its bins in memory" : "its pointer to itself in the library's file"
      ),
      (
        "mp_", parameters,
        isFromMemory
          ? "agreeing with main_arena in memory" : "its initial contents in the library's file"
      ),
    ]
    for (name, address, reason) in places {
      var evidence = LayoutEvidence(
        file: path, what: name, value: "\(address)",
        decidedBy: decidingSymbols == nil ? reason : "symbol \(name)")
      if let symbols, let symbol = symbols.variables[name], decidingSymbols == nil {
        let named = RemoteAddress(symbol.address &+ loadBias)
        if named == address {
          evidence.confirmedBy.append("symbol \(name)")
        } else {
          result.findings.append(
            Finding(
              .layoutDisagreement, at: address,
              "\(name) of \(path) is at \(address) by \(reason), but at \(named) by the symbol in "
                + "\(symbols.path); the former was used"))
        }
      }
      result.evidence.append(evidence)
    }
    compareSizes(with: symbols, &result)
  }

  /// Compares the sizes that symbols state, which are there even without debug information.
  private func compareSizes(with symbols: MallocSymbols?, _ result: inout LayoutComparison) {
    guard let symbols else { return }
    let sizes = [
      ("main_arena", UInt64(arenaLayout.byteCount)...UInt64(arenaLayout.byteCount), mainArena),
      (
        "mp_", UInt64(parametersLayout.byteCount)...UInt64(parametersLayout.byteCount + 16),
        parameters
      ),
    ]
    for (name, expected, address) in sizes {
      guard let size = symbols.variables[name]?.byteCount, size > 0, !expected.contains(size) else {
        continue
      }
      result.findings.append(
        Finding(
          .layoutDisagreement, at: address,
          "\(name) of \(path) has \(expected.lowerBound) bytes in the layout that was used, but "
            + "\(size) by the symbol in \(symbols.path)"))
    }
  }
}

// MARK: - What memory told

extension MallocInstance {
  /// Compares what a walk of this malloc read in memory with what `symbols` say.
  ///
  /// What memory told stays decided.
  package func compared(
    _ readings: MallocReadings, with symbols: MallocSymbols?
  ) -> LayoutComparison {
    var result = LayoutComparison()
    compareHeapInfo(readings.heapInfoByteCount, with: symbols, &result)
    result.evidence.append(
      LayoutEvidence(
        file: path, what: "list links",
        value: readings.masksLinks.map { $0 ? "masked" : "plain" } ?? "unknown",
        decidedBy: readings.masksLinks == nil
          ? "no list was long enough to tell" : "decoding the first links of lists both ways"))
    if let cache = readings.cache { compare(cache, with: symbols, &result) }
    return result
  }

  /// The walk takes the size that thread arenas' addresses tell, and that of `heapInfoLayout` where
  /// they do not.
  private func compareHeapInfo(
    _ seen: Int?, with symbols: MallocSymbols?, _ result: inout LayoutComparison
  ) {
    let shape = "mp_ \(parametersLayout.hugePageSize == nil ? "without" : "with") hp_pagesize"
    let isTold = seen == 32 || seen == 48
    let used = HeapInfoLayout(byteCount: isTold ? seen ?? 0 : heapInfoLayout.byteCount)
    result.add(
      .heapInfo, KnownLayout(used),
      ("heap_info", "\(used.byteCount) bytes", isTold ? "the addresses of thread arenas" : shape),
      file: path, symbols: symbols, at: mainArena)
    guard isTold, let index = result.evidence.indices.last else { return }
    if used == heapInfoLayout {
      result.evidence[index].confirmedBy.insert(shape, at: 0)
    } else {
      result.findings.append(
        Finding(
          .layoutDisagreement, at: mainArena,
          "heap_info of \(path) has \(used.byteCount) bytes by the addresses of thread arenas, but "
            + "\(heapInfoLayout.byteCount) by \(shape); the former was used"))
    }
  }

  private func compare(
    _ cache: MallocReadings.Cache, with symbols: MallocSymbols?, _ result: inout LayoutComparison
  ) {
    let size = "0x" + String(cache.chunkSize, radix: 16)
    result.add(
      .tcache, TcacheLayout.all.first { $0.chunkSize == cache.chunkSize }.map(KnownLayout.init),
      (
        "tcache", "\(cache.byteCount) bytes in chunks of \(size)",
        "the size and contents of \(cache.threads) such chunk\(cache.threads == 1 ? "" : "s")"
      ),
      file: path, symbols: symbols, at: mainArena)
    guard let offset = cache.offset else { return }
    let reason = "the only word of the block that leads to a tcache in most threads"
    var evidence = LayoutEvidence(
      file: path, what: "tcache pointer",
      value: "0x\(String(offset, radix: 16)) in the thread block",
      decidedBy: reason)
    if let symbols, let named = symbols.threadLocals["tcache"] {
      if named == offset {
        evidence.confirmedBy.append("symbol tcache")
      } else {
        result.findings.append(
          Finding(
            .layoutDisagreement, at: mainArena,
            "the tcache pointer of \(path) is at \(offset) in the thread block by what it leads to, but "
              + "at \(named) by the symbol in \(symbols.path); the former was used"))
      }
    }
    result.evidence.append(evidence)
  }
}

extension LayoutComparison {
  /// Adds what was decided about a structure, and compares it with debug information.
  mutating func add(
    _ structure: MallocSymbols.Structure, _ used: KnownLayout?,
    _ words: (what: String, value: String, decidedBy: String), file: String,
    symbols: MallocSymbols?, at address: RemoteAddress, isDecidedBySymbols: Bool = false
  ) {
    let debugInformation = "debug information of \(structure.rawValue)"
    var evidence = LayoutEvidence(
      file: file, what: words.what, value: words.value,
      decidedBy: isDecidedBySymbols ? debugInformation : words.decidedBy)
    if let symbols, let layout = symbols.layouts[structure], let used, !isDecidedBySymbols {
      let differences = used.differences(from: layout)
      if differences.isEmpty {
        evidence.confirmedBy.append(debugInformation)
      } else {
        findings.append(
          Finding(
            .layoutDisagreement, at: address,
            "\(words.what) of \(file) is \(words.value) by \(words.decidedBy), but debug information "
              + "in \(symbols.path) differs: "
              + differences.prefix(4).map(\.description).joined(separator: "; ")
              + "; the former was used"))
      }
    }
    self.evidence.append(evidence)
  }
}
