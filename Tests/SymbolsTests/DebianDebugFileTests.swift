// What each of Debian's libcs says of its malloc, against its own symbols and debug information.

import GlibcHeap
import HeapModel
import TestKit
import Testing

@testable import Symbols

@Suite("The library's file, its symbols and its debug information say the same")
struct DebianDebugFileTests {
  /// What is expected of a version, from the sources of glibc.
  struct Expected {
    var arena: String
    var arenaBytes: UInt64
    var parameters: String
    var parameterBytes: UInt64
    var heapInfo: Int
    var cache: (byteCount: Int, chunkSize: UInt64)
    /// Where `tcache` and `thread_arena` are in the thread-local block.
    var threadLocals: [String: [String: UInt64]]
  }

  static let expected: [String: Expected] = [
    "2.31": Expected(
      arena: "C", arenaBytes: 2200, parameters: "2.26", parameterBytes: 112, heapInfo: 32,
      cache: (640, 0x290),
      threadLocals: [
        "amd64": ["tcache": 0x40, "thread_arena": 0x50],
        "arm64": ["tcache": 0x40, "thread_arena": 0x48],
      ]),
    "2.36": Expected(
      arena: "C", arenaBytes: 2200, parameters: "2.35", parameterBytes: 136, heapInfo: 48,
      cache: (640, 0x290),
      threadLocals: [
        "amd64": ["tcache": 0x48, "thread_arena": 0x58],
        "arm64": ["tcache": 0x50, "thread_arena": 0x48],
      ]),
    "2.41": Expected(
      arena: "C", arenaBytes: 2200, parameters: "2.35", parameterBytes: 136, heapInfo: 48,
      cache: (640, 0x290),
      threadLocals: [
        "amd64": ["tcache": 0x48, "thread_arena": 0x58],
        "arm64": ["tcache": 0x50, "thread_arena": 0x58],
      ]),
    "2.43": Expected(
      arena: "D", arenaBytes: 2112, parameters: "2.43", parameterBytes: 144, heapInfo: 48,
      cache: (760, 0x300), threadLocals: recent),
    "2.44": Expected(
      arena: "D", arenaBytes: 2112, parameters: "2.43", parameterBytes: 136, heapInfo: 48,
      cache: (760, 0x300), threadLocals: recent),
  ]

  private static let recent = [
    "amd64": ["tcache": UInt64(0x20), "thread_arena": 0x50],
    "arm64": ["tcache": UInt64(0x20), "thread_arena": 0x50],
  ]

  @Test(
    "all of Debian's glibcs were fetched",
    .enabled(
      if: DebianGlibc.isRequired || FetchedLibrary.present.count == FetchedLibrary.all.count,
      "Tests/fetch-glibc was not run, or could not fetch all"))
  func allArePresent() {
    #expect(FetchedLibrary.present == FetchedLibrary.all)
  }

  @Test(
    "every address and every field that is walked with is confirmed",
    arguments: FetchedLibrary.present)
  func allAgree(library: FetchedLibrary) throws {
    let expected = try #require(Self.expected[library.version])
    let loaded = try library.loaded()
    #expect(loaded.image.machine.rawValue == library.architecture)
    let instance = try #require(try MallocInstance.find(in: [loaded]).first)
    #expect(instance.arenaLayout.name == expected.arena)
    #expect(instance.parametersLayout.name == expected.parameters)
    #expect(instance.heapInfoLayout.byteCount == expected.heapInfo)

    let lookup = search(in: library.debugDirectory).symbols(of: loaded, wantsTypes: true)
    #expect(lookup.rejected.isEmpty)
    let symbols = try #require(lookup.symbols)
    let arena = try #require(symbols.variables["main_arena"])
    let parameters = try #require(symbols.variables["mp_"])
    #expect(loaded.address(of: arena.address) == instance.mainArena)
    #expect(loaded.address(of: parameters.address) == instance.parameters)
    #expect(arena.byteCount == expected.arenaBytes)
    #expect(parameters.byteCount == expected.parameterBytes)
    #expect(symbols.threadLocals == expected.threadLocals[library.architecture])
    #expect(Set(symbols.layouts.keys) == Set(MallocSymbols.Structure.allCases))
    #expect(symbols.layouts[.arena]?.byteCount == expected.arenaBytes)
    #expect(symbols.layouts[.parameters]?.byteCount == expected.parameterBytes)
    #expect(symbols.layouts[.heapInfo]?.byteCount == UInt64(expected.heapInfo))
    #expect(symbols.layouts[.tcache]?.byteCount == UInt64(expected.cache.byteCount))

    let comparison = try instance.compared(with: symbols, of: loaded)
    #expect(comparison.findings.isEmpty)
    for (what, witness) in [
      ("main_arena", "symbol main_arena"), ("mp_", "symbol mp_"),
      ("arena layout", "debug information of malloc_state"),
      ("mp_ layout", "debug information of malloc_par"),
    ] {
      let evidence = try #require(comparison.evidence.first { $0.what == what })
      #expect(evidence.confirmedBy == [witness])
    }
    try memoryAgrees(instance, symbols, expected, library)
  }

