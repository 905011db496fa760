// Every glibc that Debian serves, on every scenario and with every setting of malloc: what the tool
// reports is what the program and glibc say of it.

import Glibc
import HeapModel
import Synchronization
import TestKit
import Testing

/// A row of the matrix: a scenario, and what malloc is told to do differently.
struct MatrixRow: Hashable, CustomTestStringConvertible {
  var name: String
  var scenario: String
  /// How many of the scenario's threads have a vector of thread-local storage.
  var threadVectors = 0
  /// Settings in `GLIBC_TUNABLES`, without `glibc.`.
  var tunables: [String] = []
  var environment: [String: String] = [:]
  /// The minor versions of glibc that it is for.
  var versions = 0...999
  /// Whether malloc checks what it is given: up to 2.33 libc's own does, then that of
  /// libc_malloc_debug.
  var isChecked = false

  var testDescription: String { name }

  static let all = scenarios + settings

  private static let scenarios = ScenarioReportTests.scenarios.map {
    MatrixRow(name: $0.name, scenario: $0.name, threadVectors: $0.threadVectors)
  }

  private static func everything(
    _ name: String, tunables: [String] = [], environment: [String: String] = [:],
    since: Int = 0
  ) -> Self {
    MatrixRow(
      name: name, scenario: "everything", threadVectors: 4, tunables: tunables,
      environment: environment, versions: since...999)
  }

  private static let settings = [
    everything("hugetlb=1", tunables: ["malloc.hugetlb=1"], since: 35),
    everything("hugetlb=2", tunables: ["malloc.hugetlb=2"], since: 35),
    everything("tcache_count=0", tunables: ["malloc.tcache_count=0"]),
    everything(
      "mxfast=0, arena_max=2, perturb",
      tunables: ["malloc.mxfast=0", "malloc.arena_max=2", "malloc.perturb=165"]),
    everything(
      "tcache_max=1000000, tcache_count=200",
      tunables: ["malloc.tcache_max=1000000", "malloc.tcache_count=200"]),
    everything("mmap_threshold=5000", tunables: ["malloc.mmap_threshold=5000"]),
    everything("MALLOC_PERTURB_", environment: ["MALLOC_PERTURB_": "90"]),
    everything("decorate_maps=1", tunables: ["mem.decorate_maps=1"], since: 39),
    MatrixRow(
      name: "MALLOC_CHECK_=3", scenario: "everything", threadVectors: 4,
      environment: ["MALLOC_CHECK_": "3"], isChecked: true),
    MatrixRow(name: "child of a fork", scenario: "forked", threadVectors: 4),
  ]
}

/// What came of the matrix, printed when the last cell is known.
private enum MatrixTable {
  private static let cells = Mutex<[MatrixRow: [DebianGlibc: String]]>([:])

  static func set(_ row: MatrixRow, _ glibc: DebianGlibc, _ word: String) {
    cells.withLock { cells in
      cells[row, default: [:]][glibc] = word
      let known = cells.values.reduce(0) { $0 + $1.count }
      if known == MatrixRow.all.count * DebianGlibc.allCases.count { print(text(cells)) }
    }
  }

  private static func text(_ cells: [MatrixRow: [DebianGlibc: String]]) -> String {
    let rows =
      [["glibc"] + DebianGlibc.allCases.map(\.version)]
      + MatrixRow.all.map { row in
        [row.name] + DebianGlibc.allCases.map { cells[row]?[$0] ?? "?" }
      }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
        .joined(separator: "  ")
    }.joined(separator: "\n")
  }
}

/// Has the test go on only with a glibc that is there; without one it is skipped, but in CI it fails.
func need(_ glibc: DebianGlibc) throws {
  if glibc.isPresent { return }
  if DebianGlibc.isRequired { throw glibc.absence }
  try Test.cancel("glibc \(glibc.version) is not in .build/glibc: run Tests/fetch-glibc")
}

