// Symbols as a second witness, and mallocs that are laid out as none that is known.

import Glibc
import TestKit
import Testing

@Suite("Which evidence decided how malloc is laid out")
struct LayoutEvidenceTests {
  /// What both the library and its debug information tell of.
  private static let doubled = [
    "main_arena", "mp_", "arena layout", "mp_ layout", "heap_info", "tcache", "tcache pointer",
  ]

  // MARK: Debian's glibcs

  private static let present = DebianGlibc.allCases.filter(\.isPresent)

  @Test(
    "the fetched glibcs are there",
    .enabled(
      if: DebianGlibc.isRequired || present == DebianGlibc.allCases,
      "Tests/fetch-glibc was not run, or could not fetch all"))
  func fetched() {
    #expect(Self.present == DebianGlibc.allCases)
  }

  @Test(
    "a process's malloc is confirmed by the debug files that --debuginfo names",
    arguments: present)
  func confirmed(glibc: DebianGlibc) throws {
    let program = try TargetProgram(try glibc.launch(scenario: "threads"))
    try program.waitReady()
    let directory = glibc.debugFiles
    let run = try ToolRun(["\(program.pid)", "--json", "--debuginfo", directory])
    #expect(run.exitCode == 0, "\(run.error)")
    let document = try HeapDocument(run.output)
    #expect(document.target.glibc == glibc.version)
    #expect(document.findings.isEmpty, "\(document.findings)")
    let evidence = document.target.evidence
    for what in Self.doubled {
      let item = try #require(evidence.first { $0.what == what }, "\(what)")
      #expect(!item.decidedBy.isEmpty)
      #expect(
        item.confirmedBy.contains { $0.hasPrefix("symbol ") || $0.hasPrefix("debug information") },
        "\(what): \(item)")
    }
    let file = try #require(evidence.first { $0.what == "debug file" })
    #expect(file.value.hasPrefix(directory + "/.build-id/"))
    #expect(file.decidedBy.hasPrefix("build id "))

