// Symbols against what the library's file decided, and libraries whose file does not decide.

import GlibcHeap
import HeapModel
import TestKit
import Testing

@Suite("Symbols as a second witness")
struct SymbolComparisonTests {
  /// A library of layout C, with 2.36's parameters, and where it has its variables in the file.
  private static func library(_ change: (inout ELFImage) -> Void = { _ in }) throws -> Library {
    let shape = try #require(GlibcShape.presets.first { $0.name.contains("2.36") })
    var plan = SyntheticPlan(shape: shape, seed: 3)
    plan.threads = [.init(arena: 0, hasTcache: false)]
    plan.linkage = .sharedLibrary
    let heap = SyntheticHeap(plan)
    var loaded = heap.images[0]
    let arena = heap.mainArena.bits - loaded.loadBias
    let parameters = heap.parameters.bits - loaded.loadBias
    change(&loaded.image)
    return Library(loaded: loaded, arena: arena, parameters: parameters)
  }

  private struct Library {
    var loaded: LoadedImage
    var arena: UInt64
    var parameters: UInt64

    /// What a debug file of it says.
    var symbols: MallocSymbols {
      func layout(_ size: UInt64, _ members: [(String, UInt64, UInt64?)]) -> MallocSymbols.Layout {
        var layout = MallocSymbols.Layout(byteCount: size, members: [:])
        for (name, offset, size) in members {
          layout.members[name] = .init(offset: offset, byteCount: size)
        }
        return layout
      }
      return MallocSymbols(
        path: "/debug/libc.debug",
        variables: [
          "main_arena": .init(address: arena, byteCount: 2200),
          "mp_": .init(address: parameters, byteCount: 136),
        ],
        threadLocals: ["tcache": 0x48],
        layouts: [
          .arena: layout(
            2200,
            [
              ("mutex", 0, 4), ("flags", 4, 4), ("have_fastchunks", 8, 4), ("fastbinsY", 16, 80),
              ("top", 96, 8), ("bins", 112, 2032), ("next", 2160, 8), ("attached_threads", 2176, 8),
              ("system_mem", 2184, 8), ("max_system_mem", 2192, 8),
            ]),
          .parameters: layout(
            136,
            [
              ("hp_pagesize", 48, 8), ("n_mmaps", 60, 4), ("n_mmaps_max", 64, 4),
              ("mmapped_mem", 80, 8), ("sbrk_base", 96, 8), ("tcache_bins", 104, 8),
              ("tcache_count", 120, 8),
            ]),
          .heapInfo: layout(48, [("ar_ptr", 0, 8), ("prev", 8, 8), ("size", 16, 8)]),
          .tcache: layout(640, [("counts", 0, 128), ("entries", 128, 512)]),
        ])
    }
  }

  private static func find(
    _ library: Library, _ symbols: MallocSymbols? = nil
  ) throws(HeapError) -> MallocInstance {
    try MallocInstance.find(in: [library.loaded]) { _ in symbols }[0]
  }

  /// What is thrown, nil if nothing is.
  private static func refusal(
    _ body: () throws(HeapError) -> Void
  ) -> HeapError? {
    do throws(HeapError) {
      try body()
      return nil
    } catch {
      return error
    }
  }

  // MARK: Comparing

  @Test("without symbols, all is decided by the file and nothing is confirmed")
  func alone() throws {
    let library = try Self.library()
    let comparison = try Self.find(library).compared(with: nil, of: library.loaded)
    #expect(comparison.findings.isEmpty)
    #expect(comparison.evidence.count == 5)
    #expect(comparison.evidence.allSatisfy { $0.confirmedBy.isEmpty && !$0.decidedBy.isEmpty })
  }

  @Test("symbols that say the same confirm it")
  func same() throws {
    let library = try Self.library()
    let comparison = try Self.find(library).compared(with: library.symbols, of: library.loaded)
    #expect(comparison.findings.isEmpty)
    #expect(comparison.evidence.filter { !$0.confirmedBy.isEmpty }.count == 4)
  }

  @Test(
    "a symbol with another address is a finding, and the file's stays",
    arguments: [
      "main_arena", "mp_",
    ])
  func otherAddress(name: String) throws {
    let library = try Self.library()
    let instance = try Self.find(library)
    var symbols = library.symbols
    symbols.variables[name]?.address += 32
    let comparison = try instance.compared(with: symbols, of: library.loaded)
    let address = name == "mp_" ? instance.parameters : instance.mainArena
    #expect(comparison.findings.map(\.kind) == [.layoutDisagreement])
    #expect(comparison.findings[0].address == address)
    #expect(comparison.findings[0].detail.contains("\(RemoteAddress(address.bits + 32))"))
    #expect(comparison.findings[0].detail.contains("/debug/libc.debug"))
    let evidence = try #require(comparison.evidence.first { $0.what == name })
    #expect(evidence.value == "\(address)")
    #expect(evidence.confirmedBy.isEmpty)
  }

