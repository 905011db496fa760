// The command line: what is refused, and that what is chosen is what is shown.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("The options choose what they say")
struct OptionTests {
  @Test(
    "what cannot be understood is a usage error",
    arguments: [
      [], ["frobnicate", "1"], ["1", "--frobnicate"], ["0"], ["--", "-5"], ["1", "2"],
      ["1", "--name", "x"], ["1", "--format", "xml"], ["1", "--json", "--format", "csv"],
      ["1", "--limit", "-1"], ["1", "--limit", "many"], ["1", "--arena", "first"],
      ["1", "--arena", "-1"], ["1", "--sort", "colour"], ["1", "--color", "maybe"],
      ["1", "--pid-in-container", "1"], ["--name", "["], ["chunks", "1", "--size", "many"],
      ["chunks", "1", "--size", "96..48"], ["chunks", "1", "--size", "99999999999999999999"],
      ["chunks", "1", "--state", "lost"], ["chunks", "1", "--at", "here"],
      ["99999999999999999999"],
    ])
  func usage(arguments: [String]) throws {
    let run = try ToolRun(arguments)
    #expect(run.ending == .exit(64))
    #expect(run.output == "")
    #expect(run.error != "")
  }

  @Test("a choice that cannot be read is told in one line, with what could be")
  func choices() throws {
    let size = try ToolRun(["chunks", "1", "--size", "many"])
    #expect(
      size.error
        == "malloscope: 'many' is no size\n  hint: sizes: 64, 48..96, >1k, ..4k, in bytes\n")
    let state = try ToolRun(["chunks", "1", "--state", "lost"])
    #expect(state.error.hasPrefix("malloscope: 'lost' is no state\n  hint: states: in_use, "))
    let address = try ToolRun(["chunks", "1", "--at", "here"])
    #expect(address.error.hasPrefix("malloscope: 'here' is no address\n  hint: addresses: "))
  }

  @Test("help and version are data")
  func helpAndVersion() throws {
    for arguments in [["--help"], ["help"], ["chunks", "--help"], ["help", "arenas"]] {
      let run = try ToolRun(arguments)
      #expect(run.ending == .exit(0))
      #expect(run.output.contains("USAGE: malloscope"))
      #expect(run.error == "")
    }
    #expect(try ToolRun(["--version"]).output.hasPrefix("malloscope "))
    #expect(try !ToolRun(["--help"]).output.contains("demo-target"))
  }

  @Test("--name finds the one process, and lists several or none")
  func name() throws {
    let directory = try TemporaryDirectory()
    // A name of at most 15 characters that no other process has.
    let name = "ms-name-\(getpid())"
    let path = directory.file(name)
    #expect(symlink(try BuildProduct.heapScenario.path(), path) == 0)
    let none = try ToolRun(["--name", name])
    #expect(none.ending == .exit(66))
    #expect(none.error == "malloscope: no process matches --name '\(name)'\n")

    let first = try TargetProgram(ChildProcess.Launch(path, ["small10"]))
    try first.waitReady()
    let one = try ToolRun(["--name", "^\(name)$", "--json"])
    #expect(one.ending == .exit(0), "\(one.error)")
    #expect(try HeapDocument(one.output).target.pid == first.pid)
    #expect(try HeapDocument(one.output).target.command == name)

    let second = try TargetProgram(ChildProcess.Launch(path, ["unused"]))
    try second.waitReady()
    let several = try ToolRun(["--name", name])
    #expect(several.ending == .exit(64))
    let lines = several.error.split(separator: "\n").map(String.init)
    #expect(
      lines.first == "malloscope: 2 processes match --name '\(name)', exactly one must:")
    #expect(lines.contains { $0.hasPrefix("  \(first.pid)  ") })
    #expect(lines.contains { $0.hasPrefix("  \(second.pid)  ") && $0.hasSuffix("unused") })
    #expect(lines.last == "  hint: give the PID of one of them")
  }

  @Test("a container that is not there is not found")
  func container() throws {
    let run = try ToolRun(["--container", "0123456789abcdef"])
    #expect(run.ending == .exit(66))
    let lines = run.error.split(separator: "\n")
    #expect(lines.first == "malloscope: no process matches --container 0123456789abcdef")
    #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("  ") } && lines.count > 1)
  }

  @Test("--size, --state, --arena and --limit show those chunks and no others")
  func filters() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let all = try reportedChunks(program.pid)
    let sizes = try reportedChunks(program.pid, ["--size", "48..96"])
    #expect(sizes == all.filter { (48...96).contains($0.size) } && !sizes.isEmpty)
    let large = try reportedChunks(program.pid, ["--size", ">100k"])
    #expect(large == all.filter { $0.size > 100 * 1024 } && !large.isEmpty)
    let cached = try reportedChunks(program.pid, ["--state", "cached"])
    #expect(cached == all.filter { ["tcache", "fastbin"].contains($0.state) } && !cached.isEmpty)
    let some = try reportedChunks(program.pid, ["--state", "top,internal"])
    #expect(some == all.filter { ["top", "internal"].contains($0.state) } && !some.isEmpty)
    for arena in ["0", "1", "4", "mmap"] {
      let ours = try reportedChunks(program.pid, ["--arena", arena])
      #expect(ours == all.filter { $0.arena == arena } && !ours.isEmpty)
    }
    for limit in [0, 1, 1000] {
      #expect(try reportedChunks(program.pid, ["--limit", "\(limit)"]) == Array(all.prefix(limit)))
    }
    let both = try reportedChunks(
      program.pid, ["--arena", "2", "--state", "in_use", "--size", "..64", "--limit", "7"])
    let expected = all.filter { $0.arena == "2" && $0.state == "in_use" && $0.size <= 64 }
    #expect(both == Array(expected.prefix(7)) && both.count == 7)
  }

  @Test("--arena of an arena that is not there is a usage error")
  func noSuchArena() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)", "--arena", "1"])
    #expect(run.ending == .exit(64))
    #expect(run.error == "malloscope: process \(program.pid) has no arena 1\n")
    #expect(try reportedChunks(program.pid, ["--arena", "mmap"]).isEmpty)
  }

  @Test("--at finds the chunk that an address lies in, and none outside of chunks")
  func at() throws {
    let program = try TargetProgram(scenario: "everything")
    let oracle = try program.waitForOracle()
    let blocks = oracle.live.sorted { $0.key < $1.key }
    for index in stride(from: 0, to: blocks.count, by: blocks.count / 12) {
      let (block, usable) = blocks[index]
      let places = [0, usable / 2, usable - 1]
      let place = try #require(block.advanced(by: places[index % 3]))
      let found = try reportedChunks(program.pid, ["--at", "\(place)"])
      #expect(found.map(\.address) == [block] && found.first?.usable == usable)
    }
    #expect(try reportedChunks(program.pid, ["--at", "0x10"]).isEmpty)
    #expect(try reportedChunks(program.pid, ["--at", "0xffffffffffffffff"]).isEmpty)
  }

  @Test("--sort and --limit order and cut the rows of the text, and the total stays")
  func sortedText() throws {
    let program = try TargetProgram(scenario: "small10")
    try program.waitReady()
    let sizes = try #require(try reportedHeap(program.pid).histogram)
    let options = ["\(program.pid)", "--exact", "--bytes", "--limit", "3"]
    let byCount = try ToolRun(options + ["--sort", "count"])
    let most = try #require(sizes.map(\.inUseChunks).max())
    let first = try #require(try rows(byCount.output).first)
    #expect(first[1] == grouped(most))
    let byBytes = try ToolRun(options + ["--sort", "bytes"])
    let largest = try #require(sizes.map(\.inUseBytes).max())
    #expect(try rows(byBytes.output).first?[2] == grouped(largest))
    let bySize = try rows(try ToolRun(options).output)
    #expect(bySize.prefix(3).map { $0[0] } == sizes.prefix(3).map { grouped($0.size) })
    #expect(bySize[3][1] == "more")
    #expect(bySize.last?[1] == grouped(sizes.reduce(0) { $0 + $1.inUseChunks }))
  }

  @Test("the histogram and the chunks fit 80 columns, without colour where nobody asked for it")
  func textFits() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    for arguments in [["histogram"], ["histogram", "--exact"], ["chunks"]] {
      let environment: [String: String?] = ["LC_ALL": "C.UTF-8", "COLUMNS": nil]
      let run = try ToolRun(arguments + ["\(program.pid)"], environment: environment)
      #expect(run.ending == .exit(0))
      let tooLong = run.output.split(separator: "\n").map(String.init).filter { $0.count > 80 }
      #expect(tooLong.prefix(3) == [])
      #expect(!run.output.contains("\u{1b}"))
    }
    let plain = try ToolRun(["\(program.pid)"], environment: ["LC_ALL": "C"])
    #expect(plain.output.utf8.allSatisfy { $0 < 128 })
    let colored = try ToolRun(["\(program.pid)", "--color", "always"])
    #expect(colored.output.contains("\u{1b}["))
  }

  /// The words of the rows of the histogram's table, from below its heading to the total.
  private func rows(_ text: String) throws -> [[String]] {
    let lines = text.split(separator: "\n")
    let heading = try #require(lines.firstIndex { $0.hasPrefix("chunk size") })
    let total = try #require(lines[heading...].firstIndex { $0.contains("total") })
    return lines[(heading + 1)...total].map { $0.split(separator: " ").map(String.init) }
  }

  /// A number with commas between its thousands.
  private func grouped(_ number: UInt64) -> String {
    var digits = String(number)[...]
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.insert(digits.suffix(3), at: 0)
      digits = digits.dropLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
  }
}
