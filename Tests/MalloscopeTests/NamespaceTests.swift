// Several copies of glibc's malloc in one process: each found, reported apart, and summed.

import Glibc
import TestKit
import Testing

@Suite("Every copy of malloc in a process")
struct NamespaceTests {
  /// What one copy's own `mallinfo2` says.
  struct Own {
    var arena: UInt64
    var uordblks: UInt64
    var fordblks: UInt64
    var hblks: UInt64
    var hblkhd: UInt64
  }

  /// How the copies come into the process.
  enum Loading: CaseIterable {
    /// libc is loaded once more for each further namespace.
    case dlmopen
    /// A static program loads a library that needs libc.
    case fromStatic
    case fromStaticPIE

    var flags: [String] {
      switch self {
      case .dlmopen: []
      // The linker warns that the libraries needed at run time are those of linking; they are.
      case .fromStatic: ["-DLINKED_STATICALLY", "-static"]
      case .fromStaticPIE: ["-DLINKED_STATICALLY", "-static-pie"]
      }
    }
  }

  /// A program with copies that each have `kilobytes`.
  struct Case: CustomTestStringConvertible {
    var loading: Loading
    var furtherCopies: Int
    var kilobytes: Int
    var mode: String
    var testDescription: String {
      "\(loading), \(furtherCopies) further, \(kilobytes) KiB, \(mode)"
    }
  }

  private func start(_ what: Case) throws -> (TargetProgram, [Own]) {
    let path = try CompiledProgram.path("Namespaces.c", flags: what.loading.flags)
    let program = try TargetProgram(
      ChildProcess.Launch(path, ["\(what.furtherCopies)", "\(what.kilobytes)"]))
    let own = try program.waitReady().map { line in
      let numbers = line.split(separator: " ").compactMap { UInt64($0) }
      try #require(numbers.count == 6, "\(line)")
      return Own(
        arena: numbers[1], uordblks: numbers[2], fordblks: numbers[3], hblks: numbers[4],
        hblkhd: numbers[5])
    }
    try #require(own.count == what.furtherCopies + 1)
    return (program, own)
  }

  @Test(
    "each copy's figures are those of its own mallinfo2, and the totals are their sum",
    arguments: [
      Case(loading: .dlmopen, furtherCopies: 1, kilobytes: 300, mode: "auto"),
      Case(loading: .dlmopen, furtherCopies: 1, kilobytes: 4000, mode: "stop"),
      // More than one segment each, in turns: whose they are is told by their lists.
      Case(loading: .dlmopen, furtherCopies: 3, kilobytes: 6000, mode: "stop"),
      Case(loading: .dlmopen, furtherCopies: 3, kilobytes: 6000, mode: "slices"),
      Case(loading: .dlmopen, furtherCopies: 3, kilobytes: 6000, mode: "live"),
      Case(loading: .dlmopen, furtherCopies: 2, kilobytes: 3000, mode: "fork"),
      Case(loading: .fromStatic, furtherCopies: 1, kilobytes: 3000, mode: "auto"),
      Case(loading: .fromStaticPIE, furtherCopies: 1, kilobytes: 300, mode: "stop"),
    ])
  func figures(what: Case) throws {
    let (program, own) = try start(what)
    let document = try reportedHeap(program.pid, ["--capture", what.mode])
    #expect(document.findings.isEmpty, "\(document.findings)")
    #expect(document.coverage == 1)
    #expect(document.checks.allSatisfy { $0.holds }, "\(document.checks)")
    #expect(document.mallocs.map(\.index) == Array(own.indices))
    for (malloc, own) in zip(document.mallocs, own) {
      #expect(malloc.copies == document.mallocs.count)
      #expect(malloc.systemBytes == own.arena)
      #expect(malloc.mmappedChunks == own.hblks)
      #expect(malloc.mmappedBytes == own.hblkhd)
      // glibc counts what tcaches keep, and its own headers, as in use.
      #expect(malloc.freeBytes + malloc.topBytes <= own.fordblks)
      #expect(malloc.inUseBytes + malloc.cachedBytes <= own.uordblks)
      #expect(own.uordblks - malloc.inUseBytes - malloc.cachedBytes < 32 << 10)
      let arenas = document.arenas.filter { $0.malloc == malloc.index }
      #expect(arenas.map(\.index) == [malloc.firstArena])
    }
    #expect(document.totals.systemBytes == own.reduce(0) { $0 + $1.arena })
    #expect(document.totals.mmappedChunks == own.reduce(0) { $0 + $1.hblks })
    #expect(document.totals.mmappedBytes == own.reduce(0) { $0 + $1.hblkhd })
    kill(program.pid, SIGKILL)
  }

  @Test("one copy alone can be asked for, and one that is not there is an error")
  func alone() throws {
    let (program, own) = try start(
      Case(loading: .dlmopen, furtherCopies: 2, kilobytes: 500, mode: "auto"))
    let one = try reportedHeap(program.pid, ["--malloc", "1"])
    #expect(one.mallocs.map(\.index) == [1])
    #expect(one.totals.systemBytes == own[1].arena)
    // Those of all copies look alike, so none is shown, and that is said.
    #expect(one.totals.mmappedChunks == 0)
    let others = own[0].hblks + own[2].hblks
    #expect(one.findings.map(\.kind) == ["allocator"])
    #expect(one.findings.first?.detail.contains("have \(others) of them") == true)
    let none = try ToolRun(["\(program.pid)", "--malloc", "3"])
    #expect(none.ending == .exit(64), "\(none.error)")
    #expect(none.error.contains("has no copy 3 of malloc: 3 hold memory"))
    let both = try ToolRun(["\(program.pid)", "--malloc", "1", "--arena", "1"])
    #expect(both.ending == .exit(64))
    kill(program.pid, SIGKILL)
  }

  @Test("the text names every copy with its file")
  func text() throws {
    let (program, own) = try start(
      Case(loading: .fromStatic, furtherCopies: 1, kilobytes: 300, mode: "auto"))
    let run = try ToolRun(["\(program.pid)", "--bytes"])
    #expect(run.ending == .exit(0))
    let lines = run.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(run.output.contains("2 copies of glibc's malloc"))
    for (index, own) in own.enumerated() {
      let row = lines.first { $0.first == "\(index)" && $0.count == 9 }
      #expect(row?[3] == grouped(own.arena), "\(run.output)")
    }
    #expect(lines.contains { $0.starts(with: ["1", "main"]) }, "\(run.output)")
    kill(program.pid, SIGKILL)
  }

  private func grouped(_ number: UInt64) -> String {
    var digits = Array(String(number))
    for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: place) }
    return String(digits)
  }
}
