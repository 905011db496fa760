// C libraries that were deleted or replaced while a program used them, of which but memory is left.

import Glibc
import TestKit
import Testing

@Suite("A C library whose file is gone", .serialized)
struct LostLibraryTests {
  /// What decides where malloc is, and how it is laid out.
  private static let decided = ["main_arena", "mp_", "arena layout", "mp_ layout"]

  private static let rows = MatrixRow.all.filter { row in
    [
      "main-only", "blocked-brk", "everything", "mmap_threshold=5000", "MALLOC_CHECK_=3",
    ].contains(row.name)
  }

  @Test(
    "what its process has of it in memory is enough, without permission to open deleted files",
    arguments: DebianGlibc.allCases, rows)
  func deleted(glibc: DebianGlibc, row: MatrixRow) throws {
    try compare(row, glibc, .deleted)
  }

  @Test(
    "a file that takes its place is read if it has its build id, and else not",
    arguments: DebianGlibc.allCases, [true, false])
  func replaced(glibc: DebianGlibc, isCopy: Bool) throws {
    let other: DebianGlibc = glibc == .v244 ? .v231 : .v244
    try need(other)
    let row = try #require(MatrixRow.all.first { $0.name == "everything" })
    try compare(row, glibc, isCopy ? .copied : .replaced(by: other))
  }

  @Test("a malloc that memory does not show for certain is refused, and what helps is said")
  func refused() throws {
    let glibc = DebianGlibc.v243
    try need(glibc)
    // Never used, but told of tunables, as malloc is from 2.42 on before the program begins: nothing is
    // there to agree with parameters that are not the initial ones.
    let lost = try LostLibrary(
      try glibc.program("Unallocating.c"), under: glibc,
      tunables: ["malloc.tcache_count=5", "malloc.top_pad=4096"])
    try lost.program.waitReady()
    try lost.meet(.deleted)
    let run = try lost.run(["\(lost.program.pid)"])
    #expect(run.ending == .exit(77))
    let lines = run.error.split(separator: "\n")
    let fact =
      "malloscope: the file of the target's libc, \(lost.path), was deleted and cannot be opened: "
    #expect(lines.first?.hasPrefix(fact + "/proc/\(lost.program.pid)/map_files/") == true)
    #expect(
      lines.dropFirst().first?.hasPrefix(
        "  in the process's memory alone: cannot read the malloc of \(lost.path) (glibc 2.43, ")
        == true)
    let hints = lines.filter { $0.hasPrefix("  hint: ") }
    #expect(hints.count == 3)
    #expect(hints.first?.contains("--cap-add CHECKPOINT_RESTORE") == true)
    #expect(hints.dropFirst().first?.contains("as root on the node") == true)
    let doctor = try lost.run(["doctor", "\(lost.program.pid)"])
    #expect(doctor.ending == .exit(77))
    #expect(try lost.program.close() == .exit(0))
  }

  private func compare(_ row: MatrixRow, _ glibc: DebianGlibc, _ fate: LostFate) throws {
    try need(glibc)
    guard row.versions.contains(glibc.minor) else { return }
    let lost = try LostLibrary(row, under: glibc)
    let oracle = try lost.program.waitForOracle()
    let child = oracle.facts["child"]?.first.flatMap { Int32($0) }
    let pid = child ?? lost.program.pid
    try lost.meet(fate)
    let comparison = try HeapComparison(
      pid, oracle,
      .init(
        threadVectors: row.threadVectors, usableMore: row.isChecked ? 64 : 0,
        mmappedDrifts: glibc.minor >= 43),
      by: lost.run)
    #expect(comparison.differences.prefix(10) == [])
    let evidence = comparison.document.target.evidence
    let file = try #require(evidence.first { $0.what == "file" })
    let isChecked = row.isChecked && glibc.minor >= 34
    let path =
      isChecked
      ? lost.path.replacing("libc.so.6", with: "libc_malloc_debug.so.0") : lost.path
    #expect(file.file == path)
    switch fate {
    case .deleted:
      #expect(file.value == "was deleted; read from the process's memory")
      #expect(file.decidedBy.contains("/map_files/"))
      #expect(file.decidedBy.contains("/root\(path): errno 2"))
    case .replaced:
      #expect(file.value == "was deleted; read from the process's memory")
      #expect(
        file.decidedBy.contains(
          "\(path): symbol file has another build id than the running library (expected "))
    case .copied:
      #expect(
        file.value == "was deleted; /proc/\(pid)/root\(path), with the same build id, was read")
    }
    if fate != .copied {
      // No symbol was needed.
      let arena = try #require(evidence.first { $0.what == "main_arena" })
      #expect(arena.decidedBy == "its ring and its bins in memory")
    }
    // As root, the deleted file itself is read, and says the same.
    if geteuid() == 0 {
      let own = try reportedHeap(pid).target.evidence
      #expect(!own.contains { $0.what == "file" })
      for what in Self.decided {
        let value = own.first { $0.what == what }?.value
        #expect(value != nil && evidence.first { $0.what == what }?.value == value, "\(what)")
      }
    }
    #expect(try lost.program.close() == .exit(0))
  }
}
