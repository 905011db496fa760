// `doctor`: what it says of processes that can be read, and of those that cannot.

import Glibc
import TestKit
import Testing

@Suite("Doctor")
struct DoctorTests {
  /// The text with line breaks and their indents as single spaces.
  private func flowed(_ text: String) -> String {
    text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
  }

  @Test("a process that can be read: each check, and what decided the layout; it is not stopped")
  func healthy() throws {
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("Allocating.c")))
    try program.waitReady()
    let run = try ToolRun(["doctor", "\(program.pid)"])
    #expect(run.ending == .exit(0), "\(run.error)")
    let lines = run.output.split(separator: "\n")
    #expect(lines[0].hasPrefix("ok    process     \(program.pid) "), "\(run.output)")
    let text = flowed(run.output)
    #expect(text.contains("ok tracer no other process traces it"), "\(run.output)")
    #expect(text.contains("ok memory its memory can be read"), "\(run.output)")
    #expect(text.contains("ok malloc may be glibc's: glibc, /"), "\(run.output)")
    #expect(text.contains("ok layout /"), "\(run.output)")
    #expect(text.contains("main_arena: 0x"))
    #expect(text.contains("by its pointer to itself in the library's file"))
    #expect(text.contains("by its initial contents in the library's file"))
    #expect(!text.contains("please report"))
    #expect(try program.close() == .exit(0))
  }

  @Test("a glibc with a layout that is not known is refused by every verb, and told what to report")
  func unknownLayout() throws {
    let directory = try TemporaryDirectory()
    let program = try unknownGlibcProgram(in: directory)
    defer { kill(program.pid, SIGKILL) }
    let doctor = try ToolRun(["doctor", "\(program.pid)"])
    #expect(doctor.ending == .exit(69), "\(doctor.error)")
    let text = flowed(doctor.output)
    #expect(text.contains("no heap cannot read the malloc of"), "\(doctor.output)")
    #expect(text.contains("mp_ has an unknown shape"), "\(doctor.output)")
    let reported = text.components(after: "please report these lines")
    #expect(reported.contains("malloscope 0."), "\(doctor.output)")
    #expect(reported.contains("mp_ has an unknown shape"), "\(doctor.output)")
    #expect(reported.contains("build id "), "\(doctor.output)")
    for verb in ["histogram", "chunks", "arenas"] {
      let run = try ToolRun([verb, "\(program.pid)"])
      #expect(run.ending == .exit(69), "\(verb)")
      #expect(run.output == "", "\(verb)")
      #expect(run.error.contains("mp_ has an unknown shape"), "\(verb): \(run.error)")
    }
  }

  @Test("no such process, another allocator, and no permission end as they do for other verbs")
  func failures() throws {
    let none = try ToolRun(["doctor", "99999999"])
    #expect(none.ending == .exit(66))
    #expect(none.output == "")
    let program = try TargetProgram(
      ChildProcess.Launch(
        try CompiledProgram.path("Allocating.c", compiler: "musl-gcc", flags: ["-static"])))
    try program.waitReady()
    let other = try ToolRun(["doctor", "\(program.pid)"])
    #expect(other.ending == .exit(69))
    #expect(flowed(other.output).contains("no malloc not glibc's: musl"), "\(other.output)")
    #expect(!other.output.contains("please report"))
    #expect(try program.close() == .exit(0))
    let refused = try runAsNobody(["doctor", "1"])
    #expect(refused.ending == .exit(77), "\(refused.output)")
    let text = flowed(refused.output)
    #expect(text.contains("note capability CAP_SYS_PTRACE is not in effect"), "\(refused.output)")
    // Where it runs in a container that has the capability, that is said.
    #expect(text.contains("no identity "), "\(refused.output)")
    #expect(text.contains("uid 65534"), "\(refused.output)")
    #expect(text.contains("no memory its memory cannot be read: "), "\(refused.output)")
    #expect(text.contains("no heap "), "\(refused.output)")
    #expect(text.contains("note hint run "), "\(refused.output)")
  }

  @Test("of a process that another traces, all is told but that it cannot be attached to")
  func traced() throws {
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("Allocating.c")))
    try program.waitReady()
    let other = try ChildProcess(
      ChildProcess.Launch(try installedProgram("gdb"), ["-q", "-nx", "-p", "\(program.pid)"]))
    defer { other.send(SIGKILL) }
    let status = "/proc/\(program.pid)/status"
    for _ in 0..<500 {
      let text = String(decoding: try contents(ofFile: status), as: UTF8.self)
      if !text.contains("TracerPid:\t0\n") { break }
      usleep(10_000)
    }
    let run = try ToolRun(["doctor", "\(program.pid)"])
    #expect(run.ending == .exit(77), "\(run.output)")
    let text = flowed(run.output)
    #expect(text.contains("no tracer process \(program.pid) "), "\(run.output)")
    #expect(text.contains("is already being traced by process \(other.pid) (gdb)"))
    #expect(text.contains("ok layout /"), "\(run.output)")
    #expect(text.contains("--no-stop"), "\(run.output)")
  }

  @Test("without a process, what this tool may do where it runs")
  func ourselves() throws {
    let run = try ToolRun(["doctor"])
    #expect(run.ending == .exit(0), "\(run.error)")
    let text = flowed(run.output)
    #expect(text.contains("ok kernel Linux "), "\(run.output)")
    #expect(text.contains("ok user this tool runs as uid \(geteuid())"), "\(run.output)")
    #expect(text.contains("ok capability CAP_SYS_PTRACE is in effect"), "\(run.output)")
    #expect(text.contains(" processes that can be seen can be read"), "\(run.output)")
    #expect(text.contains(" can be had, bounded by "), "\(run.output)")
    let nobody = flowed(try runAsNobody(["doctor"]).output)
    #expect(nobody.contains("note capability CAP_SYS_PTRACE is not in effect"), "\(nobody)")
    #expect(nobody.contains("note processes the memory of "), "\(nobody)")
  }

  /// A program that runs with a copy of the C library in whose file `mp_` begins otherwise than in any
  /// known version: `n_mmaps_max` is one more.
  private func unknownGlibcProgram(in directory: TemporaryDirectory) throws -> TargetProgram {
    let path = try CompiledProgram.path("Allocating.c")
    let plain = try TargetProgram(ChildProcess.Launch(path))
    try plain.waitReady()
    let maps = String(decoding: try contents(ofFile: "/proc/\(plain.pid)/maps"), as: UTF8.self)
    let files = maps.split(separator: "\n").compactMap { $0.split(separator: " ").last }
    let library = try #require(files.first { $0.hasSuffix("/libc.so.6") })
    let loader = try #require(files.first { $0.contains("/ld-linux") })
    #expect(try plain.close() == .exit(0))
    var bytes = try contents(ofFile: String(library))
    var pattern: [UInt8] = []
    for word in [0x20000, 0x20000, 0x20000, 8, 0] as [UInt64] {
      pattern += (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }
    let place = try #require(bytes.firstRange(of: pattern)?.lowerBound)
    let limit = try #require(
      bytes[place..<place + 128].firstRange(of: [0, 0, 1, 0] as [UInt8], alignedFrom: place))
    bytes[limit] = 1
    // With the library's own build id, symbols would tell where malloc is, if they are installed.
    let note: [UInt8] = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 0x47, 0x4e, 0x55, 0]
    bytes[try #require(bytes.firstRange(of: note)).upperBound] ^= 0xff
    try writeExecutable(bytes, to: directory.file("libc.so.6"))
    let program = try TargetProgram(
      ChildProcess.Launch(String(loader), ["--library-path", directory.path, path]))
    try program.waitReady()
    return program
  }
}

extension String {
  /// What comes behind the first `marker`, empty if there is none.
  fileprivate func components(after marker: String) -> Substring {
    firstRange(of: marker).map { self[$0.upperBound...] } ?? ""
  }
}

extension ArraySlice<UInt8> {
  /// Where `pattern` is, at a multiple of four bytes behind `start`.
  fileprivate func firstRange(of pattern: [UInt8], alignedFrom start: Int) -> Int? {
    stride(from: start, to: endIndex - 4, by: 4).first { self[$0..<$0 + 4].elementsEqual(pattern) }
  }
}
