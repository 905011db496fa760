// The layouts of types, against what the program itself says, whatever its debug information looks like.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

@Suite("Layouts are what the program itself says")
struct TypeLayoutTests {
  static let variants: [[String]] = [
    ["c++", "-gdwarf-4"], ["c++", "-gdwarf-5"], ["c++", "-gdwarf-4", "-fdebug-types-section"],
    ["c++", "-gdwarf-5", "-fdebug-types-section"], ["c++", "-gz=zlib"],
    ["clang++", "-gdwarf-4"], ["clang++", "-gdwarf-5"],
    ["clang++", "-gdwarf-5", "-fdebug-types-section", "-fstandalone-debug"],
  ]

  private static func expect(_ symbols: ProcessSymbols, _ program: String, _ report: String) throws
  {
    var seen = 0
    for line in report.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard let type = words.dropFirst().first, let number = words.last.flatMap({ UInt64($0) })
      else {
        continue
      }
      let name = type == "Hidden" ? "(anonymous namespace)::Hidden" : type
      guard let layout = symbols.layout(of: name, in: program) else {
        Issue.record("no layout of \(name)")
        continue
      }
      seen += 1
      if words[0] == "size" {
        #expect(layout.byteCount == number, "\(line)")
      } else if let field = layout.fields.first(where: { $0.name == words[2] }) {
        #expect(field.offset == number && !field.isBase, "\(line)")
      } else {
        let inherited = layout.fields.filter(\.isBase).compactMap { base in
          symbols.layout(of: base.typeName, in: program)?.fields
            .first { $0.name == words[2] }.map { $0.offset + base.offset }
        }
        #expect(inherited == [number], "\(line)")
      }
    }
    #expect(seen == 27)
  }

  @Test("from every kind of debug information", arguments: variants)
  func agrees(variant: [String]) throws {
    let fixture = try SymbolFixture(Array(variant.dropFirst()), compiler: variant[0])
    let started = try fixture.start()
    try Self.expect(started.symbols, fixture.program, try run([fixture.program, "report"]))
    try Self.examine(started.symbols, fixture.program)
    #expect(started.symbols.gaps.isEmpty)
  }

  /// What the program cannot say of itself.
  private static func examine(_ symbols: ProcessSymbols, _ program: String) throws {
    let session = try #require(symbols.layout(of: "app::Session", in: program))
    #expect(session.name == "app::Session")
    #expect(session.fields.map(\.offset) == session.fields.map(\.offset).sorted())
    #expect(session.fields.filter(\.isBase).map(\.typeName) == ["app::Base", "app::Other"])
    #expect(session.fields.filter(\.isBase).map(\.offset) == [0, 16])
    func field(_ name: String) -> TypeLayout.Field? { session.fields.first { $0.name == name } }
    #expect(field("impl")?.typeName == "app::Session::Impl*")
    #expect(field("impl")?.byteCount == 8)
    #expect(field("inner")?.typeName == "app::Session::Inner")
    #expect(field("bytes")?.typeName == "uint8_t[3][5]")
    #expect(field("bytes")?.byteCount == 15)
    #expect(field("counted") == nil && field("low") == nil)
    // However names are spelled.
    for name in [
      "app::Holder<unsigned long, 4ul>", "app::Holder<long unsigned int, 4>",
      "app::Holder<unsigned long,4>",
    ] {
      let holder = try #require(symbols.layout(of: name, in: program), "\(name)")
      #expect(holder.byteCount == 40)
      #expect(holder.fields.map(\.name) == ["values", "name"])
      #expect(holder.fields.last?.typeName == "char const*")
    }
    for name in ["app::Holder<char const*, 2ul>", "app::Holder<const char *, 2>"] {
      #expect(symbols.layout(of: name, in: program)?.byteCount == 24, "\(name)")
    }
    for name in [
      "app::Holder<app::Holder<int, 1ul>, 3ul>", "app::Holder<app::Holder<int, 1> , 3>",
    ] {
      #expect(symbols.layout(of: name, in: program)?.byteCount == 56, "\(name)")
    }
    // As what demangling gives.
    for type in ["N3app7SessionE", "N12_GLOBAL__N_16HiddenE", "N3app6HolderImLm4EEE"] {
      let name = try #require(symbols.demangled(type))
      #expect(symbols.layout(of: name, in: program) != nil, "\(name)")
    }
    for name in ["Session", "app::", "app", "::", "", "app::Session::Nothing", "int", "app::Color"]
    {
      #expect(symbols.layout(of: name, in: program) == nil, "\(name)")
    }
    #expect(symbols.layout(of: "app::Session", in: "/no/file") == nil)
  }

  @Test("from a debug file that the user has")
  func separate() throws {
    let fixture = try SymbolFixture()
    let report = try run([fixture.program, "report"])
    try fixture.shell(SymbolSourcesTests.sources[1].script)
    try Self.expect(try fixture.start().symbols, fixture.program, report)
  }

  @Test(
    "from a file that several share",
    .enabled(if: mustRunEverything || isInstalled("dwz"), "dwz is not installed"))
  func shared() throws {
    let fixture = try SymbolFixture()
    let report = try run([fixture.program, "report"])
    try fixture.shell(
      """
      \(SymbolSourcesTests.sources[1].script)
      c++ -w -g -O2 -Wl,--build-id -o other app.cpp
      cp debug/.build-id/$id first
      dwz -m shared.debug -M /nowhere/shared.debug first other
      mkdir debug/.dwz; mv shared.debug debug/.dwz/; cp first debug/.build-id/$id
      """)
    #expect(
      try !run(["readelf", "--debug-dump=info", fixture.directory.file("first")])
        .contains("base_word"))
    let started = try fixture.start()
    try Self.expect(started.symbols, fixture.program, report)
    try Self.examine(started.symbols, fixture.program)
    try fixture.shell("rm debug/.dwz/shared.debug")
    let without = try fixture.start()
    #expect(without.symbols.layout(of: "app::Base", in: fixture.program) == nil)
    #expect(without.symbols.gaps.first?.reason.contains("/nowhere/shared.debug") == true)
  }

  @Test("a name that is too long is none, and one with too many scopes is not looked for")
  func longNames() throws {
    let long = String(repeating: "a", count: TypeSpelling.lengthLimit + 1)
    let fixture = try SymbolFixture(
      source: """
        #include <unistd.h>
        struct \(long) { int word; };
        struct Session { \(long) first; int \(long)b; int last; } session;
        int main() { pause(); }
        """)
    let started = try fixture.start()
    let layout = try #require(started.symbols.layout(of: "Session", in: fixture.program))
    #expect(layout.fields.map(\.name) == ["first", "", "last"])
    #expect(layout.fields.map(\.typeName) == ["", "int", "int"])
    #expect(layout.fields.map(\.byteCount) == [4, 4, 4])
    #expect(started.symbols.layout(of: long, in: fixture.program) == nil)
    let deep = String(repeating: "Session::", count: 400) + "Session"
    #expect(started.symbols.layout(of: deep, in: fixture.program) == nil)
  }

  @Test("a unit that was not looked through to its end is not taken for known")
  func unfinished() throws {
    let fixture = try SymbolFixture()
    let dwarf = try DwarfHandle.open(
      try ElfHandle.open(OwnedDescriptor(opening: fixture.program), path: fixture.program))
    var found: DebugEntry?
    dwarf.forEachUnit { unit in
      var next = unit.child
      while let entry = next, found == nil {
        // A namespace can be in several places.
        var inner = entry.name == "app" ? entry.child : nil
        while let type = inner, found == nil {
          if type.name == "Base", type.isStructure { found = type }
          inner = type.sibling
        }
        next = entry.sibling
      }
      return found == nil
    }
    let type = try #require(found)
    let scopes = TypeScopes()
    scopes.entriesLeft = 3
    #expect(scopes.name(of: type) == "Base")
    scopes.entriesLeft = TypeScopes.entryLimit
    #expect(scopes.name(of: type) == "app::Base")
    scopes.entriesLeft = 0
    #expect(scopes.name(of: type) == "app::Base")
  }

  @Test(
    "names that mean the same are written the same",
    arguments: [
      ["Foo<unsigned long>", "Foo<long unsigned int>", "Foo< unsigned  long >"],
      ["A<char const*>", "A<const char *>", "A<const char*>"],
      ["A<B const&, C>", "A<const B &, C>"],
      ["A<x::B<int> const&>", "A<const x::B<int> &>"],
      ["A<(anonymous namespace)::B const*>", "A<const (anonymous namespace)::B *>"],
      ["std::array<int, 4ul>", "std::array<int, 4>", "std::array<int, 4u>"],
      ["std::function<void (int const&)>", "std::function<void(const int &)>"],
      ["a<long long>", "a<long long int>"], ["a<unsigned int>", "a<unsigned>"],
      ["a<signed char>", "a<char signed>"], ["a<b<c<d> > >", "a<b<c<d>>>"],
      ["a<unsigned __int128>", "a<__int128 unsigned>"],
    ])
  func spelling(names: [String]) {
    #expect(Set(names.map { TypeSpelling.common($0.utf8) }).count == 1)
  }

  @Test("names that mean something else are not")
  func spellingDiffers() {
    let names = [
      "a", "a<>", "a<char>", "a<signed char>", "a<unsigned char>", "a<int>", "a<long>",
      "a<long long>",
      "a<char*>", "a<char const*>", "a<char* const>", "a<a, b>", "a<b>", "a<1>", "a<-1>", "a<12>",
      "aa",
      "a::a", "a<long double>", "a<double>", ">", "a<a<", "", "a<volatile int>", "a<const int>",
    ]
    #expect(Set(names.map { TypeSpelling.common($0.utf8) }).count == names.count)
  }
}