  /// What the memory of a process with this library would tell is confirmed, too.
  private func memoryAgrees(
    _ instance: MallocInstance, _ symbols: MallocSymbols, _ expected: Expected,
    _ library: FetchedLibrary
  ) throws {
    var readings = MallocReadings()
    readings.masksLinks = library.version != "2.31"
    readings.heapInfoByteCount = expected.heapInfo
    readings.cache = MallocReadings.Cache(
      byteCount: expected.cache.byteCount, chunkSize: expected.cache.chunkSize,
      offset: symbols.threadLocals["tcache"], threads: 3)
    let seen = instance.compared(readings, with: symbols)
    #expect(seen.findings.isEmpty)
    for (what, witness) in [
      ("heap_info", "debug information of heap_info"),
      ("tcache", "debug information of tcache_perthread_struct"),
      ("tcache pointer", "symbol tcache"),
    ] {
      let evidence = try #require(seen.evidence.first { $0.what == what })
      #expect(evidence.confirmedBy.contains(witness), "\(what)")
    }
  }

  @Test("a field beside its place is seen, whichever it is", arguments: FetchedLibrary.present)
  func everyFieldCounts(library: FetchedLibrary) throws {
    let loaded = try library.loaded()
    let instance = try #require(try MallocInstance.find(in: [loaded]).first)
    let lookup = search(in: library.debugDirectory).symbols(of: loaded, wantsTypes: true)
    let symbols = try #require(lookup.symbols)
    let fields: [(MallocSymbols.Structure, [String])] = [
      (
        .arena,
        [
          "mutex", "flags", "top", "bins", "next", "attached_threads", "system_mem",
          "max_system_mem",
        ]
      ),
      (.parameters, ["n_mmaps", "n_mmaps_max", "mmapped_mem", "sbrk_base", "tcache_count"]),
      (.heapInfo, ["ar_ptr", "prev", "size"]),
      (.tcache, ["entries"]),
    ]
    for (structure, names) in fields {
      for name in names {
        var changed = symbols
        let member = try #require(symbols.layouts[structure]?.members[name])
        changed.layouts[structure]?.members[name]?.offset = member.offset + 8
        #expect {
          _ = try instance.compared(with: changed, of: loaded)
        } throws: { error in
          guard case .unknownLayout(let misfit) = error as? HeapError else { return false }
          return misfit.differences.contains {
            $0.structure == structure.rawValue && $0.field == name
              && $0.found == member.offset + 8
          }
        }
      }
    }
  }

  @Test(
    "without asking for types, symbols alone are read", arguments: FetchedLibrary.present)
  func symbolsAlone(library: FetchedLibrary) throws {
    let loaded = try library.loaded()
    let lookup = search(in: library.debugDirectory).symbols(of: loaded, wantsTypes: false)
    let symbols = try #require(lookup.symbols)
    #expect(symbols.layouts.isEmpty)
    #expect(symbols.variables.count == 2)
    let instance = try #require(try MallocInstance.find(in: [loaded]).first)
    #expect(try instance.compared(with: symbols, of: loaded).findings.isEmpty)
  }

  @Test("the debug file of another build is not taken", arguments: FetchedLibrary.present)
  func otherBuild(library: FetchedLibrary) throws {
    var loaded = try library.loaded()
    loaded.image.buildID[0] ^= 0xff
    let lookup = search(in: library.debugDirectory).symbols(of: loaded, wantsTypes: true)
    #expect(lookup.symbols == nil)
    #expect(lookup.rejected.isEmpty)
  }
}
