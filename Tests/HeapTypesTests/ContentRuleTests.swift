// What contents look like, with data made for each rule and the rates at which one is taken for another.

import HeapModel
import HeapTypes
import TestKit
import Testing

@Suite struct ContentRuleTests {
  /// What a chunk with these bytes holds.
  private func held(_ bytes: [UInt8], _ attribution: inout TypeAttribution) -> String {
    let usable = UInt64((bytes.count + 7) & ~7)
    let chunk = Chunk(
      userAddress: RemoteAddress(0x5555_6000_0010), size: usable + 8, usableSize: usable,
      state: .inUse, arena: 0)
    let first = Array(bytes.prefix(64))
    return attribution.types[Int(attribution.type(of: chunk, beginning: first.span.bytes))].name
  }

  private func held(_ bytes: [UInt8]) -> String {
    var attribution = TypeAttribution(ClassImage().sources())
    return held(bytes, &attribution)
  }

  private func bytes(_ words: [UInt64]) -> [UInt8] {
    words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  }

  private func padded(_ text: [UInt8], to count: Int, with byte: UInt8 = 0) -> [UInt8] {
    text + [UInt8](repeating: byte, count: max(0, count - text.count))
  }

  @Test("text is known to the end, before a zero that ends enough of it, and before zeros")
  func ascii() {
    #expect(held(Array(String(repeating: "A text. ", count: 8).utf8)) == "text (ASCII)")
    #expect(held(padded(Array("name".utf8), to: 24)) == "text (ASCII)")
    #expect(held(padded(Array("a longer name\0".utf8), to: 40, with: 0xEE)) == "text (ASCII)")
    #expect(held(padded(Array("two\tlines\nand more\r\n\0".utf8), to: 64)) == "text (ASCII)")
    #expect(held(padded(Array("short\0".utf8), to: 40, with: 0xEE)) == "mixed data")
    #expect(held(padded(Array("a bell \u{7} in it".utf8), to: 40)) == "mixed data")
  }

  @Test("other text is known by its encoding")
  func otherText() {
    #expect(held(padded(Array("größer als früher".utf8), to: 40)) == "text (UTF-8)")
    #expect(held(Array(String(repeating: "текст ", count: 12).utf8)) == "text (UTF-8)")
    #expect(held(Array(String(repeating: "日本語", count: 12).utf8)) == "text (UTF-8)")
    func utf16(_ text: String) -> [UInt8] {
      text.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    }
    #expect(held(padded(utf16("a name"), to: 40)) == "text (UTF-16)")
    #expect(held(padded(utf16("имя файла"), to: 40)) == "text (UTF-16)")
    #expect(held(utf16(String(repeating: "日本語の文章", count: 6))) == "text (UTF-16)")
  }

  @Test("numbers and addresses are known")
  func numbers() {
    #expect(held([UInt8](repeating: 0, count: 64)) == "zeros")
    #expect(held([]) == "empty")
    #expect(held(bytes([0x5555_6000_1010, 0, 0x7FFF_F7C0_1010])) == "pointers")
    #expect(held(bytes([1, 2, 3, 0, UInt64(bitPattern: -5), 100_000, 0, 0])) == "small integers")
    #expect(held(bytes([0x0000_0003_0000_0002, 0xFFFF_FFFF_0000_0001, 4])) == "small integers")
    #expect(held(bytes([0x0102_0001_0302_0101, 0x0001_0203_0102_0F01, 1])) == "small integers")
    #expect(held(bytes([1.5, 3e8, 0, -2.25].map(\.bitPattern))) == "doubles")
    #expect(held(bytes([0.1, 2.7, 99.9, 1e6, 3e8].map(\.bitPattern))) == "doubles")
    #expect(held(bytes([1, 0x5555_6000_1010, 0x7FFF_FFFF_0000_0000 << 1, 7])) == "mixed data")
  }

  @Test("random bytes are known as such, and are taken for anything else as seldom as stated")
  func random() {
    var generator = SyntheticRandom(seed: 7)
    var attribution = TypeAttribution(ClassImage().sources())
    for (count, rounds, most) in [(64, 60_000, 60), (24, 60_000, 120)] {
      var others: [String: Int] = [:]
      for _ in 0..<rounds {
        let words = (0..<count / 8).map { _ in generator.next() }
        let name = held(bytes(words), &attribution)
        if name != "random or compressed" { others[name, default: 0] += 1 }
      }
      #expect(others.values.reduce(0, +) <= most, "\(others)")
      #expect(!others.keys.contains { $0.hasPrefix("text") || $0 == "pointers" }, "\(others)")
      #expect(others["doubles", default: 0] <= 8, "\(others)")
    }
  }

  @Test("doubles of any mantissa are doubles, and not random")
  func doubles() {
    var generator = SyntheticRandom(seed: 8)
    var attribution = TypeAttribution(ClassImage().sources())
    var wrong = 0
    for _ in 0..<20_000 {
      let words = (0..<8).map { _ in (Double(generator.next() >> 11) / 1e9).bitPattern }
      if held(bytes(words), &attribution) != "doubles" { wrong += 1 }
    }
    #expect(wrong <= 4)
  }
}
