// How each glibc version lays out its heap: the parameters of the synthetic heap builder.
//
// Written from the release sources' layouts on its own, not from the walker's tables: the two are
// meant to check each other.

/// The layout decisions of one glibc build.
package struct GlibcShape: Hashable, Sendable, CustomStringConvertible {
  /// The field order of an arena.
  package enum ArenaLayout: String, Sendable {
    case a = "A"
    case b = "B"
    case c = "C"
    case d = "D"
  }

  /// The field order of the parameter block, named after the first version that has it.
  package enum ParameterLayout: Sendable, CaseIterable {
    case glibc217
    case glibc224
    case glibc226
    case glibc235
    case glibc243
    case glibc244
  }

  /// What a thread's tcache structure looks like.
  package enum TcacheStyle: Sendable {
    case none
    /// 64 counters of one byte (2.26 to 2.29).
    case bytes
    /// 64 counters of two bytes (2.30 to 2.41 and some stable branches).
    case halfWords
    /// 76 counters of two bytes that state the free slots left (2.42 and later).
    case slots
  }

  /// What a cached chunk holds behind its link.
  package enum KeyStyle: Sendable {
    case none
    /// The address of the tcache structure (2.29 to 2.33 and some stable branches).
    case structureAddress
    /// A random number of the process (2.34 and later).
    case random
  }

  /// The version, with a word about the build where it differs from the release.
  package var name: String
  /// The version as the banner gives it.
  package var banner: String { String(name.prefix { $0 != " " }) }
  /// The field order of its arenas.
  package var arena: ArenaLayout
  /// The field order of its parameter block.
  package var parameters: ParameterLayout
  /// The size of a thread heap's header: 32 or 48.
  package var heapInfoSize: UInt64
  /// What its tcache structures look like.
  package var tcache: TcacheStyle
  /// What its cached chunks hold behind their links.
  package var key: KeyStyle
  /// Whether list links are stored masked by their own place.
  package var manglesLinks: Bool
  /// Whether the main arena's bins are linked before anything is allocated.
  package var linksBinsEarly: Bool
  /// Whether later segments obtained by mmap may be as small as 132 KiB.
  package var hasSmallSegments = false

  /// The version, for test names.
  package var description: String { "glibc \(name)" }
}

extension GlibcShape {
  /// Whether the arena has fastbins.
  package var hasFastbins: Bool { arena != .d }
  /// Whether the arena counts its threads.
  package var countsThreads: Bool { arena != .a }
  /// Whether an mmapped chunk's size leaves out its mapping's last 16 bytes, and a thread that
  /// never freed points to a common empty tcache.
  package var isAtLeast243: Bool { arena == .d }
  /// How many chunks a tcache bin takes by default.
  package var tcacheFill: UInt64 { isAtLeast243 ? 16 : 7 }
  /// The default largest cached size as the parameter block states it.
  package var tcacheMaxBytes: UInt64 { isAtLeast243 ? 1041 : 1032 }

  /// The size of a tcache structure's chunk.
  package var tcacheChunkSize: UInt64 {
    switch tcache {
    case .none: 0
    case .bytes: 0x250
    case .halfWords: 0x290
    case .slots: 0x300
    }
  }

  /// The places of an arena's fields.
  package var arenaFields: ArenaFields {
    switch arena {
    case .a:
      ArenaFields(
        fastbins: 8, top: 88, bins: 104, binmap: 2136, next: 2152, attachedThreads: nil,
        systemMem: 2168, size: 2184)
    case .b:
      ArenaFields(
        fastbins: 8, top: 88, bins: 104, binmap: 2136, next: 2152, attachedThreads: 2168,
        systemMem: 2176, size: 2192)
    case .c:
      ArenaFields(
        fastbins: 16, top: 96, bins: 112, binmap: 2144, next: 2160, attachedThreads: 2176,
        systemMem: 2184, size: 2200)
    case .d:
      ArenaFields(
        fastbins: nil, top: 8, bins: 24, binmap: 2056, next: 2072, attachedThreads: 2088,
        systemMem: 2096, size: 2112)
    }
  }

  /// The places of the parameter block's fields.
  package var parameterFields: ParameterFields {
    switch parameters {
    case .glibc217:
      ParameterFields(mmapCount: 40, mmappedMem: 56, sbrkBase: 80, tcache: nil, size: 88)
    case .glibc224:
      ParameterFields(mmapCount: 40, mmappedMem: 56, sbrkBase: 72, tcache: nil, size: 80)
    case .glibc226:
      ParameterFields(mmapCount: 40, mmappedMem: 56, sbrkBase: 72, tcache: 80, size: 112)
    case .glibc235:
      ParameterFields(mmapCount: 60, mmappedMem: 80, sbrkBase: 96, tcache: 104, size: 136)
    case .glibc243:
      ParameterFields(mmapCount: 68, mmappedMem: 88, sbrkBase: 104, tcache: 112, size: 144)
    case .glibc244:
      ParameterFields(mmapCount: 68, mmappedMem: 88, sbrkBase: 104, tcache: 112, size: 136)
    }
  }

