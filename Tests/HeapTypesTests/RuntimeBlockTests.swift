// Blocks of runtime libraries, and nodes of containers that point to one another.

import HeapModel
import HeapTypes
import RemoteMemory
import TestKit
import Testing

@Suite struct RuntimeBlockTests {
  @Test("nodes of containers and blocks of the C library are known in a real program")
  func live() throws {
    let live = try LiveObjects(CompiledProgram.path("Types/Nodes.cpp", flags: ["-ldl"]))
    var attribution = TypeAttribution(
      TypeSources(binaries: live.binaries, memory: live.memory, symbols: NoSymbols()))
    #expect(live.objects.count >= 171)
    for (said, told, _) in try live.told(&attribution) {
      #expect(told.name == said, "\(told)")
      #expect(told.kind == .runtime)
      #expect(told.evidence.rule == .structure)
    }
  }

  private func told(
    _ attribution: inout TypeAttribution, _ chunks: [(address: UInt64, words: [UInt64])]
  ) -> [String] {
    var list: [Chunk] = []
    for chunk in chunks {
      let usable = UInt64(chunk.words.count * 8)
      var made = Chunk(
        userAddress: RemoteAddress(chunk.address), size: usable + 8, usableSize: usable,
        state: .inUse, arena: 0)
      made.held = chunk.words.prefix(8).withUnsafeBytesOfAll {
        attribution.type(of: made, beginning: $0)
      }
      list.append(made)
    }
    attribution.finish(&list)
    return list.map { attribution.types[Int($0.held)].name }
  }

  @Test("what only looks like a node of a list is none if nothing points back")
  func noNode() {
    var attribution = TypeAttribution(ClassImage().sources())
    let first: UInt64 = 0x5555_6000_0010
    let names = told(
      &attribution,
      [
        (first, [first + 0x40, first + 0x80, 0]),
        (first + 0x40, [first + 0x80, first + 0x80, 0]),
        (first + 0x80, [first + 0xC0, first + 0xC0, 0]),
      ])
    #expect(names == ["pointers", "pointers", "pointers"])
  }

  @Test("a block that was not written since it was in a cache's list is known by the masked link")
  func notWritten() {
    var attribution = TypeAttribution(ClassImage().sources())
    let first: UInt64 = 0x5555_6000_0010
    let names = told(
      &attribution,
      [
        (first, [first >> 12 ^ (first + 0x40), 0, 7]),
        (first + 0x40, [(first + 0x40) >> 12, 0, 7]),
        // No chunk begins where this leads.
        (first + 0x80, [first >> 12 ^ (first + 0x190), 0, 7]),
        (first + 0xC0, [5, 0, 7]),
      ])
    let name = "not written yet (free-list links)"
    #expect(names == [name, name, "mixed data", "small integers"])
  }

  @Test("a block whose first words are the address of a bin was not written since it was free")
  func bins() {
    var image = ClassImage()
    // Bins link to themselves while they are empty, which most are.
    for bin in 0..<126 where bin != 3 {
      let address = image.data + 0x100 + UInt64(bin * 16)
      image.setWord(address, at: address + 16)
      image.setWord(address, at: address + 24)
    }
    var attribution = TypeAttribution(image.sources())
    let bin = image.data + 0x100 + 0x30
    let name = "not written yet (free-list links)"
    #expect(attribution.held([bin, bin, 7]).name == name)
    #expect(attribution.held([bin, 0x5555_6000_1000, 7]).name == name)
    #expect(attribution.held([0x5555_6000_1000, bin, 7]).name == name)
    #expect(attribution.held([bin, 5, 7]).name != name)
  }

  @Test("a FILE needs its functions, not only its magic number")
  func files() {
    var image = ClassImage()
    let address: UInt64 = 0x5555_6000_0010
    func piece(_ functions: UInt64) -> MemoryImage.Piece {
      var words = [UInt64](repeating: 0, count: 59)
      words[0] = 0xFBAD_2484
      words[27] = functions
      return .init(
        address: RemoteAddress(address),
        bytes: words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
      )
    }
    for (functions, isFile) in [(image.relro + 64, true), (7, false)] {
      image.heap = [piece(functions)]
      var attribution = TypeAttribution(image.sources())
      let held = attribution.held([0xFBAD_2484, 0, 0, 0, 0, 0, 0, 0], usable: 472, at: address)
      #expect((held.name == "stdio FILE") == isFile)
    }
  }

  @Test("an arena of Python's allocator is known by its first pool")
  func pythonArenas() {
    var image = ClassImage()
    let address: UInt64 = 0x5555_6000_0010
    let pool: UInt64 = 0x5555_6000_1000
    let header: [UInt64] = [5, pool + 96, pool, pool, 3 << 32, 4032 << 32 | 304]
    image.heap = [
      .init(
        address: RemoteAddress(pool),
        bytes: header.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        })
    ]
    var attribution = TypeAttribution(image.sources())
    let zeros = [UInt64](repeating: 0, count: 8)
    #expect(attribution.held(zeros, usable: 256 << 10, at: address).name == "pymalloc arena")
    #expect(attribution.held(zeros, usable: 128 << 10, at: address).name == "zeros")
  }
}
