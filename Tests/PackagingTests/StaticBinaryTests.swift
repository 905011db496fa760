// The static binary: that it needs nothing, and finds what the normal build finds.

import Glibc
import TestKit
import Testing

@Suite("The static binary", .enabled(if: Packages.obstacle == nil, Packages.obstacle))
struct StaticBinaryTests {
  @Test("has no interpreter, needs no library, and names no directory of the machine that built it")
  func needsNothing() throws {
    let binary = try Packages.binary
    let readelf = try installedProgram("readelf")
    let segments = try run(readelf, ["--segments", "--wide", binary])
    #expect(segments.contains("LOAD") && !segments.contains("INTERP"), "\(segments)")
    let dynamic = try run(readelf, ["--dynamic", "--wide", binary])
    #expect(!dynamic.contains("NEEDED"), "\(dynamic)")
    let package = testsPath("..").replacing("/Tests/..", with: "")
    let found = try ToolRun(
      executable: try installedProgram("grep"), ["--count", "--text", package, binary])
    #expect(found.output == "0\n")
  }

  @Test("its own demo is exact")
  func demo() throws {
    let demo = try run(try Packages.binary, ["demo"])
    #expect(demo.split(separator: "(exact)").count == 4, "\(demo)")
  }

  @Test(
    "in a root directory with nothing else than /proc it reports what the normal build does",
    .enabled(if: geteuid() == 0, "only root can change its root directory"))
  func emptyRoot() throws {
    let program = try TargetProgram(scenario: "everything")
    try program.waitReady()
    let root = try TemporaryDirectory()
    #expect(mkdir(root.file("proc"), 0o755) == 0)
    _ = try run(try installedProgram("cp"), [try Packages.binary, root.file("malloscope")])
    #expect(try files(below: root.path) == ["malloscope"])
    let inside = try run(
      try installedProgram("unshare"),
      [
        "--mount", "--fork", "/bin/sh", "-c",
        "mount --bind /proc $0/proc && exec chroot $0 /malloscope $1 --json", root.path,
        "\(program.pid)",
      ])
    let outside = try ToolRun(["\(program.pid)", "--json"])
    #expect(outside.ending == .exit(0))
    let sums = try HeapSums(inside)
    #expect(try sums == HeapSums(outside.output))
    #expect(sums.coverage == 1 && sums.histogram.count > 10)
    #expect(try program.close() == .exit(0))
  }

  @Test("says what was built, what it reads files with, and which glibcs are tested")
  func version() throws {
    let lines = try run(try Packages.binary, ["--version"]).split(separator: "\n")
    #expect(lines.count == 3)
    #expect(
      lines[0].wholeMatch(
        of: /malloscope \d+\.\d+\.\d+ \(commit [0-9a-f]{40}(, with changes)?\)/) != nil
        || !isRepository, "\(lines[0])")
    #expect(lines[1].wholeMatch(of: /elfutils 0\.\d+/) != nil, "\(lines[1])")
    #expect(lines[2] == "glibc 2.31 to 2.44 tested, layouts from 2.17 on known")
    // A plain build cannot know its commit, and does not guess.
    let plain = try run(BuildProduct.malloscope.builtPath(), ["--version"])
      .split(separator: "\n")
    #expect(plain[0].hasSuffix(" (built from source, commit not recorded)"), "\(plain[0])")
    #expect(plain.dropFirst() == lines.dropFirst())
  }

  private var isRepository: Bool {
    access(testsPath("../.git"), F_OK) == 0
  }
}
