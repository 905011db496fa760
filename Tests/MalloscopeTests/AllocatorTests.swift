// Other allocators, and glibc's own in the ways in which it can be linked.

import Glibc
import HeapModel
import TestKit
import Testing

@Suite("The allocator is recognised, or named")
struct AllocatorTests {
  @Test(
    "a preloaded allocator that is not glibc's is named with its file",
    arguments: [
      ("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"),
      ("mimalloc", "libmimalloc.so.2"),
    ])
  func preloaded(name: String, library: String) throws {
    var launch = ChildProcess.Launch(try CompiledProgram.path("Allocating.c"))
    launch.environment["LD_PRELOAD"] = try installedLibrary(library)
    let program = try TargetProgram(launch)
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)"])
    #expect(run.ending == .exit(69))
    #expect(run.output == "")
    let lines = run.error.split(separator: "\n").map(String.init)
    let process = status(program.pid, "Name")
    let expected =
      "malloscope: process \(program.pid) (\(process)) does not use glibc's malloc but \(name) ("
    #expect(lines.first?.hasPrefix(expected) == true, "\(run.error)")
    #expect(lines.first?.contains("/" + library) == true, "\(run.error)")
    #expect(lines.count == 5, "\(run.error)")
    #expect(lines.dropFirst().first?.hasPrefix("  still true: ") == true, "\(run.error)")
    #expect(lines.contains { $0.hasPrefix("  malloc leads to \(library)") }, "\(run.error)")
    #expect(lines.contains { $0.contains(" from \(process), libc.so.6") }, "\(run.error)")
    #expect(lines.contains("  glibc's own malloc holds nothing"), "\(run.error)")
    #expect(lines.last?.hasPrefix("  hint: ") == true)
    #expect(try program.close() == .exit(0))
  }

  /// An allocator in a program, how it gets there, and where its malloc is.
  struct Linked: CustomTestStringConvertible {
    var name: String
    var compiler = "cc"
    var flags: [String]
    var testDescription: String { "\(name) \(flags.joined(separator: " "))" }
  }

  private static var hasClang: Bool { (try? installedProgram("clang")) != nil }

  @Test(
    "an allocator that a program is linked to is named",
    .enabled(if: hasClang, "no clang, which brings Scudo and a static AddressSanitizer"),
    arguments: [
      Linked(name: "asan", flags: ["-fsanitize=address"]),
      Linked(name: "asan", compiler: "clang", flags: ["-fsanitize=address"]),
      Linked(name: "scudo", compiler: "clang", flags: ["-fsanitize=scudo"]),
      Linked(name: "jemalloc", flags: ["-l:libjemalloc.so.2"]),
      Linked(name: "tcmalloc", flags: ["-l:libtcmalloc_minimal.so.4"]),
      Linked(name: "mimalloc", flags: ["-l:libmimalloc.so.2"]),
    ])
  func linked(linked: Linked) throws {
    let path = try CompiledProgram.path(
      "Allocating.c", compiler: linked.compiler, flags: ["-Wl,--no-as-needed"] + linked.flags)
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)"])
    #expect(run.ending == .exit(69))
    #expect(run.error.contains("does not use glibc's malloc but \(linked.name) ("), "\(run.error)")
    #expect(run.error.contains("\n  still true: "), "\(run.error)")
    // As libc sees it, which calls malloc like everybody else.
    #expect(run.error.contains("libc.so.6"), "\(run.error)")
  }

  @Test("a process that holds much of both is shown, with the other named; of little, it is told")
  func both() throws {
    let path = try CompiledProgram.path("TwoMallocs.c", flags: ["-ldl"])
    var launch = ChildProcess.Launch(path, ["forward", "20000"])
    launch.environment["LD_PRELOAD"] = try installedLibrary("libjemalloc.so.2")
    let program = try TargetProgram(launch)
    try program.waitReady()
    let document = try reportedHeap(program.pid)
    #expect(document.totals.inUseChunks >= 20_000)
    #expect(document.findings.map(\.kind) == ["allocator"])
    let detail = try #require(document.findings.first?.detail)
    #expect(detail.hasPrefix("the program's malloc is jemalloc ("), "\(detail)")
    #expect(detail.contains(" of anonymous memory, about "), "\(detail)")

    launch.arguments = ["forward", "1000"]
    let modest = try TargetProgram(launch)
    try modest.waitReady()
    let run = try ToolRun(["\(modest.pid)"])
    #expect(run.ending == .exit(69))
    #expect(
      run.error.contains(
        "  glibc's own malloc, which libraries may still use, holds 264.0K in 1 arena, "),
      "\(run.error)")
  }

  @Test("an allocator that only a part of the program loaded is named beside glibc's heap")
  func loadedLater() throws {
    let path = try CompiledProgram.path("TwoMallocs.c", flags: ["-ldl"])
    let library = try installedLibrary("libmimalloc.so.2")
    let program = try TargetProgram(ChildProcess.Launch(path, [library, "2000"]))
    try program.waitReady()
    let document = try reportedHeap(program.pid)
    #expect(document.totals.inUseChunks >= 2000)
    let detail = try #require(document.findings.first?.detail)
    #expect(detail.hasPrefix("mimalloc ("), "\(detail)")
    #expect(detail.contains("is not what malloc leads to"), "\(detail)")
  }

  @Test("musl is named, shared or static", arguments: [false, true])
  func musl(isStatic: Bool) throws {
    let path = try CompiledProgram.path(
      "Allocating.c", compiler: "musl-gcc", flags: isStatic ? ["-static"] : [])
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)"])
    #expect(run.ending == .exit(69))
    let expected =
      "malloscope: process \(program.pid) (\(status(program.pid, "Name"))) does not use glibc's "
      + "malloc but musl ("
    #expect(run.error.hasPrefix(expected), "\(run.error)")
    #expect(run.error.contains("\n  still true: "), "\(run.error)")
    #expect(!run.error.contains("glibc's own malloc"), "\(run.error)")
    #expect(try program.close() == .exit(0))
  }

  /// A way to link a program to glibc, and the most chunks that glibc itself allocates in it.
  struct Linking: CustomTestStringConvertible {
    var flags: [String]
    var chunksOfLibc: Int
    var testDescription: String { flags.joined(separator: " ") }
  }

  @Test(
    "glibc's heap is exact however it was linked",
    arguments: [
      Linking(flags: ["-pie"], chunksOfLibc: 0), Linking(flags: ["-no-pie"], chunksOfLibc: 0),
      // A static program's loader part keeps its search path in the heap: five small chunks.
      Linking(flags: ["-static"], chunksOfLibc: 5),
      Linking(flags: ["-static-pie"], chunksOfLibc: 5),
      Linking(flags: ["-static", "-s"], chunksOfLibc: 5),
      Linking(flags: ["-static-pie", "-s"], chunksOfLibc: 5),
    ])
  func glibc(linking: Linking) throws {
    let path = try CompiledProgram.path("Allocating.c", flags: linking.flags)
    let program = try TargetProgram(ChildProcess.Launch(path))
    let oracle = try program.waitForOracle()
    #expect(oracle.live.count == 900)
    let rows = try reportedChunks(program.pid)
    let table = try byAddress(rows)
    for (address, usable) in oracle.live {
      let row = table[address]
      if row?.state != "in_use" || row?.usable != usable {
        Issue.record("\(address) with \(usable) bytes is reported as \(String(describing: row))")
      }
    }
    let others = rows.filter { $0.state == "in_use" && oracle.live[$0.address] == nil }
    #expect(others.count <= linking.chunksOfLibc)
    #expect(others.reduce(0) { $0 + $1.size } < 4096)
    // The 100 that were freed lie apart from each other.
    #expect(rows.filter { $0.state == "binned" }.count == 100)
    let document = try reportedHeap(program.pid)
    #expect(document.coverage == 1)
    #expect(document.checks.allSatisfy { $0.holds })
    #expect(document.totals.mmappedChunks == 1)
    #expect(try program.close() == .exit(0))
  }

  private func installedLibrary(_ name: String) throws -> String {
    #if arch(x86_64)
      let architecture = "x86_64"
    #else
      let architecture = "aarch64"
    #endif
    let directories = [
      "/usr/lib/\(architecture)-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib",
    ]
    for directory in directories where access(directory + "/" + name, R_OK) == 0 {
      return directory + "/" + name
    }
    throw TestKitError.notFound(program: name, searched: directories)
  }

  @Test("a static program's own glibc is nothing to report")
  func staticGlibc() throws {
    let path = try CompiledProgram.path("Allocating.c", flags: ["-static"])
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    #expect(try reportedHeap(program.pid).findings.map(\.detail) == [])
  }
}