  /// Where the first chunk of a thread arena's first heap lies, from the heap's start.
  package var firstChunkOffset: UInt64 {
    switch (arena, heapInfoSize) {
    case (.a, _), (.b, _): 0x8b0
    case (.c, 32): 0x8c0
    case (.c, _): 0x8d0
    case (.d, _): 0x870
    }
  }

  /// Byte offsets within an arena.
  package struct ArenaFields: Sendable {
    /// The heads of the fastbins, nil if there are none.
    package var fastbins: UInt64?
    /// The top chunk; `last_remainder` follows.
    package var top: UInt64
    /// The two ends of each bin.
    package var bins: UInt64
    /// One bit for each bin.
    package var binmap: UInt64
    /// The next arena in the ring; `next_free` follows.
    package var next: UInt64
    /// The count of threads, nil if there is none.
    package var attachedThreads: UInt64?
    /// `system_mem`; `max_system_mem` follows.
    package var systemMem: UInt64
    /// The whole structure.
    package var size: UInt64

    /// The remainder of the last split.
    package var lastRemainder: UInt64 { top + 8 }
  }

  /// Byte offsets within the parameter block.
  package struct ParameterFields: Sendable {
    /// `n_mmaps`; its limit, its maximum and `no_dyn_threshold` follow, four bytes each.
    package var mmapCount: UInt64
    /// `mmapped_mem`; its maximum follows.
    package var mmappedMem: UInt64
    /// `sbrk_base`.
    package var sbrkBase: UInt64
    /// The number of tcache bins; the largest cached size and the fill follow.
    package var tcache: UInt64?
    /// The whole block.
    package var size: UInt64
    /// `hp_pagesize`, nil where there is none.
    package var hugePageSize: UInt64? {
      switch mmapCount {
      case 60: 48
      case 68: 56
      default: nil
      }
    }
  }
}

extension GlibcShape {
  /// The builds that tests run over, ascending.
  package static let presets: [GlibcShape] = [
    old("2.17", .a, .glibc217), old("2.22", .a, .glibc217), old("2.22 branch", .b, .glibc217),
    old("2.23", .b, .glibc217), old("2.24", .b, .glibc224),
    middle("2.26", .b, .bytes, .none), middle("2.26 branch", .c, .bytes, .none),
    middle("2.27", .c, .bytes, .none), middle("2.28", .c, .bytes, .none),
    middle("2.28 branch", .c, .halfWords, .structureAddress),
    middle("2.29", .c, .bytes, .structureAddress),
    middle("2.30", .c, .halfWords, .structureAddress),
    middle("2.31", .c, .halfWords, .structureAddress),
    middle("2.32", .c, .halfWords, .structureAddress, mangles: true),
    middle("2.34", .c, .halfWords, .random, mangles: true),
    recent("2.35", .c, .glibc235, .halfWords, small: true),
    recent("2.36", .c, .glibc235, .halfWords, small: true),
    recent("2.36 without tunables", .c, .glibc226, .halfWords, small: true),
    recent("2.41", .c, .glibc235, .halfWords), recent("2.42", .c, .glibc235, .slots, early: true),
    recent("2.43", .d, .glibc243, .slots, early: true),
    recent("2.44", .d, .glibc244, .slots, early: true),
  ]

  /// The preset called `name`.
  package static func named(_ name: String) -> GlibcShape {
    guard let shape = presets.first(where: { $0.name == name }) else {
      preconditionFailure("no preset is called \(name)")
    }
    return shape
  }

  /// One build of each arena layout, with and without tcache and with each of its structures.
  package static let classes: [GlibcShape] = [
    "2.17", "2.24", "2.26", "2.29", "2.31", "2.36", "2.42", "2.44",
  ].map(named)

  private static func old(
    _ name: String, _ arena: ArenaLayout, _ parameters: ParameterLayout
  ) -> GlibcShape {
    GlibcShape(
      name: name, arena: arena, parameters: parameters, heapInfoSize: 32, tcache: .none,
      key: .none, manglesLinks: false, linksBinsEarly: false)
  }

  private static func middle(
    _ name: String, _ arena: ArenaLayout, _ tcache: TcacheStyle, _ key: KeyStyle,
    mangles: Bool = false
  ) -> GlibcShape {
    GlibcShape(
      name: name, arena: arena, parameters: .glibc226, heapInfoSize: 32, tcache: tcache, key: key,
      manglesLinks: mangles, linksBinsEarly: false)
  }

  private static func recent(
    _ name: String, _ arena: ArenaLayout, _ parameters: ParameterLayout, _ tcache: TcacheStyle,
    early: Bool = false, small: Bool = false
  ) -> GlibcShape {
    GlibcShape(
      name: name, arena: arena, parameters: parameters, heapInfoSize: 48, tcache: tcache,
      key: .random, manglesLinks: true, linksBinsEarly: early, hasSmallSegments: small)
  }
}
