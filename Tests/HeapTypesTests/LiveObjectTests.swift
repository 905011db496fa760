// What real programs hold, told without their symbols.

import HeapModel
import HeapTypes
import TestKit
import Testing

@Suite(.serialized) struct LiveObjectTests {
  /// A way to build a program.
  struct Build: CustomTestStringConvertible, Sendable {
    var flags: [String]
    var testDescription: String { flags.isEmpty ? "plain" : flags.joined(separator: " ") }
  }

  @Test(
    "objects of C++ classes are named from memory alone, however the program is built",
    arguments: [
      Build(flags: []), Build(flags: ["-no-pie"]), Build(flags: ["-static"]), Build(flags: ["-s"]),
      Build(flags: ["-O2", "-s", "-static-pie"]), Build(flags: ["-static-libstdc++", "-s"]),
    ])
  func classes(build: Build) throws {
    let live = try LiveObjects(CompiledProgram.path("Types/Classes.cpp", flags: build.flags))
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    for (said, told, _) in try live.told(&attribution) {
      if said == "?" {
        #expect(told.kind == .content, "\(told)")
      } else {
        #expect(told.name == said && told.kind == .cxx, "\(told)")
        #expect(told.evidence.rule == .rtti)
      }
    }
  }

  @Test("a class of a shared library is the library's")
  func sharedLibrary() throws {
    let library = try CompiledProgram.path("Types/Library.cpp", flags: ["-shared", "-fPIC"])
    let live = try LiveObjects(
      CompiledProgram.path("Types/Classes.cpp", flags: ["-DWITH_LIBRARY", library]))
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    let things = try live.told(&attribution).filter { $0.said == "N7library5ThingE" }
    #expect(things.count == 1)
    for (said, told, _) in things {
      #expect(told.name == said)
      #expect(told.binary == library)
    }
  }

  @Test("without type information the symbol of the vtable names the class, or nothing does")
  func noTypeInformation() throws {
    let path = try CompiledProgram.path(
      "Types/Classes.cpp", flags: ["-fno-rtti", "-DNO_RTTI"])
    let live = try LiveObjects(path)
    let base = live.binaries.first { $0.path == path }?.parts.first?.range.lowerBound.bits ?? 0
    for hasSymbols in [true, false] {
      let symbols: any SymbolLookup =
        hasSymbols ? try ProgramSymbols(path, base: base) : NoSymbols()
      var attribution = TypeAttribution(
        TypeSources(binaries: live.binaries, memory: live.memory, symbols: symbols))
      for (said, told, _) in try live.told(&attribution) {
        // A list's node is only recognised by a class that is sure; one without functions not at all.
        if said == "?" || said.contains(" at ") || said.hasPrefix("app::Empty") { continue }
        // Of large objects the second is not seen, and what names nothing needs two.
        if !hasSymbols, said == "app::Special[]" { continue }
        #expect(told.kind == .cxx, "\(said): \(told)")
        let last = said.replacing("[]", with: "").split(separator: ":").last ?? ""
        if hasSymbols {
          #expect(told.evidence.rule == .vtableSymbol)
          #expect(said.contains("Holder") || told.name.contains(last), "\(said): \(told)")
        } else {
          #expect(told.evidence.rule == .vtableUnnamed)
          #expect(told.name.hasPrefix("class without type information (Classes-"))
        }
      }
    }
  }

  @Test("structures of C are named by what they point to, with symbols")
  func structures() throws {
    let path = try CompiledProgram.path("Types/Tables.c")
    let live = try LiveObjects(path)
    let base = live.binaries.first { $0.path == path }?.parts.first?.range.lowerBound.bits ?? 0
    var attribution = TypeAttribution(
      TypeSources(
        binaries: live.binaries, memory: live.memory, symbols: try ProgramSymbols(path, base: base))
    )
    for (said, told, _) in try live.told(&attribution) {
      // The one before it in the cache is no chunk that was announced.
      if said.hasPrefix("not written") { continue }
      #expect(told.name == said, "\(told)")
    }
  }

  @Test("structures of C without symbols are the file's that they point into")
  func structuresWithoutSymbols() throws {
    let path = try CompiledProgram.path("Types/Tables.c", flags: ["-s"])
    let live = try LiveObjects(path)
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    for (said, told, _) in try live.told(&attribution)
    where said.hasPrefix("structure") || said.hasPrefix("callback") || said.hasPrefix("ops") {
      #expect(told.name.hasPrefix("structure with pointers into Tables-"), "\(said): \(told)")
      #expect(told.evidence.rule == .objectFile)
      #expect(told.binary == path)
    }
  }
}

@Suite struct StaleMemoryTests {
  @Test(
    "memory with objects that are gone, taken again in other sizes, holds none of them",
    arguments: ["many", "one"])
  func otherSizes(sizes: String) throws {
    let live = try LiveObjects(CompiledProgram.path("Types/Stale.cpp"), [sizes])
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    #expect(live.objects.count == 12_000)
    var told: [String: Int] = [:]
    for (_, type, _) in try live.told(&attribution) {
      told[type.name, default: 0] += 1
      #expect(type.kind != .cxx, "\(type)")
    }
    // Many begin with an old pointer.
    #expect(told.contains { $0.key.hasSuffix("app4GoneE") && $0.value > 100 }, "\(told)")
  }
}