  @Test(
    "a symbol with another size is a finding, without any debug information",
    arguments: [
      ("main_arena", 2112), ("mp_", 88),
    ])
  func otherSize(name: String, size: UInt64) throws {
    let library = try Self.library()
    var symbols = library.symbols
    symbols.layouts = [:]
    symbols.variables[name]?.byteCount = size
    let comparison = try Self.find(library).compared(with: symbols, of: library.loaded)
    #expect(comparison.findings.map(\.kind) == [.layoutDisagreement])
    #expect(comparison.findings[0].detail.contains("\(size) by the symbol"))
  }

  @Test("another layout that is known is a finding, and the file's stays")
  func otherKnownLayout() throws {
    let library = try Self.library()
    var symbols = library.symbols
    var layout = try #require(symbols.layouts[.arena])
    // That of 2.43.
    layout.byteCount = 2112
    layout.members["fastbinsY"] = nil
    for (name, offset) in [
      ("top", 8), ("bins", 24), ("next", 2072), ("attached_threads", 2088), ("system_mem", 2096),
      ("max_system_mem", 2104),
    ] as [(String, UInt64)] {
      layout.members[name]?.offset = offset
    }
    symbols.layouts[.arena] = layout
    let instance = try Self.find(library)
    #expect(instance.arenaLayout == .c)
    let comparison = try instance.compared(with: symbols, of: library.loaded)
    #expect(comparison.findings.map(\.kind) == [.layoutDisagreement])
    #expect(comparison.findings[0].detail.contains("malloc_state.top is at 8, in layout C at 96"))
  }

  @Test("2.17's parameters, which the file cannot tell from 2.24's, are no disagreement")
  func oldParameters() throws {
    let library = try Self.library()
    var instance = try Self.find(library)
    instance.parametersLayout = .v224
    var symbols = library.symbols
    symbols.variables["mp_"]?.byteCount = 88
    symbols.layouts[.parameters] = MallocSymbols.Layout(
      byteCount: 88,
      members: [
        "n_mmaps": .init(offset: 40, byteCount: 4), "n_mmaps_max": .init(offset: 44, byteCount: 4),
        "mmapped_mem": .init(offset: 56), "max_total_mem": .init(offset: 72),
        "sbrk_base": .init(offset: 80),
      ])
    let comparison = try instance.compared(with: symbols, of: library.loaded)
    #expect(comparison.findings.isEmpty)
    let evidence = try #require(comparison.evidence.first { $0.what == "mp_ layout" })
    #expect(evidence.value == "2.17")
    #expect(evidence.confirmedBy == ["debug information of malloc_par"])
  }

  @Test("a member in a place where no known layout has it is refused, and named")
  func unknownMember() throws {
    let library = try Self.library()
    let instance = try Self.find(library)
    var symbols = library.symbols
    symbols.layouts[.arena]?.members["top"]?.offset = 100
    symbols.layouts[.parameters]?.members["sbrk_base"] = nil
    let error = Self.refusal { () throws(HeapError) in
      _ = try instance.compared(with: symbols, of: library.loaded)
    }
    guard case .unknownLayout(let misfit) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(
      misfit.differences.map(\.description) == [
        "malloc_state.top is at 100, in layout C at 96",
        "malloc_par has no sbrk_base, in layout 2.35 it is at 96",
      ])
  }

  @Test("memory that says otherwise than symbols is a finding, and memory's stays")
  func memory() throws {
    let library = try Self.library()
    let instance = try Self.find(library)
    var readings = MallocReadings()
    readings.masksLinks = true
    readings.heapInfoByteCount = 48
    readings.cache = .init(byteCount: 640, chunkSize: 0x290, offset: 0x48, threads: 2)
    #expect(instance.compared(readings, with: library.symbols).findings.isEmpty)
    readings.heapInfoByteCount = 32
    readings.cache = .init(byteCount: 760, chunkSize: 0x300, offset: 0x20, threads: 2)
    let seen = instance.compared(readings, with: library.symbols)
    // Of heap_info both debug information and the parameters say otherwise.
    #expect(seen.findings.count == 4)
    #expect(seen.findings.allSatisfy { $0.kind == .layoutDisagreement && !$0.meansIncomplete })
    #expect(seen.evidence.first { $0.what == "heap_info" }?.value == "32 bytes")
    #expect(seen.evidence.first { $0.what == "list links" }?.value == "masked")
  }

