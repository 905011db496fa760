// What the tool reports of a quiet HeapScenario, compared with what the program and glibc say of it.

import HeapModel
import TestKit

/// The reports on one quiet program, and what in them is not as it should be.
struct HeapComparison {
  /// What makes a program's heap differ from what its scenario alone would make it.
  struct Allowance {
    /// How many vectors of thread-local storage pthread_create has allocated.
    var threadVectors = 0
    /// By how much what the program may use of a block can be more than it was told: malloc checks a
    /// byte behind what was asked for.
    var usableMore: UInt64 = 0
    /// Whether glibc counts too many mmapped bytes, 16 for each mremap that changed a size (2.43 and
    /// 2.44, glibc-facts 7.5).
    var mmappedDrifts = false
    /// Findings that are to be there, by their kind.
    var findings: [String] = []
  }

  /// What the program said.
  let oracle: HeapOracle
  let allowance: Allowance
  /// All chunks, and the documents of `histogram` and `arenas`.
  let rows: [ChunkRow]
  let document: HeapDocument
  let detailed: HeapDocument
  /// What differs.
  private(set) var differences: [String] = []
  /// How many bytes glibc counts too many in its mmapped chunks.
  private(set) var drift: UInt64 = 0

  /// Has the tool, run by `tool` with its arguments, report on the process, and compares.
  init(
    _ pid: Int32, _ oracle: HeapOracle, _ allowance: Allowance = Allowance(),
    by tool: ([String]) throws -> ToolRun = { try ToolRun($0) }
  ) throws {
    self.oracle = oracle
    self.allowance = allowance
    rows = try reportedChunks(pid, by: tool)
    document = try reportedHeap(pid, by: tool)
    detailed = try reportedHeap(pid, verb: "arenas", by: tool)
    try compareBlocks()
    try compareTotals()
    compareSums()
    compareArenas()
    compareSoundness(document)
    compareSoundness(detailed)
  }

  private mutating func same<Value: Equatable>(_ what: String, _ ours: Value?, _ truth: Value?) {
    if ours != truth {
      differences.append(
        "\(what) is \(ours.map { "\($0)" } ?? "missing") instead of "
          + "\(truth.map { "\($0)" } ?? "nothing")")
    }
  }

  // MARK: Chunk by chunk

  /// Every live block is in use with its size, and nothing else is.
  private mutating func compareBlocks() throws {
    let addresses = rows.map(\.address)
    if addresses != addresses.sorted() { differences.append("the chunks do not ascend") }
    let states: Set = ["in_use", "tcache", "fastbin", "binned", "top", "internal"]
    same("an unknown state", rows.first { !states.contains($0.state) }?.state, nil)
    let table = try byAddress(rows)
    let held = oracle.live.merging(oracle.libc) { first, _ in first }
    for (address, usable) in held {
      guard let row = table[address] else {
        differences.append("the live block at \(address) is missing")
        continue
      }
      let more = row.usable &- usable
      // What is mmapped has whole pages, and what was aligned in them before.
      let most = allowance.usableMore > 0 && row.arena == "mmap" ? 4 << 20 : allowance.usableMore
      if row.state != "in_use" || more > most {
        differences.append(
          "the live block at \(address) has \(usable) bytes, but is reported as \(row)")
      }
    }
    // A vector has 288 bytes with its header; 16 more if what was left of a chunk was too small.
    let others = rows.filter { $0.state == "in_use" && held[$0.address] == nil }
    same("the number of blocks that nobody holds", others.count, allowance.threadVectors)
    for row in others where !(288...304 + allowance.usableMore / 16 * 16).contains(row.size) {
      differences.append("nobody holds \(row)")
    }
    same("the arena of what nobody holds", others.first { $0.arena != "0" }?.arena, nil)
  }

  // MARK: Against glibc's own figures

  /// Totals and arenas are what mallinfo2 and malloc_info say.
  private mutating func compareTotals() throws {
    guard let info = oracle.mallInfo2, let heaps = oracle.mallocInfo?.heaps else {
      differences.append("the program gave no figures")
      return
    }
    let fastbins = rows.filter { $0.state == "fastbin" }
    let totals = document.totals
    same("system_bytes", totals.systemBytes, info.arena)
    same("free chunks and tops", totals.freeChunks + UInt64(document.arenas.count), info.ordblks)
    same("fastbin chunks", UInt64(fastbins.count), info.smblks)
    same("fastbin bytes", fastbins.reduce(0) { $0 + $1.size }, info.fsmblks)
    same("mmapped chunks", totals.mmappedChunks, info.hblks)
    func check(_ name: String) -> HeapDocument.Check? { document.checks.first { $0.name == name } }
    same("n_mmaps", check("n_mmaps")?.expected, info.hblks)
    same("mmapped_mem", check("mmapped_mem")?.expected, info.hblkhd)
    same("free bytes", totals.topBytes + totals.freeBytes + info.fsmblks, info.fordblks)
    same("bytes not free", totals.systemBytes &- info.fordblks, info.uordblks)
    same("the main arena's top", document.arenas.first?.topBytes, info.keepcost)

    same("the arenas", document.arenas.map(\.index), Array(heaps.indices))
    for (arena, heap) in zip(document.arenas, heaps) {
      let name = "arena \(arena.index)"
      same("\(name)'s kind", arena.kind, arena.index == 0 ? "main" : "thread")
      same("\(name)'s system bytes", arena.systemBytes, heap.system["current"])
      let rest = heap.totals["rest"]
      same("\(name)'s free chunks and top", arena.freeChunks + 1, rest?.count)
      // malloc_info counts a binned chunk with its flag bit, and top without.
      same(
        "\(name)'s free bytes", arena.freeBytes + arena.freeChunks + arena.topBytes, rest?.bytes)
      let ours = fastbins.filter { $0.arena == "\(arena.index)" }
      // 2.43 has no fastbins and does not name them.
      let fast = heap.totals["fast"] ?? MallocInfo.Amount(count: 0, bytes: 0)
      same("\(name)'s fastbin chunks", UInt64(ours.count), fast.count)
      same("\(name)'s fastbin bytes", ours.reduce(0) { $0 + $1.size }, fast.bytes)
      if arena.kind == "thread" {
        same("\(name)'s heaps", arena.heaps, heap.addressSpace["subheaps"])
      }
    }
  }