@Suite("The tool's figures are exact under every glibc of Debian", .serialized)
struct GlibcMatrixTests {
  @Test(
    "chunk by chunk, in every sum and in every identity",
    arguments: DebianGlibc.allCases, MatrixRow.all)
  func exact(glibc: DebianGlibc, row: MatrixRow) throws {
    var word = glibc.isPresent ? "differs" : "absent"
    defer { MatrixTable.set(row, glibc, word) }
    try need(glibc)
    guard row.versions.contains(glibc.minor) else {
      word = "-"
      return
    }
    let (program, oracle, pid) = try start(row, under: glibc)
    let comparison = try HeapComparison(
      pid, oracle,
      .init(
        threadVectors: row.threadVectors, usableMore: row.isChecked ? 64 : 0,
        mmappedDrifts: glibc.minor >= 43))
    #expect(comparison.differences.prefix(10) == [])
    // malloc that checks says what was asked for, to the byte.
    #expect(row.isChecked == oracle.live.values.contains { $0 % 8 != 0 })
    // Nobody is inside malloc, and nobody looks so.
    #expect(comparison.document.capture.retries == 0)
    let target = comparison.document.target
    #expect(target.glibc == glibc.version || row.isChecked)
    #expect(target.arenaLayout == (glibc.minor >= 43 ? "D" : "C"))
    if comparison.differences.isEmpty {
      word = comparison.drift == 0 ? "exact" : "exact, drift \(comparison.drift)"
    }
    #expect(try program.close() == .exit(0))
  }

  /// Starts the row's program and returns what it says, and the process to look at.
  private func start(
    _ row: MatrixRow, under glibc: DebianGlibc
  ) throws -> (TargetProgram, HeapOracle, Int32) {
    var launch = try glibc.launch(scenario: row.scenario)
    launch.environment = row.environment
    if !row.tunables.isEmpty {
      launch.environment["GLIBC_TUNABLES"] =
        row.tunables.map { "glibc." + $0 }.joined(separator: ":")
    }
    if row.isChecked, glibc.minor >= 34 {
      launch.environment["LD_PRELOAD"] = glibc.libraries + "/libc_malloc_debug.so.0"
    }
    let program = try TargetProgram(launch)
    let oracle = try program.waitForOracle()
    let child = oracle.facts["child"]?.first.flatMap { Int32($0) }
    return (program, oracle, child ?? program.pid)
  }

  @Test(
    "what is in use is what the recorder recorded, no more and no less",
    arguments: DebianGlibc.allCases, ["everything", "mmaps"])
  func recorded(glibc: DebianGlibc, scenario: String) throws {
    try need(glibc)
    let run = try RecordedRun(
      try glibc.launch(scenario: scenario), directory: try TemporaryDirectory(),
      recorder: try glibc.recorder())
    try compare(run)
  }

  private func compare(_ run: RecordedRun) throws {
    try run.program.waitReady()
    try run.waitUntilQuiescent()
    let recorded = try run.allocations()
    let inUse = try reportedChunks(run.pid).filter { $0.state == "in_use" }
    #expect(try run.allocations().sequence == recorded.sequence)
    #expect(!recorded.live.isEmpty)
    let wrong = inUse.filter { recorded.live[$0.address] != $0.usable }
    #expect(wrong.prefix(5) == [])
    #expect(inUse.count == recorded.live.count)
    #expect(try run.program.close() == .exit(0))
  }

  /// Up to 2.33 mcheck puts 48 bytes before every block and one behind it, by malloc's hooks.
  @Test("with mcheck, every block is inside of a chunk in use that has room for its header")
  func mcheck() throws {
    let glibc = DebianGlibc.v231
    try need(glibc)
    let program = try TargetProgram(
      glibc.launch(try glibc.program("Allocating.c", flags: ["-lmcheck"])))
    // The usable sizes that it prints are mcheck's words, taken for headers.
    let live = try program.waitForOracle().live.keys
    #expect(live.count == 900)
    let rows = try byAddress(try reportedChunks(program.pid))
    for address in live {
      let start = try #require(address.retreated(by: 48))
      let row = try #require(rows[start])
      #expect(row.state == "in_use" && row.usable >= 5000 + 48 + 1)
    }
    let document = try reportedHeap(program.pid)
    #expect(document.coverage == 1 && document.findings.isEmpty, "\(document.findings)")
    #expect(document.checks.allSatisfy { $0.holds && $0.expected == $0.found })
    #expect(try program.close() == .exit(0))
  }

  /// Objects of all sizes, some of them gone.
  private static let pythonText = """
    import sys, json, zlib
    objects = [{"key %d" % i: str(i) * (i % 40)} for i in range(20000)]
    objects += [bytes(500 + i % 3000) for i in range(8000)]
    text = zlib.compress(json.dumps(objects[:5000]).encode())
    del objects[::9]
    print("ready", flush=True)
    sys.stdin.read()
    """

  @Test(
    "of Python, what is in use is what the recorder recorded",
    arguments: [DebianGlibc.v236, .v241, .v243, .v244])
  func python(glibc: DebianGlibc) throws {
    try need(glibc)
    let launch = glibc.launch(
      try installedProgram("python3"), ["-I", "-S", "-c", Self.pythonText])
    let run = try RecordedRun(
      launch, directory: try TemporaryDirectory(), recorder: try glibc.recorder())
    try compare(run)
  }
}
