// Heap reports made by hand, from an empty process to a damaged one.

import HeapModel

/// The reports that the tests render.
enum ReportFixtures {
  /// One thread, one arena, sizes like those of an interpreter after start.
  static let python = report(
    target: target(4242, "python3", "/usr/bin/python3.11"),
    arenas: [arena(0, threads: 1, scale: 1)], mmapped: [(266_240, 7), (1_052_672, 2)])

  /// 17 arenas of unequal size in a container of a pod.
  static let server: HeapReport = {
    var facts = target(31_337, "ingest-worker", "/srv/ingest/bin/ingest-worker", threads: 33)
    facts.namespacedPid = 7
    facts.container = ContainerIdentity(
      id: "3f2a9c81d0e47b56aa0c5d1e9f8b7a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f00",
      podUID: "0f5c1d2e-3b4a-4c5d-8e9f-001122334455")
    return report(
      target: facts,
      arenas: (0..<17).map { arena($0, threads: $0 == 0 ? 1 : 2, scale: (37 * $0) % 23 + 1) },
      mmapped: [(4_198_400, 12)])
  }()

  /// A process that never called malloc.
  static let empty = report(
    target: target(77, "sleep", "/usr/bin/sleep"),
    arenas: [ArenaSummary(index: 0, address: RemoteAddress(0x7f00_dead_bc60), kind: .main)],
    mmapped: [])

  /// Findings of several kinds, some not kept, two failed checks, a part not covered.
  static let damaged: HeapReport = {
    var report = python
    report.snapshot.findings =
      (0..<7).map { index in
        Finding(
          .chainBreak, at: RemoteAddress(0x55d0_c0ff_e010 + UInt64(index) * 0x1000), bytes: 4096,
          "size field 0x2ff1 leads beyond the end of the segment at 0x55d0c1020000, "
            + "the walk went on at the next page")
      } + [
        Finding(.inTransit, at: RemoteAddress(0x55d0_c0ab_0010), "in no list and not in use"),
        Finding(.threadUnknown, at: nil, "thread 4243: registers cannot be read: errno 3"),
      ]
    report.snapshot.suppressedFindings = 1203
    report.snapshot.checks = [
      Check("arena 0 system_mem", expected: 3_145_728, found: 3_117_056),
      Check("arena 0 chunks tile its segments", expected: 0, found: 28_672),
      Check("mmapped count", expected: 9, found: 9),
    ]
    report.snapshot.accountedBytes = report.snapshot.systemAndMmappedBytes - 28_672
    report.capture.stops = 3
    report.capture.totalStop = .microseconds(5_012)
    return report
  }()

  /// Names that would garble a terminal or break a document.
  static let oddNames: HeapReport = {
    var report = python
    report.target.command = "a\"b\\c\u{1B}[2J\n\u{202E}\u{7F}é"
    report.target.executable =
      String(decoding: [0x2F, 0xFF, 0x61, 0x2C, 0x62] as [UInt8], as: UTF8.self)
      + String(repeating: "/a long directory", count: 9) + "/prog"
    report.target.glibcVersion = nil
    report.snapshot.checks = [Check("odd \t \"name\"", expected: 1, found: 2)]
    report.snapshot.findings = [Finding(.allocator, at: nil, "a second malloc in /lib/\u{7}x")]
    return report
  }()

  /// Counts and sizes near what 64 bits hold.
  static let huge: HeapReport = {
    var report = python
    report.snapshot.sizes = [
      SizeClass(size: 32, inUse: .max / 64, free: 1, cached: 0),
      SizeClass(size: 1 << 62, inUse: 1, free: 1, cached: 1),
    ]
    report.snapshot.arenas[0].inUse = Tally(count: .max / 64, bytes: .max / 4)
    report.snapshot.arenas[0].systemBytes = .max
    report.capture.longestStop = .seconds(Int64.max)
    report.capture.copiedBytes = .max
    return report
  }()

  /// Two copies of malloc: a static program's, which states no version, and that of a library.
  static let copies: HeapReport = {
    var report = Self.report(
      target: target(4711, "plugin-host", "/opt/host/bin/plugin-host", threads: 3),
      arenas: [arena(0, threads: 1, scale: 3), arena(1, threads: 2, scale: 1)],
      mmapped: [(266_240, 7)])
    report.target.glibcVersion = nil
    report.snapshot.mallocs = [
      malloc(0, "/opt/host/bin/plugin-host", glibc: nil, arenas: 0..<2, Tally())
    ]
    var main = arena(2, threads: 0, scale: 2)
    main.kind = .main
    var other = HeapSnapshot()
    other.arenas = [main]
    other.sizes = sizes(scale: 2) + [SizeClass(size: 524_288, inUse: 3)]
    other.mmapped.add(size: 524_288, count: 3)
    other.mallocs = [
      malloc(
        1, "/usr/lib/x86_64-linux-gnu/plug-ins/libc.so.6", glibc: "2.43", arenas: 2..<3,
        Tally(count: 10, bytes: 7 * 266_240 + 3 * 524_288))
    ]
    other.systemAndMmappedBytes = other.systemBytes + other.mmapped.bytes
    other.accountedBytes = other.systemAndMmappedBytes
    other.checks = [
      Check("arena 2 system_mem", expected: main.systemBytes, found: main.systemBytes)
    ]
    report.snapshot.add(other)
    return report
  }()

