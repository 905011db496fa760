// Debug files cut off or overwritten anywhere, asked for symbols and types: never a trap or a hang.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

@Suite("Damaged symbols and types are missed, at worst wrong, and harm nobody")
struct DamagedSymbolsTests {
  /// A program that has few types, with its debug file at `place`.
  private static func prepare(
    _ flags: [String]
  ) throws -> (fixture: SymbolFixture, bytes: [UInt8], place: String) {
    let source = """
      #include <unistd.h>
      namespace app { struct Base { long word; }; template <class T> struct Holder { T value; };
      struct Session : Base { struct Impl; int list[3]; union { int a; long b; }; Impl *impl; Holder<int> h; };
      struct Session::Impl { Session *back; }; }
      typedef struct { int x; } Alias;
      app::Session session; app::Session::Impl impl; Alias alias; app::Holder<const char *> holder;
      int main() { pause(); }
      """
    let fixture = try SymbolFixture(flags, source: source)
    try fixture.shell(SymbolSourcesTests.sources[1].script)
    let place = try #require(
      try run(["find", fixture.directory.file("debug"), "-type", "f"]).split(separator: "\n").first)
    return (fixture, try contents(of: String(place)), String(place))
  }

  /// Asks for all that there is.
  private static func ask(
    _ started: borrowing StartedFixture, _ mappings: [MemoryMapping], _ directory: String
  ) -> Int {
    let symbols = ProcessSymbols(
      pid: started.child.pid, mappings: mappings, directory: directory)
    var found = 0
    let own = symbols.binaries.first { $0.path == started.program }
    for part in own?.parts ?? [] {
      for offset: UInt64 in [0, 0x40, 0x139, 0x800] {
        let address = RemoteAddress(part.range.lowerBound.bits + offset)
        if symbols.symbol(at: address) != nil { found += 1 }
      }
    }
    for name in [
      "app::Session", "app::Session::Impl", "Alias", "app::Holder<char const*>", "app::Base",
      "none",
      "app::Session::None",
    ] where symbols.layout(of: name, in: started.program) != nil {
      found += 1
    }
    if symbols.address(of: "session", in: started.program) != nil { found += 1 }
    for gap in symbols.gaps { #expect(!gap.reason.isEmpty) }
    return found
  }

  @Test(
    "cut off or with bytes overwritten anywhere", .timeLimit(.minutes(5)),
    arguments: [
      ["-gdwarf-5"], ["-gdwarf-4", "-fdebug-types-section"],
      ["-gdwarf-5", "-fdebug-types-section"],
      ["-gz=zlib"],
    ])
  func damaged(flags: [String]) throws {
    let (fixture, bytes, place) = try Self.prepare(flags)
    let started = try fixture.start()
    let mappings = try started.child.mappings()
    let directory = fixture.directory.file("debug")
    let whole = Self.ask(started, mappings, directory)
    #expect(whole > 6)
    var random = Xorshift()
    for round in 0..<400 {
      var damaged = bytes
      if round % 8 == 0 {
        damaged.removeLast(random.below(damaged.count))
      } else {
        for _ in 0...random.below(12) {
          damaged[random.below(damaged.count)] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]
        }
      }
      try #require(unlink(place) == 0)
      let file = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
      #expect(
        damaged.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == damaged.count)
      close(file)
      #expect(Self.ask(started, mappings, directory) <= whole + 20)
    }
  }
}