    let text = try ToolRun(["\(program.pid)", "-v", "--debuginfo", directory]).output
    let words = text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    #expect(words.contains("evidence for the layout of"))
    #expect(words.contains("confirmed by debug information of malloc_state"))
    #expect(words.contains("confirmed by symbol tcache"))
    let arenas = try ToolRun(["arenas", "\(program.pid)", "-v"]).output
    #expect(arenas.contains("evidence for the layout of"))
    let plain = try ToolRun(["\(program.pid)", "--debuginfo", directory]).output
    #expect(!plain.contains("evidence for the layout of"))
  }

  @Test("a directory that is none is named", arguments: ["/proc/self/nowhere", "/dev/null"])
  func noDirectory(path: String) throws {
    let program = try TargetProgram(scenario: "unused")
    try program.waitReady()
    let run = try ToolRun(["\(program.pid)", "--debuginfo", path])
    #expect(run.exitCode == 66)
    #expect(run.output == "")
    #expect(run.error.hasPrefix("malloscope: cannot look for debug files in \(path)"))
  }

  @Test("that no debug file was found where one was looked for is said, unless it is to be quiet")
  func noneFound() throws {
    let program = try changed("-s")
    let directory = try TemporaryDirectory()
    let arguments = ["\(program.pid)", "--debuginfo", directory.path]
    let run = try ToolRun(arguments)
    #expect(run.exitCode == 0)
    #expect(run.error.contains("note: no debug file of "))
    #expect(run.error.contains(" was found in \(directory.path) or the usual places"))
    #expect(try ToolRun(arguments + ["-q"]).error == "")
  }

  @Test("a debug file of another build is ignored, and -v says so")
  func otherBuild() throws {
    let program = try TargetProgram(scenario: "unused")
    try program.waitReady()
    let directory = try TemporaryDirectory()
    let other = try CompiledProgram.path(
      "FutureMalloc/malloc.c", flags: Self.flags + ["-DOTHER_BUILD"])
    let copy = directory.file("libc.so.6.debug")
    #expect(try ToolRun(executable: "/bin/cp", [other, copy]).exitCode == 0)
    let document = try HeapDocument(
      try ToolRun(["\(program.pid)", "--json", "--debuginfo", directory.path]).output)
    let ignored = document.target.evidence.filter { $0.value == "ignored" }
    #expect(ignored.contains { $0.decidedBy.hasPrefix("\(copy) belongs to another build") })
    #expect(document.findings.isEmpty)
  }

  // MARK: Layouts that no glibc has

  private static let flags = ["-static", "-nostdlib", "-fno-stack-protector", "-Wl,--build-id"]

  /// Starts the program with a changed malloc.
  private func changed(_ flags: String...) throws -> TargetProgram {
    let path = try CompiledProgram.path("FutureMalloc/malloc.c", flags: Self.flags + flags)
    let program = try TargetProgram(ChildProcess.Launch(path))
    try program.waitReady()
    return program
  }

  /// Looks at the program, expects to be refused, and returns what was said.
  private func refusal(_ program: TargetProgram, _ arguments: String...) throws -> String {
    let run = try ToolRun(["\(program.pid)"] + arguments)
    #expect(run.exitCode == 69)
    #expect(run.output == "")
    #expect(run.error.contains("report"))
    return String(run.error.split(separator: "\n")[0])
  }

  @Test("one that is as it is known is read, without symbols or with them")
  func known() throws {
    let stripped = try changed("-s")
    #expect(try ToolRun(["\(stripped.pid)"]).exitCode == 0)
    let whole = try changed()
    let run = try ToolRun(["\(whole.pid)", "-v"])
    #expect(run.exitCode == 0, "\(run.error)")
    #expect(run.output.contains("confirmed by symbol main_arena"))
  }

  @Test("an arena with a field more is refused: what was found, what is known")
  func longerArena() throws {
    let stripped = try refusal(changed("-DLONGER", "-s"))
    #expect(stripped.contains("no main_arena in "))
    #expect(stripped.contains("with a pointer to it 2176 bytes on"))
    #expect(stripped.contains("expected are 2072, 2152, 2160 bytes"))
    #expect(stripped.contains("build id "))
    let named = try refusal(changed("-DLONGER"))
    #expect(named.contains("its debug information has a layout that is not known"))
    #expect(named.contains("malloc_state.next is at 2176, in layout C at 2160"))
    #expect(named.contains("malloc_state has 2216 bytes, in layout C 2200 bytes"))
  }

  @Test("parameters of another shape are refused with their words")
  func otherParameters() throws {
    let stripped = try refusal(changed("-DOTHER_PARAMETERS", "-s"))
    #expect(stripped.contains("with a pointer to it 2160 bytes on (layout C)"))
    #expect(stripped.contains("mp_ has an unknown shape: at 0x"))
    #expect(stripped.contains(" 20000 20000 20000 8 0 0 0 0 1000000000000 "))
    let named = try refusal(changed("-DOTHER_PARAMETERS"))
    #expect(named.contains("malloc_par.n_mmaps is at 64, in layout"))
  }

  @Test("a field with another name is seen as soon as debug information is read")
  func renamedField() throws {
    let program = try changed("-DRENAMED")
    #expect(try ToolRun(["\(program.pid)"]).exitCode == 0)
    let named = try refusal(program, "-v")
    #expect(named.contains("malloc_state has no system_mem, in layout C it is at 2184"))
  }

  @Test("of two places that look like main_arena, symbols tell which it is")
  func twoArenas() throws {
    let stripped = try refusal(changed("-DTWO_ARENAS", "-s"))
    #expect(stripped.contains("cannot tell main_arena in "))
    #expect(stripped.contains("2 places look like it, one was expected: 0x"))
    let program = try changed("-DTWO_ARENAS")
    let run = try ToolRun(["\(program.pid)", "--json"])
    #expect(run.exitCode == 0, "\(run.error)")
    let document = try HeapDocument(run.output)
    for (what, reason) in [
      ("main_arena", "symbol main_arena"), ("mp_", "symbol mp_"),
      ("arena layout", "debug information of malloc_state"),
    ] {
      #expect(document.target.evidence.first { $0.what == what }?.decidedBy == reason)
    }
  }

  @Test("the debug file of a stripped program that --debuginfo leads to decides the same")
  func separateFile() throws {
    let directory = try TemporaryDirectory()
    let whole = try CompiledProgram.path(
      "FutureMalloc/malloc.c", flags: Self.flags + ["-DTWO_ARENAS"])
    let stripped = directory.file("program")
    let separate = directory.file("program.debug")
    for (tool, arguments) in [
      ("objcopy", ["--only-keep-debug", whole, separate]), ("strip", ["-o", stripped, whole]),
    ] {
      #expect(try ToolRun(executable: "/usr/bin/\(tool)", arguments).exitCode == 0)
    }
    let program = try TargetProgram(ChildProcess.Launch(stripped))
    try program.waitReady()
    #expect(try refusal(program).contains("2 places look like it"))
    let run = try ToolRun(["\(program.pid)", "--json", "--debuginfo", directory.path])
    #expect(run.exitCode == 0, "\(run.error)")
    let evidence = try HeapDocument(run.output).target.evidence
    #expect(evidence.first { $0.what == "debug file" }?.value == separate)
    // Damaged, it is ignored, and all is as before.
    #expect(truncate(separate, 2000) == 0)
    #expect(try refusal(program, "--debuginfo", directory.path).contains("2 places look like it"))
  }
}