  /// One of several copies of malloc, shown alone.
  static let oneCopy: HeapReport = {
    var report = copies
    report.snapshot.mallocs.removeLast()
    report.snapshot.arenas.removeLast()
    return report
  }()

  static let all: [(name: String, report: HeapReport)] = [
    ("python", python), ("server", server), ("empty", empty), ("damaged", damaged),
    ("odd-names", oddNames), ("huge", huge), ("copies", copies), ("one-copy", oneCopy),
  ]

  private static func malloc(
    _ index: Int, _ path: String, glibc: String?, arenas: Range<Int>, _ mmapped: Tally
  ) -> MallocSummary {
    MallocSummary(
      index: index, copies: 2, path: path, glibcVersion: glibc, arenaLayout: "C",
      mainArena: RemoteAddress(0x7f00_dead_bc60 + UInt64(index) << 32), arenas: arenas,
      mmapped: mmapped)
  }

  /// Chunks of every state, in an arena and mmapped.
  static let chunks: HeapReport = {
    var report = python
    var address: UInt64 = 0x55d0_c0ab_0010
    for (index, state) in ChunkState.allCases.enumerated() {
      let size = UInt64(48 + 16 * index)
      report.snapshot.chunks.append(
        Chunk(
          userAddress: RemoteAddress(address), size: size, usableSize: size - 8, state: state,
          arena: 0))
      address += size
    }
    report.snapshot.chunks.append(
      Chunk(
        userAddress: RemoteAddress(0x7f00_0000_0010), size: 266_240, usableSize: 266_224,
        state: .inUse, arena: nil))
    return report
  }()

  // MARK: Parts

  static func target(
    _ pid: Int32, _ command: String, _ executable: String, threads: Int = 1
  ) -> TargetFacts {
    TargetFacts(
      pid: pid, namespacedPid: pid, command: command, executable: executable, threads: threads,
      glibcVersion: "2.36", arenaLayout: "C", container: nil)
  }

  /// The sizes of one arena; `scale` makes it larger.
  private static func sizes(scale: Int) -> [SizeClass] {
    let rows: [(UInt64, Int, Int, Int)] = [
      (32, 2104, 31, 7), (48, 1810, 22, 7), (64, 1294, 18, 5), (80, 944, 0, 3), (96, 310, 4, 0),
      (112, 208, 0, 0), (128, 122, 1, 0), (160, 301, 3, 2), (208, 87, 0, 0), (272, 64, 2, 0),
      (528, 1210, 14, 4), (592, 77, 0, 0), (1040, 46, 1, 1), (4112, 12, 0, 0), (8208, 3, 2, 0),
      (32_784, 9, 1, 0), (65_552, 2, 0, 0), (131_088, 1, 0, 0),
    ]
    return rows.map {
      SizeClass(size: $0.0, inUse: $0.1 * scale, free: $0.2 * scale, cached: $0.3 * scale)
    }
  }

  private static func arena(_ index: Int, threads: Int, scale: Int) -> ArenaSummary {
    var arena = ArenaSummary(
      index: index,
      address: RemoteAddress(
        index == 0 ? 0x7f00_dead_bc60 : 0x7f10_0000_0030 + UInt64(index) << 26),
      kind: index == 0 ? .main : .thread)
    for size in sizes(scale: scale) {
      arena.inUse += Tally(count: size.inUse, bytes: size.inUseBytes)
      arena.free += Tally(count: size.free, bytes: size.freeBytes)
      arena.cached += Tally(count: size.cached, bytes: size.cachedBytes)
    }
    arena.tcacheStructures = Tally(count: threads, bytes: UInt64(threads) * 656)
    arena.headerBytes = index == 0 ? 0 : 2256
    arena.topBytes = 98_304
    arena.attachedThreads = threads
    arena.systemBytes =
      arena.inUse.bytes + arena.free.bytes + arena.cached.bytes + arena.topBytes
      + arena.tcacheStructures.bytes + arena.headerBytes
    let start = RemoteAddress(
      index == 0 ? 0x55d0_c0ab_0000 : 0x7f10_0000_0000 + UInt64(index) << 26)
    arena.segments = [AddressRange(start, byteCount: arena.systemBytes)]
    return arena
  }

  private static func report(
    target: TargetFacts, arenas: [ArenaSummary], mmapped: [(size: UInt64, count: Int)]
  ) -> HeapReport {
    var snapshot = HeapSnapshot()
    snapshot.arenas = arenas
    let scale =
      arenas.reduce(0) { $0 + $1.inUse.count } / sizes(scale: 1).reduce(0) { $0 + $1.inUse }
    snapshot.sizes = scale > 0 ? sizes(scale: scale) : []
    for (size, count) in mmapped {
      snapshot.sizes.append(SizeClass(size: size, inUse: count))
      snapshot.mmapped.add(size: size, count: count)
    }
    snapshot.systemAndMmappedBytes = snapshot.systemBytes + snapshot.mmapped.bytes
    snapshot.accountedBytes = snapshot.systemAndMmappedBytes
    snapshot.checks = arenas.map {
      Check("arena \($0.index) system_mem", expected: $0.systemBytes, found: $0.systemBytes)
    }
    return HeapReport(
      target: target,
      capture: CaptureFacts(
        mode: .stop, consistency: .atomic, stops: 1, longestStop: .microseconds(2_413),
        totalStop: .microseconds(2_413), elapsed: .milliseconds(31),
        copiedBytes: snapshot.systemAndMmappedBytes / 10),
      snapshot: snapshot)
  }
}
