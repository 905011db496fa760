// Programs that hold as many objects of each class as they say: so many are reported.

import HeapModel
import TestKit
import Testing

@Suite("Planted objects are found, exactly as many", .serialized)
struct PlantedTypeTests {
  /// A way to build the program.
  struct Build: CustomTestStringConvertible, Sendable {
    var flags: [String] = []
    var compiler: String?
    var arguments: [String] = []
    var testDescription: String {
      ([compiler].compactMap { $0 } + flags + arguments).joined(separator: " ")
    }
  }

  @Test(
    "of C++ classes, however the program is built",
    arguments: [
      Build(), Build(flags: ["-no-pie"]), Build(flags: ["-static"]), Build(flags: ["-s"]),
      Build(flags: ["-O2", "-s", "-static-pie"]), Build(flags: ["-static-libstdc++", "-s"]),
      Build(flags: ["-s"], arguments: ["gone"]),
      // The names of classes stand beside the code.
      Build(flags: ["-Wl,-z,noseparate-code"]),
    ])
  func classes(build: Build) throws {
    let path = try CompiledProgram.path("Types/Planted.cpp", flags: build.flags)
    let program = try TargetProgram(ChildProcess.Launch(path, build.arguments))
    let planted = plantedCounts(try program.waitReady())
    #expect(planted.count == 8)
    for options in [[], ["--capture", "stop"], ["--no-stop"]] {
      let report = try reportedTypes(program.pid, options)
      for (name, count) in planted {
        #expect(report.count(of: name) == count, "\(name), \(options)")
      }
      // None is left, whatever memory looks like them.
      #expect(report.count(of: "app::Gone") == 0, "\(options)")
      let row = try #require(report.types.first { $0.name == "app::Session" })
      #expect(row.kind == "C++" && row.binary == path && row.evidence?.rule == "rtti")
      #expect(report.types.reduce(0) { $0 + $1.bytes } == report.totals.inUseBytes)
      #expect(report.attribution.values.reduce(0) { $0 + $1.bytes } == report.totals.inUseBytes)
    }
    try program.close()
  }

  @Test(
    "every announced C++ object has its type",
    arguments: [Build(), Build(flags: ["-no-pie", "-s"]), Build(flags: ["-static", "-s"])])
  func announcedClasses(build: Build) throws {
    let path = try CompiledProgram.path("Types/Classes.cpp", flags: build.flags)
    let program = try TargetProgram(ChildProcess.Launch(path))
    let objects = try program.waitReady().compactMap(AnnouncedObject.init)
    let types = try typesByAddress(program.pid)
    #expect(objects.count > 30)
    for object in objects where object.name != "?" {
      let type = types[object.address] ?? "none"
      // The program's own demangler's names are compared elsewhere; here, by the encoded name.
      let suffix = ["[]", " at +16"].first { object.name.hasSuffix($0) } ?? ""
      let encoded = String(object.name.dropLast(suffix.count))
      let filter = try ToolRun(executable: try installedProgram("c++filt"), ["-t", encoded])
      let name = filter.output.split(separator: "\n").first.map(String.init) ?? ""
      #expect(type == name + suffix)
    }
    try program.close()
  }

  @Test(
    "every announced Swift object has its type",
    arguments: [["-Onone"], ["-O"], ["-O", "-static-stdlib", "-Xlinker", "-s"]])
  func swift(flags: [String]) throws {
    let directory = try TemporaryDirectory()
    let output = directory.file("Objects")
    let compilation = try ToolRun(
      executable: try installedProgram("swiftc"),
      flags + [
        "-parse-as-library", "-module-name", "Objects", "-o", output,
        testsPath("Targets/Types/Objects.swift"),
      ])
    try #require(compilation.ending == .exit(0), "\(compilation.error)")
    let program = try TargetProgram(ChildProcess.Launch(output))
    let objects = try program.waitReady().compactMap(AnnouncedObject.init)
    let types = try typesByAddress(program.pid)
    #expect(objects.count >= 27)
    for object in objects { #expect(types[object.address] == object.name) }
    try program.close()
  }

  @Test("buffers and the nodes of containers are given to the fields that lead to them")
  func owners() throws {
    let path = try CompiledProgram.path("Types/Owners.cpp")
    let stripped = try CompiledProgram.path("Types/Owners.cpp", flags: ["-s"])
    for options in [[], ["--capture", "stop"], ["--no-stop"]] {
      let program = try TargetProgram(ChildProcess.Launch(path))
      let planted = plantedCounts(try program.waitReady())
      #expect(planted.count == 10)
      let report = try reportedTypes(program.pid, ["--owner"] + options)
      for (name, count) in planted {
        #expect(report.count(of: name) == count, "\(name), \(options)")
      }
      // What several objects lead to, and what nothing leads to, is nobody's.
      #expect(!report.types.contains { $0.name == "app::Session.shared" })
      let title = try #require(report.types.first { $0.name == "app::Session.title" })
      #expect(title.kind == "owned" && title.binary == path && title.evidence?.rule == "owner")
      #expect(title.evidence?.detail.contains("std::string") == true)
      #expect(report.types.reduce(0) { $0 + $1.bytes } == report.totals.inUseBytes)
      // Without --owner nothing has one.
      #expect(!(try reportedTypes(program.pid, options)).types.contains { $0.kind == "owned" })
      try program.close()
    }
    let program = try TargetProgram(ChildProcess.Launch(stripped))
    try program.waitReady()
    let report = try reportedTypes(program.pid, ["--owner"])
    #expect(report.count(of: "app::Session+8") == 10)
    #expect(report.count(of: "app::Session+24") == 10)
    try program.close()
  }

  @Test(
    "of a million blocks of random bytes and old objects none is an object of a class that has none",
    arguments: [[], ["--capture", "stop"], ["--no-stop"]])
  func noneLeft(options: [String]) throws {
    let program = try TargetProgram(
      ChildProcess.Launch(try CompiledProgram.path("Types/Million.cpp")))
    try program.waitReady()
    let report = try reportedTypes(program.pid, options)
    #expect(report.totals.inUseChunks >= 1_000_000)
    for row in report.types { #expect(row.kind != "C++", "\(row.name): \(row.count)") }
    // The test is worth something only if there are such blocks.
    #expect(report.count(of: "begins like app::Gone") > 1000)
    #expect(report.count(of: "remains of app::Gone") > 1000)
    try program.close()
  }

  @Test("structures of C are named after what they point to, where there are symbols")
  func structures() throws {
    for flags in [[], ["-no-pie"]] {
      let path = try CompiledProgram.path("Types/Tables.c", flags: flags)
      let program = try TargetProgram(ChildProcess.Launch(path))
      let objects = try program.waitReady().compactMap(AnnouncedObject.init)
      let types = try typesByAddress(program.pid)
      #expect(objects.count >= 9)
      for object in objects { #expect(types[object.address] == object.name, "\(flags)") }
      try program.close()
    }
  }
}
