// Histories and states of which screens are drawn.

import HeapAnalysis
import HeapModel
import Reports
import TestKit
import WatchScreen

/// Histories made by hand.
enum WatchFixtures {
  /// A server that leaks nodes of 48 bytes, after `samples` samples a second apart, with three arenas.
  static func leak(
    _ samples: Int, command: String = "ingest-worker",
    executable: String = "/srv/ingest/bin/ingest-worker", container: ContainerIdentity? = nil
  ) -> GrowthHistory {
    var history = GrowthHistory()
    for sample in 0..<samples {
      let report = leakReport(
        sample, command: command, executable: executable, container: container)
      history.add(report.report, report.memory, at: 500 + Double(sample))
    }
    return history
  }

  /// One sample of it.
  static func leakReport(
    _ sample: Int, command: String = "ingest-worker",
    executable: String = "/srv/ingest/bin/ingest-worker", container: ContainerIdentity? = nil
  ) -> (report: HeapReport, memory: ProcessMemory) {
    var heap = SyntheticReport([])
    heap.arenas = (0..<3).map { arena in
      [
        SizeClass(size: 32, inUse: 2_000 + 7 * (sample * 31 % 11), free: 10, cached: 7),
        SizeClass(size: 48, inUse: 1_000 + (arena == 1 ? 900 * sample : 0), free: 4, cached: 7),
        SizeClass(size: 96, inUse: 700 + (sample / 3), cached: 5),
        SizeClass(size: 272, inUse: 300 - sample % 4, free: sample % 4),
        SizeClass(size: 1_040, inUse: 40, free: 2, cached: 1),
        SizeClass(size: 8_208, inUse: 12 + arena, free: 2),
        SizeClass(size: 65_552, inUse: 3, free: 1),
      ]
    }
    heap.mmapped = [SizeClass(size: 1_052_672, inUse: 2)]
    heap.outsideBytes = 24 << 20
    heap.stop = .microseconds(2_413 + 100 * (sample % 3))
    heap.command = command
    heap.executable = executable
    var report = heap.report()
    report.target.container = container
    let heapBytes = report.snapshot.systemAndMmappedBytes
    let memory = ProcessMemory(
      residentBytes: heapBytes + (9 << 20), anonymousBytes: heapBytes, swappedBytes: 0,
      group: GroupMemory(usedBytes: heapBytes + (16 << 20), limitBytes: 512 << 20),
      age: .seconds(11_112 + sample))
    return (report, memory)
  }

  /// Types of which the second grows, one with a long name and one with such a one.
  static func types(naming name: String = "ingest::Record") -> GrowthHistory {
    var history = GrowthHistory()
    let long = "std::map<std::string, std::vector<ingest::Record, ingest::Arena<ingest::Record>>>"
    for sample in 0..<8 {
      var (report, memory) = leakReport(sample)
      report.hold(
        [
          ("Cache", 4_112, 60), ("Session", 96, 900 + 30 * sample), (long, 80, 9),
          (name, 64, 4 + sample / 4),
        ] + (0..<30).map { ("ingest::Codec<\($0)>", 48, 2) })
      history.add(report, memory, at: 500 + Double(sample))
    }
    return history
  }

  /// Many exact sizes, of which every third grows.
  static let manySizes: GrowthHistory = {
    var history = GrowthHistory()
    for sample in 0..<5 {
      let heap = SyntheticReport(
        (0..<60).map {
          SizeClass(size: 32 + 16 * UInt64($0), inUse: 100 + ($0 % 3 == 0 ? $0 * sample : 0))
        })
      history.add(heap.report(), ProcessMemory(), at: Double(sample))
    }
    return history
  }()

  /// Numbers near what 64 bits hold.
  static let huge: GrowthHistory = {
    var history = GrowthHistory()
    for (second, count) in [1, 1 << 40, 1, Int.max, 0, -1, .min, .max].enumerated() {
      var heap = SyntheticReport(
        (0..<64).map { SizeClass(size: 1 << $0, inUse: count, free: count, cached: count / 2) })
      heap.arenas.append([SizeClass(size: .max - 15, inUse: 1, free: count)])
      heap.mmapped = [SizeClass(size: 1 << 62, inUse: count)]
      heap.topBytes = .max
      heap.outsideBytes = .max
      heap.stop = .seconds(Int64.max / 16)
      var report = heap.report()
      report.target.pid = .min
      report.target.threads = .max
      history.add(
        report,
        ProcessMemory(
          residentBytes: second.isMultiple(of: 2) ? 0 : .max, anonymousBytes: .max,
          swappedBytes: .max, group: GroupMemory(usedBytes: .max, limitBytes: .max),
          age: .seconds(Int64.max)), at: Double(second))
    }
    // Nearly all that there can be is in use.
    var heap = SyntheticReport([SizeClass(size: 16, inUse: -1)])
    heap.topBytes = 0
    history.add(heap.report(), ProcessMemory(), at: 10)
    return history
  }()

  /// What a name could do to a terminal.
  static let hostileName =
    "\u{1B}[2J\u{1B}]0;owned\u{7}\r\n\t\u{202E}\u{200B}\u{9B}31m漢字仮名👩‍👩‍👧é̷̸̶\u{FFFD}"

  static let container = ContainerIdentity(
    id: "3f2a9c81d0e47b56aa0c5d1e9f8b7a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f00", podUID: nil)

  /// A state of a screen of that size.
  static func state(
    _ columns: Int = 80, _ rows: Int = 24, _ change: (inout WatchState) -> Void = { _ in }
  ) -> WatchState {
    var state = WatchState(
      pid: 4242, style: TextStyle(usesColor: true, usesUnicode: true), columns: columns, rows: rows)
    change(&state)
    return state
  }

  /// A panel with so many chunks, with or without what they hold.
  static func panel(_ count: Int, withContents: Bool = false) -> ChunkPanel {
    var panel = ChunkPanel(title: "48", key: .sizes(33...48))
    panel.total = count * 30
    panel.lines = (0..<count).map { index in
      let states: [ChunkState] = [.inUse, .inUse, .tcache, .binned, .fastbin]
      let chunk = Chunk(
        userAddress: RemoteAddress(0x55d0_c0ab_0010 + UInt64(index) * 4_144), size: 48,
        usableSize: 40, state: states[index % states.count],
        arena: index % 7 == 6 ? nil : Int32(index % 3))
      let contents = (0..<32).map { UInt8(truncatingIfNeeded: index * 29 + $0 * 7) }
      return ChunkPanel.Line(chunk: chunk, contents: withContents && index != 2 ? contents : nil)
    }
    return panel
  }
}