  // MARK: Deciding

  /// Adds a second place that looks like an arena.
  private static func addArena(_ image: inout ELFImage) {
    let piece = image.initialBytes[0]
    let start = piece.virtualAddress + UInt64(piece.bytes.count)
    var bytes = [UInt8](repeating: 0, count: 2200)
    bytes[2176] = 1
    image.initialBytes[0].bytes += bytes
    image.relativeRelocations.append(.init(place: start + 2160, target: start))
  }

  @Test("of two arenas the file does not tell which, symbols do, unless their layout is unknown")
  func twoArenas() throws {
    let library = try Self.library(Self.addArena)
    guard
      case .ambiguousArena(let misfit) = Self.refusal({ () throws(HeapError) in
        _ = try Self.find(library)
      })
    else {
      Issue.record("not refused")
      return
    }
    #expect(misfit.arenas.count == 2)
    #expect(misfit.arenas.contains { $0.address == library.arena && $0.layout == "C" })
    #expect(misfit.arenaText.contains("\(RemoteAddress(library.arena)) with a pointer to it 2160"))

    let instance = try Self.find(library, library.symbols)
    #expect(instance.mainArena == library.loaded.address(of: library.arena))
    #expect(instance.decidingSymbols == "/debug/libc.debug")
    let comparison = try instance.compared(with: library.symbols, of: library.loaded)
    #expect(comparison.findings.isEmpty)
    #expect(comparison.evidence[0].decidedBy == "symbol main_arena")

    // Symbols without layouts do not decide; nor do those of a layout that is not known.
    var symbols = library.symbols
    symbols.layouts = [:]
    #expect(Self.refusal { () throws(HeapError) in _ = try Self.find(library, symbols) } != nil)
    symbols = library.symbols
    symbols.layouts[.arena]?.byteCount = 2208
    guard
      case .unknownLayout(let unknown) = Self.refusal({ () throws(HeapError) in
        _ = try Self.find(library, symbols)
      })
    else {
      Issue.record("not refused")
      return
    }
    #expect(
      unknown.differencesText == "malloc_state has 2208 bytes, in layout C 2200 bytes")
  }

  @Test("parameters of an unknown shape are refused with the words that were found")
  func unknownParameters() throws {
    let library = try Self.library()
    var changed = library
    let piece = library.loaded.image.initialBytes[0]
    let offset = Int(library.parameters - piece.virtualAddress)
    // The largest number of mmapped chunks: another one.
    changed.loaded.image.initialBytes[0].bytes[offset + 66] = 7
    guard
      case .unknownParameters(let misfit) = Self.refusal({ () throws(HeapError) in
        _ = try Self.find(changed)
      })
    else {
      Issue.record("not refused")
      return
    }
    #expect(misfit.arenas.map(\.address) == [library.arena])
    let trace = try #require(misfit.parameters.first { $0.address == library.parameters })
    #expect(trace.words.count == 18)
    #expect(trace.words.prefix(5) == [0x20000, 0x20000, 0x20000, 8, 0])
    #expect(trace.words[8] == 0x70000)
    #expect(misfit.parametersText.contains("20000 20000 20000 8 0 0 0 0 70000"))
    #expect(try Self.find(changed, library.symbols).parametersLayout == .v235)
  }

  @Test("a pointer to itself at a distance that no layout has is told as what it is")
  func unknownDistance() throws {
    let library = try Self.library { image in
      for index in image.relativeRelocations.indices {
        let relocation = image.relativeRelocations[index]
        guard relocation.place &- relocation.target == 2160 else { continue }
        image.relativeRelocations[index].place += 64
      }
    }
    guard
      case .noArena(let paths, let traces) = Self.refusal({ () throws(HeapError) in
        _ = try Self.find(library)
      })
    else {
      Issue.record("not refused")
      return
    }
    #expect(paths == [library.loaded.path])
    // attached_threads lies before that place, and so the file has more than zeros there.
    #expect(traces.isEmpty)

    var zeros = library
    let piece = library.loaded.image.initialBytes[0]
    let offset = Int(library.arena - piece.virtualAddress)
    for place in 2160..<2184 { zeros.loaded.image.initialBytes[0].bytes[offset + place] = 0 }
    guard
      case .noArena(_, let found) = Self.refusal({ () throws(HeapError) in
        _ = try Self.find(zeros)
      })
    else {
      Issue.record("not refused")
      return
    }
    #expect(found.flatMap(\.arenas).map(\.distance) == [2224])
    #expect(found.first?.file.contains("glibc 2.36") == true)
  }
}
