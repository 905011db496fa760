// A program without one object of a class, but with all that could be taken for one.

import HeapModel
import HeapTypes
import RemoteMemory
import TestKit
import Testing

@Suite struct PrecisionTests {
  @Test("of a million random and old beginnings none is an object of a class that has none")
  func million() {
    var image = ClassImage()
    let information = image.addInformation("3Foo")
    let vtable = image.addVtable(information: information)
    let second = image.addVtable(information: information, offsetToTop: -16)
    let near: [UInt64] = [
      vtable - 16, vtable - 8, vtable + 8, vtable + 16, second - 16, information, information + 8,
      image.describing[0], image.names + 20, ClassImage.code + 0x40, image.data + 0x80,
    ]
    var attribution = TypeAttribution(image.sources())
    var random = SyntheticRandom(seed: 9)
    let count = 1_000_000
    var chunks: [Chunk] = []
    chunks.reserveCapacity(count)
    var words = [UInt64](repeating: 0, count: 8)
    for index in 0..<count {
      let address = 0x5555_6000_0010 + UInt64(index) * 96
      var size: UInt64 = 80
      switch index % 10 {
      case 0...3:
        for word in 0..<8 { words[word] = random.next() }
      case 4:
        for word in 0..<8 { words[word] = near[Int(random.next() % UInt64(near.count))] }
      case 5:
        // Taken from a cache: the link, masked, and the key taken away; the rest is an object's.
        words = [address >> 12 ^ (address + 960), 0, second, 7, 1, 0, 0, 0]
      case 6:
        // From a bin, of an arena that is a thread's.
        words = [0x7FFF_F000_0090, 0x7FFF_F000_0090, second, 7, 1, vtable, 0, 0]
      case 7:
        // Old objects at any place of a block that was filled with something else.
        for word in 0..<8 { words[word] = random.next() }
        words[Int(random.next() % 7) + 1] = random.next() % 2 == 0 ? vtable : second
      case 8:
        for word in 0..<8 { words[word] = random.next() % 3 == 0 ? 0 : random.next() % 1000 }
        words[0] = near[Int(random.next() % UInt64(near.count))]
      default:
        // Memory that was joined to the top, and handed out in other sizes: the first words are old ones.
        size = 48 + random.next() % 3 * 64 + (index % 100 == 9 ? 0 : 16)
        words = index % 100 == 9 ? [vtable, 7, second, 1, 0, 0, 0, 0] : [0, 1, 2, 3, 0, 0, 0, 0]
      }
      var chunk = Chunk(
        userAddress: RemoteAddress(address), size: size, usableSize: size - 8, state: .inUse,
        arena: 0)
      chunk.held = attribution.type(of: chunk, beginning: words.span.bytes)
      chunks.append(chunk)
    }
    attribution.finish(&chunks)
    var objects = 0
    let isFoo = attribution.types.map { $0.kind == .cxx && $0.name.contains("Foo") }
    for chunk in chunks where isFoo[Int(chunk.held)] { objects += 1 }
    #expect(objects == 0)
  }

  @Test("no bytes that a program can have make us trap")
  func anything() {
    var random = SyntheticRandom(seed: 11)
    for round in 0..<60 {
      var image = ClassImage()
      // Everything of the binary is overwritten, with words that point about in it.
      let words = image.relroWords.count
      func word() -> UInt64 {
        switch random.next() % 8 {
        case 0: random.next()
        case 1: UInt64(bitPattern: -Int64(random.next() % 64 * 8))
        case 2: ClassImage.code + random.next() % 0x1000
        case 3: [0, 0, 0x200, 0x301, 0x303, 0x400, 0x500, 0x501][Int(random.next() % 8)]
        case 4: 0x0000_0050_0000_0012 &+ random.next() % 64
        default: image.relro + random.next() % UInt64(words) * 8
        }
      }
      for index in 0..<words where round > 0 {
        let value = word()
        image.setWord(value, at: image.relro + UInt64(index * 8))
      }
      var attribution = TypeAttribution(image.sources())
      var chunks: [Chunk] = []
      for index in 0..<500 {
        let count = Int(random.next() % 9)
        var first = (0..<count).map { _ in word() }
        if count > 1, random.next() % 2 == 0 { first[1] = 3 }
        let usable = random.next() % 4 == 0 ? random.next() : UInt64(count * 8)
        let address = random.next() % 8 == 0 ? random.next() : UInt64(index) * 0x100
        var chunk = Chunk(
          userAddress: RemoteAddress(address), size: usable &+ 8, usableSize: usable, state: .inUse,
          arena: 0)
        chunk.held = first.span.withBytes { attribution.type(of: chunk, beginning: $0) }
        #expect(Int(chunk.held) < attribution.types.count)
        chunks.append(chunk)
      }
      chunks.sort { $0.userAddress < $1.userAddress }
      attribution.finish(&chunks)
    }
  }
}

extension Span<UInt64> {
  /// Calls `body` with the bytes of all words.
  fileprivate func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result { body(bytes) }
}