  // MARK: Against itself

  private mutating func compareSum(
    _ what: String, _ rows: [ChunkRow], _ states: Set<String>, _ count: UInt64, _ bytes: UInt64
  ) {
    let ours = rows.filter { states.contains($0.state) }
    same("\(what): chunks", UInt64(ours.count), count)
    same("\(what): bytes", ours.reduce(0) { $0 + $1.size }, bytes)
  }

  /// Chunks and histogram add up to the totals.
  private mutating func compareSums() {
    let totals = document.totals
    compareSum("in use", rows, ["in_use"], totals.inUseChunks, totals.inUseBytes)
    compareSum("free", rows, ["binned"], totals.freeChunks, totals.freeBytes)
    compareSum("cached", rows, ["tcache", "fastbin"], totals.cachedChunks, totals.cachedBytes)
    let mmapped = rows.filter { $0.arena == "mmap" && $0.state == "in_use" }
    compareSum("mmapped", mmapped, ["in_use"], totals.mmappedChunks, totals.mmappedBytes)

    guard let histogram = document.histogram else {
      differences.append("there is no histogram")
      return
    }
    same("the sizes", histogram.map(\.size), Set(histogram.map(\.size)).sorted())
    let bySize = Dictionary(grouping: rows) { $0.size }
    for size in histogram {
      let name = "size \(size.size)"
      let ours = bySize[size.size] ?? []
      compareSum("\(name), in use", ours, ["in_use"], size.inUseChunks, size.inUseBytes)
      compareSum("\(name), free", ours, ["binned"], size.freeChunks, size.freeBytes)
      compareSum(
        "\(name), cached", ours, ["tcache", "fastbin"], size.cachedChunks, size.cachedBytes)
    }
    same("in use by size", histogram.reduce(0) { $0 + $1.inUseBytes }, totals.inUseBytes)
    same("free by size", histogram.reduce(0) { $0 + $1.freeBytes }, totals.freeBytes)
    same("cached by size", histogram.reduce(0) { $0 + $1.cachedBytes }, totals.cachedBytes)
  }

  /// Not a byte of what an arena has from the system is unexplained.
  private mutating func compareArenas() {
    for arena in detailed.arenas {
      let name = "arena \(arena.index)"
      let ours = rows.filter { $0.arena == "\(arena.index)" }
      compareSum("\(name), in use", ours, ["in_use"], arena.inUseChunks, arena.inUseBytes)
      compareSum("\(name), free", ours, ["binned"], arena.freeChunks, arena.freeBytes)
      compareSum(
        "\(name), cached", ours, ["tcache", "fastbin"], arena.cachedChunks, arena.cachedBytes)
      let held = arena.inUseBytes + arena.freeBytes + arena.cachedBytes + arena.topBytes
      let apart = [arena.tcacheStructureBytes, arena.headerBytes, arena.foreignBytes]
      same(
        "\(name)'s parts", apart.reduce(held) { $0 + ($1 ?? 0) }, arena.systemBytes)
      same("\(name)'s unaccounted bytes", arena.unaccountedBytes, 0)
    }
  }

  /// Every check holds exactly, but for what drifts in glibc; nothing was found; all is covered.
  private mutating func compareSoundness(_ document: HeapDocument) {
    same("coverage", document.coverage, 1)
    same("the findings", document.findings.map(\.kind), allowance.findings)
    for finding in document.findings where !allowance.findings.contains(finding.kind) {
      differences.append(finding.detail)
    }
    if document.checks.isEmpty { differences.append("nothing was checked") }
    for check in document.checks {
      let more = check.expected &- check.found
      if allowance.mmappedDrifts, check.name == "mmapped_mem", more % 16 == 0, more < 1 << 16 {
        drift = more
        same("whether \(check.name) holds", check.holds, true)
      } else if !check.holds || more != 0 {
        differences.append(
          "\(check.name): \(check.expected) expected, \(check.found) found, holds \(check.holds)")
      }
    }
  }
}
