// Where the symbols of a file come from, and what is said where there are none.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

@Suite("Symbols come from the file, from its debug file, or from what is packed in it")
struct SymbolSourcesTests {
  /// What the shell does to a program before it is started: all of it is to have the same symbols.
  static let sources: [(name: String, script: String)] = [
    ("its own table", ""),
    (
      "by build id",
      """
      mkdir -p debug/.build-id/${id%/*}; objcopy --only-keep-debug app debug/.build-id/$id
      strip app
      """
    ),
    (
      "by its link, beside it",
      """
      objcopy --only-keep-debug app linked.dbg; strip app; objcopy --add-gnu-debuglink=linked.dbg app
      """
    ),
    (
      "by its link, in .debug",
      """
      objcopy --only-keep-debug app linked.dbg; strip app; objcopy --add-gnu-debuglink=linked.dbg app
      mkdir .debug; mv linked.dbg .debug/
      """
    ),
    (
      "packed",
      """
      objcopy --only-keep-debug -g app mini; xz -9 mini; strip app
      objcopy --add-section .gnu_debugdata=mini.xz app
      """
    ),
  ]

  /// The addresses of the names in the program's own table.
  private static func truth(_ fixture: SymbolFixture) throws -> [String: UInt64] {
    var found: [String: UInt64] = [:]
    for line in try run(["nm", "--defined-only", fixture.program]).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, "TtDdBbRrVWw".contains(words[1]),
        let value = UInt64(words[0], radix: 16)
      else { continue }
      found[String(words[2])] = value
    }
    return found
  }

  @Test("the same symbols from each of them", arguments: sources.map(\.name))
  func same(source: String) throws {
    let fixture = try SymbolFixture(["-pie"])
    let truth = try Self.truth(fixture)
    let script = try #require(Self.sources.first { $0.name == source }).script
    try fixture.shell(script)
    let started = try fixture.start()
    let symbols = started.symbols
    let binary = try #require(symbols.binaries.first { $0.path == fixture.program })
    let base = try #require(binary.parts.first).range.lowerBound.bits
    for name in ["_Z7app_runl", "_ZL5twicel", "_ZTVN3app7SessionE", "zeros", "numbers", "main"] {
      let value = try #require(truth[name])
      let address = RemoteAddress(base + value)
      #expect(symbols.address(of: name, in: fixture.program) == address, "\(name)")
      #expect(symbols.address(of: name) == address, "\(name)")
      let inside = try #require(symbols.symbol(at: RemoteAddress(address.bits + 1)))
      #expect(inside.start == address)
      #expect(inside.linkerName == name || name == "_Z7app_runl")
      #expect(inside.binary == fixture.program)
      #expect(inside.byteCount > 0)
      #expect(
        inside.kind == (["_Z7app_runl", "_ZL5twicel", "main"].contains(name) ? .function : .data))
    }
    let vtable = symbols.symbol(at: try #require(symbols.address(of: "_ZTVN3app7SessionE")))
    #expect(vtable?.name == "vtable for app::Session")
    #expect(vtable?.linkerName == "_ZTVN3app7SessionE")
    // Also those of the million zeros that no file has.
    let zeros = try #require(symbols.address(of: "zeros"))
    #expect(symbols.symbol(at: RemoteAddress(zeros.bits + (1 << 20) - 1))?.linkerName == "zeros")
    #expect(symbols.address(of: "no such name") == nil)
    // What distributions pack has no variables.
    let gap = symbols.gaps.first { $0.path == fixture.program }
    #expect((gap != nil) == (source == "packed"))
    #expect(
      gap?.reason.hasPrefix("only functions beyond exported names (.gnu_debugdata); ") ?? true)
  }

  @Test(
    "of nothing but exported names, that is said",
    arguments: [
      ("strip app", "no debug file with its build id was found"),
      (
        """
        objcopy --only-keep-debug app debug.dbg; strip app; objcopy --add-gnu-debuglink=debug.dbg app
        objcopy --remove-section .note.gnu.build-id debug.dbg
        """,
        "debug.dbg belongs to another build: its build id is missing"
      ),
      ("strip -R .note.gnu.build-id app", "it has no build id to find a debug file by"),
    ])
  func gaps(script: String, reason: String) throws {
    let fixture = try SymbolFixture(["-pie", "-rdynamic"])
    try fixture.shell(script)
    let started = try fixture.start()
    let symbols = started.symbols
    #expect(symbols.gaps.isEmpty)
    let zeros = try #require(symbols.address(of: "zeros"))
    #expect(symbols.gaps.isEmpty)
    #expect(symbols.symbol(at: zeros)?.linkerName == "zeros")
    #expect(symbols.address(of: "_ZL5twicel", in: fixture.program) == nil)
    let gap = try #require(symbols.gaps.first)
    #expect(symbols.gaps.count == 1)
    #expect(gap.path == fixture.program)
    #expect(gap.reason.hasPrefix("no symbol table beyond exported names; "))
    #expect(gap.reason.hasSuffix(reason), "\(gap.reason)")
  }

  @Test("a deleted file's exported names are read from memory, and its debug file is found")
  func deleted() throws {
    for keeps in [false, true] {
      let fixture = try SymbolFixture(["-pie", "-rdynamic"])
      try fixture.shell(keeps ? Self.sources[1].script : "strip app")
      let proc = fixture.directory.file("proc")
      let started = try fixture.start()
      // As a user sees it to whom the kernel does not give its links to mapped files.
      try fixture.shell(
        """
        mkdir -p proc/\(started.child.pid)
        for name in root mem pagemap maps; do
          ln -s /proc/\(started.child.pid)/$name proc/\(started.child.pid)/$name
        done
        """)
      #expect(unlink(fixture.program) == 0)
      let symbols = ProcessSymbols(
        pid: started.child.pid, mappings: try started.child.mappings(),
        directory: fixture.directory.file("debug"), procRoot: proc)
      let zeros = try #require(symbols.address(of: "zeros"))
      #expect(symbols.symbol(at: zeros)?.name == "zeros")
      #expect((symbols.address(of: "_ZL5twicel", in: fixture.program) != nil) == keeps)
      #expect(symbols.gaps.isEmpty == keeps)
      if !keeps {
        let gap = try #require(symbols.gaps.first)
        #expect(gap.reason.contains("its file is gone, and memory has no other"))
        #expect(gap.buildID.count > 1)
      }
      #expect((symbols.layout(of: "app::Base", in: fixture.program) != nil) == keeps)
    }
  }

  @Test("a packed file that is damaged, or a bomb, is no harm", .timeLimit(.minutes(1)))
  func bomb() throws {
    for (script, isSaid) in [
      ("head -c 300000000 /dev/zero | xz -0 >mini.xz", true),
      ("head -c 5000 /dev/urandom >mini.xz", true), ("echo text | xz >mini.xz", true),
      (": >mini.xz", false),
    ] {
      let fixture = try SymbolFixture(["-pie"])
      try fixture.shell("\(script); strip app; objcopy --add-section .gnu_debugdata=mini.xz app")
      let started = try fixture.start()
      #expect(started.symbols.address(of: "zeros", in: fixture.program) == nil)
      let gap = try #require(started.symbols.gaps.first)
      #expect(started.symbols.gaps.count == 1)
      #expect(gap.reason.contains("(.gnu_debugdata)") == isSaid, "\(gap.reason)")
    }
  }

  @Test("what all files together may take is limited, and that is said")
  func allowance() throws {
    let fixture = try SymbolFixture(["-pie"])
    let started = try fixture.start()
    let main = try #require(started.symbols.address(of: "main"))
    let mappings = try started.child.mappings()
    let none = ProcessSymbols(
      pid: started.child.pid, mappings: mappings, allowance: ReadingAllowance(0))
    #expect(none.binaries == started.symbols.binaries)
    #expect(none.symbol(at: main) == nil)
    #expect(none.layout(of: "app::Base", in: fixture.program) == nil)
    #expect(
      none.gaps.map(\.reason) == [
        "no symbols: those of other files take too much memory",
        "no types: those of other files take too much memory",
      ])
    // What is begun is read to its end.
    let little = ProcessSymbols(
      pid: started.child.pid, mappings: mappings, allowance: ReadingAllowance(1))
    for _ in 0..<2 { #expect(little.symbol(at: main)?.name == "main") }
    #expect(little.layout(of: "app::Base", in: fixture.program) == nil)
    let types = ProcessSymbols(
      pid: started.child.pid, mappings: mappings, allowance: ReadingAllowance(1))
    for _ in 0..<2 { #expect(types.layout(of: "app::Base", in: fixture.program)?.byteCount == 16) }
    #expect(types.symbol(at: main) == nil)
  }

  @Test("zeros are a file's up to the first gap, and not of any number of mappings")
  func zeros() throws {
    let fixture = try SymbolFixture(["-pie"])
    let started = try fixture.start()
    let zeros = try #require(started.symbols.address(of: "zeros"))
    let mappings = try started.child.mappings()
    let index = try #require(
      mappings.firstIndex(where: { $0.range.contains(RemoteAddress(zeros.bits + 4096)) }))
    let whole = mappings[index]
    let start = whole.range.lowerBound.bits
    let pages = (0..<whole.range.byteCount / 4096).map { page in
      var piece = whole
      piece.range = AddressRange(
        RemoteAddress(start + page * 4096), RemoteAddress(start + (page + 1) * 4096))
      return piece
    }
    func end(_ pieces: [MemoryMapping]) -> RemoteAddress? {
      ProcessSymbols(
        pid: started.child.pid, mappings: mappings[..<index] + pieces + mappings[(index + 1)...]
      ).binaries.first { $0.path == fixture.program }?.parts.last?.range.upperBound
    }
    #expect(end(Array(pages[..<40] + pages[50...])) == RemoteAddress(start + 40 * 4096))
    #expect(end(Array(pages[1...])) == RemoteAddress(start))
    #expect(end(pages) == RemoteAddress(start + 64 * 4096))
  }

  @Test(
    "what the loader has added for zeros is a file's, to the byte",
    arguments: ["-pie", "-no-pie", "-static"])
  func binaries(flag: String) throws {
    let fixture = try SymbolFixture([flag])
    let started = try fixture.start()
    let binaries = started.symbols.binaries
    #expect(
      binaries.map { $0.parts[0].range.lowerBound }
        == binaries.map { $0.parts[0].range.lowerBound }.sorted())
    let binary = try #require(binaries.first { $0.path == fixture.program })
    let file = try ELFFile(OwnedDescriptor(opening: fixture.program), path: fixture.program)
    #expect(binary.buildID == file.buildID && !binary.buildID.isEmpty)
    let end = try #require(file.segments.last.map { $0.virtualAddress + $0.memorySize })
    let bias = flag == "-pie" ? binary.parts[0].range.lowerBound.bits : 0
    #expect(binary.parts.last?.range.upperBound == RemoteAddress(end + bias))
    #expect(binary.parts.last?.isWritable == true)
    #expect(binary.parts.contains { $0.isExecutable })
    #expect(binaries.allSatisfy { !$0.path.hasPrefix("[") && $0.path.contains("/") })
    if flag != "-static" {
      #expect(binaries.contains { $0.fileName == "libc.so.6" })
    }
  }

  @Test("addresses of no file have no symbol")
  func elsewhere() throws {
    let fixture = try SymbolFixture()
    let started = try fixture.start()
    for address: UInt64 in [0, 1, 4096, .max, 0x7fff_ffff_f000] {
      #expect(started.symbols.symbol(at: RemoteAddress(address)) == nil)
    }
    let heap = try #require(try started.child.mappings().first { $0.name == "[heap]" })
    #expect(started.symbols.symbol(at: heap.range.lowerBound) == nil)
    let gone = ProcessSymbols(pid: 1 << 22, mappings: try started.child.mappings())
    #expect(gone.binaries.count == started.symbols.binaries.count)
    #expect(gone.symbol(at: try #require(started.symbols.address(of: "main"))) != nil)
  }
}
