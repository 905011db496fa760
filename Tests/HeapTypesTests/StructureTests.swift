// Structures that are told by what they point to, and what only looks like such pointers.

import HeapModel
import HeapTypes
import TestKit
import Testing

/// A symbol for every 16 bytes of an image's data, and those that are added.
private final class ManySymbols: SymbolLookup {
  var data: Range<UInt64>
  var added: [NamedSymbol] = []

  init(_ data: Range<UInt64>) { self.data = data }

  func add(_ name: String, _ start: UInt64, _ count: UInt64, _ kind: NamedSymbol.Kind) {
    added.append(
      NamedSymbol(
        linkerName: name, name: name, kind: kind, start: RemoteAddress(start), byteCount: count,
        binary: "/usr/bin/app"))
  }

  func symbol(at address: RemoteAddress) -> NamedSymbol? {
    let known = added.first { address.bits &- $0.start.bits < $0.byteCount }
    guard known == nil, data.contains(address.bits) else { return known }
    let start = address.bits & ~15
    return NamedSymbol(
      linkerName: "option\(start - data.lowerBound)", name: "option\(start - data.lowerBound)",
      kind: .data, start: RemoteAddress(start), byteCount: 16, binary: "/usr/bin/app")
  }
  func demangled(_ name: String) -> String? { nil }
  func layout(of name: String, in binary: String) -> TypeLayout? { nil }
}

@Suite struct StructureTests {
  private let address: UInt64 = 0x5555_6000_0010

  @Test("a link to a bin of which bytes were written over makes no structure")
  func tornLinks() {
    var image = ClassImage(classes: 4000)
    for bin in 0..<126 {
      let address = image.data + 0x100 + UInt64(bin * 16)
      image.setWord(address, at: address + 16)
      image.setWord(address, at: address + 24)
    }
    let bin = image.data + 0x130
    let symbols = ManySymbols(image.data..<image.data + 0x1000)
    var attribution = TypeAttribution(image.sources(symbols))
    // One byte, two bytes and four, with the second link still there.
    for first in [bin & ~0xFF | 0x74, bin & ~0xFFFF | 4, bin & ~0xFFFF | 0x40] {
      #expect(attribution.held([first, bin, 0]).kind == .content, "\(RemoteAddress(first))")
      #expect(attribution.held([bin, first, 0]).kind == .content, "\(RemoteAddress(first))")
    }
    // A pointer of the program's beside it tells what the block is; it is no link.
    #expect(attribution.held([image.names + 16, bin, 0]).kind == .structure)
    #expect(attribution.held([image.data + 0xF00, 0x5555_6000_1000, 0]).kind == .structure)
    #expect(attribution.held([bin, 0x5555_6000_1000, 0]).name.hasPrefix("not written yet"))
    // With the symbol, the rest of the arena is known as well, whatever its bins hold.
    symbols.add("main_arena", image.data + 0x2000, 0x898, .data)
    let other = image.data + 0x2060
    #expect(attribution.held([other, other, 0]).name.hasPrefix("not written yet"))
    #expect(attribution.held([other | 5, 0, 0]).kind == .content)
  }

  @Test("a pointer between the words of data that is no text is a pointer with another byte in it")
  func unaligned() {
    let image = ClassImage()
    var attribution = TypeAttribution(image.sources())
    #expect(attribution.held([image.data + 0x80, 1, 2]).kind == .structure)
    #expect(attribution.held([image.data + 0x81, 1, 2]).kind == .content)
    // A text can begin anywhere.
    #expect(attribution.held([image.names + 17, 1, 2]).kind == .structure)
  }

  @Test("data that stands beside code is no callback")
  func dataBesideCode() {
    let image = ClassImage()
    let symbols = ManySymbols(0..<0)
    symbols.add("table", ClassImage.code + 0x100, 16, .data)
    symbols.add("work", ClassImage.code + 0x200, 16, .function)
    symbols.add("label", ClassImage.code + 0x300, 16, .other)
    var attribution = TypeAttribution(image.sources(symbols))
    let names = [0x100, 0x200, 0x300].map { attribution.held([ClassImage.code + $0, 1, 2]).name }
    #expect(names == ["structure with table", "callback work", "callback label"])
  }

  @Test("what exit calls is a block of its own")
  func exitFunctions() {
    let image = ClassImage()
    var attribution = TypeAttribution(image.sources())
    let function: UInt64 = 0x44A2_0BA4_7C26_13C2
    let name = "exit functions (atexit)"
    let words = [address + 0x1000, 32, 4, function, image.data, image.names, 4, function]
    #expect(attribution.held(words, usable: 1048).name == name)
    let alone = [0, 1, 4, function, image.data, image.names, 0, 0]
    #expect(attribution.held(alone, usable: 1048).name == name)
    #expect(attribution.held(words, usable: 1080).name != name)
    #expect(attribution.held([5] + words.dropFirst(), usable: 1048).name != name)
    #expect(attribution.held(words.prefix(6) + [5, function], usable: 1048).name != name)
    #expect(attribution.held([0, 33] + alone.dropFirst(2), usable: 1048).name != name)
  }

  @Test("structures that point to many symbols, each to another, are one type")
  func rareSymbols() {
    let image = ClassImage()
    for (count, isMerged) in [(31, false), (40, true)] {
      let symbols = ManySymbols(image.data..<image.data + 0x4000)
      var attribution = TypeAttribution(image.sources(symbols))
      var chunks: [Chunk] = []
      func add(_ words: [UInt64]) {
        var chunk = Chunk(
          userAddress: RemoteAddress(address + UInt64(chunks.count) * 32), size: 32, usableSize: 24,
          state: .inUse, arena: 0)
        chunk.held = attribution.type(of: chunk, beginning: words.span.bytes)
        chunks.append(chunk)
      }
      for index in 0..<count { add([7, image.data + 0x1000 + UInt64(index * 16), 8]) }
      for _ in 0..<4 { add([7, image.data + 0x800, 8]) }
      attribution.finish(&chunks)
      let names = Set(chunks.map { attribution.types[Int($0.held)].name })
      #expect(names.contains("structure with option2048 at +8"))
      #expect(names.contains("structure with pointers to data of app") == isMerged)
      #expect(names.count == (isMerged ? 2 : count + 1))
    }
  }

  @Test("an object within a structure may have a half-written word before it, but no text")
  func embedded() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var attribution = TypeAttribution(image.sources())
    #expect(attribution.held([0x2_6391_6EC0, 0, foo, 0, 0]).name == "3Foo at +16")
    let text: UInt64 = 0x6261_7A79_7877_7675
    #expect(attribution.held([text, 0, foo, 0, 0]).name != "3Foo at +16")
  }
}
