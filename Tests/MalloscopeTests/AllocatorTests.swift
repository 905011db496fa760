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
    let lines = run.error.split(separator: "\n")
    let expected =
      "malloscope: process \(program.pid) (\(status(program.pid, "Name"))) does not use glibc's "
      + "malloc but \(name) ("
    #expect(lines.first?.hasPrefix(expected) == true, "\(run.error)")
    #expect(lines.first?.contains("/" + library) == true, "\(run.error)")
    #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("  hint: ") })
    #expect(try program.close() == .exit(0))
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
