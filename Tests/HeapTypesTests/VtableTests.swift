// Objects of C++ classes in memory that the tests build.

import HeapModel
import HeapTypes
import RemoteMemory
import Testing

@Suite struct VtableTests {
  /// Symbols that a test names.
  private final class Named: SymbolLookup {
    var symbols: [NamedSymbol] = []
    func add(_ name: String, _ start: UInt64, _ count: UInt64, _ kind: NamedSymbol.Kind = .data) {
      symbols.append(
        NamedSymbol(
          linkerName: name, name: name, kind: kind, start: RemoteAddress(start), byteCount: count,
          binary: "/usr/bin/app"))
    }
    func symbol(at address: RemoteAddress) -> NamedSymbol? {
      symbols.first { $0.start <= address && address.bits < $0.start.bits + $0.byteCount }
    }
    func demangled(_ name: String) -> String? {
      // Short names as they are encoded: 3Foo.
      guard let first = name.first?.wholeNumberValue, name.count == first + 1 else { return nil }
      return String(name.dropFirst())
    }
    func layout(of name: String, in binary: String) -> TypeLayout? {
      name == "Foo" ? TypeLayout(name: name, byteCount: 24, fields: []) : nil
    }
  }

  @Test("an object is named by the type information before its vtable")
  func typeInformation() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    let starred = image.addClass("*3Bar")
    var attribution = TypeAttribution(image.sources(Named()))
    let held = attribution.held([foo, 1, 2])
    #expect(held.name == "Foo")
    #expect(held.kind == .cxx)
    #expect(held.binary == "/usr/bin/app")
    #expect(held.evidence.rule == .rtti)
    #expect(held.evidence.detail.hasSuffix("type information \"3Foo\""))
    #expect(held.evidence.detail.hasPrefix("vtable at app+0x"))
    #expect(attribution.held([starred, 1, 2]).name == "Bar")
  }

  @Test("pointers beside a vtable's first function, and to type information, are no objects")
  func besideVtable() {
    var image = ClassImage()
    let information = image.addInformation("3Foo")
    let foo = image.addVtable(information: information)
    let single = image.addWords([image.describing[1], image.addName("3Bar"), information])
    let after = image.addWords([image.describing[0], image.addName("3Baz")])
    var attribution = TypeAttribution(image.sources(Named()))
    for word in [
      foo - 16, foo - 8, foo + 8, foo + 16, information, information + 8, single, after,
      image.describing[0] - 16, image.names + 16,
    ] {
      #expect(attribution.held([word, 1, 2]).kind == .structure, "\(RemoteAddress(word))")
    }
  }

  @Test("an array has its count before the first object, or each object its pointer")
  func arrays() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var attribution = TypeAttribution(image.sources(Named()))
    #expect(attribution.held([3, foo, 7, foo, 7, foo, 7]).name == "Foo[]")
    #expect(attribution.held([2, foo, 7, 7, 7, 7, 7, 7], usable: 8 + 2 * 96).name == "Foo[]")
    #expect(attribution.held([0, 2, foo, 7, foo, 7, 0]).name == "Foo[]")
    #expect(attribution.held([foo, 7, foo, 7, foo, 7, 0]).name == "Foo[]")
    // Much more memory than the count's objects have.
    #expect(attribution.held([9, foo, 7, foo, 7, foo, 7], usable: 72).name != "Foo[]")
  }

  @Test("an object within a larger one is told with its place")
  func embedded() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var attribution = TypeAttribution(image.sources(Named()))
    let held = attribution.held([0x5555_6000_1010, 0x5555_6000_2010, foo, 7, 0])
    #expect(held.name == "Foo at +16")
    #expect(held.kind == .cxx)
    // After what no program keeps there it is what an old object has left.
    let left = attribution.held([0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321, foo, 7, 0])
    #expect(left.kind == .content)
  }

  @Test("a second pointer of a class without the first is what an object has left")
  func secondPointer() {
    var image = ClassImage()
    let information = image.addInformation("4Both")
    let first = image.addVtable(information: information)
    let second = image.addVtable(information: information, offsetToTop: -16)
    var attribution = TypeAttribution(image.sources(Named()))
    #expect(attribution.held([first, 1, second, 2, 0]).name == "Both")
    let left = attribution.held([0x5_5557_1234, 0, second, 2, 0])
    #expect(left.name == "remains of Both")
    #expect(left.kind == .content)
    #expect(attribution.held([second, 1, 2]).kind == .content)
  }

  @Test("without type information a symbol names the class, and no symbol leaves it unnamed")
  func noTypeInformation() {
    var image = ClassImage()
    let named = image.addVtable(information: 0)
    let unnamed = image.addVtable(information: 0)
    let table = image.addVtable(information: 0)
    let symbols = Named()
    symbols.add("_ZTV3Foo", named - 16, 32)
    symbols.add("operations", table, 16)
    var attribution = TypeAttribution(image.sources(symbols))
    let held = attribution.held([named, 1, 2])
    #expect(held.name == "Foo")
    #expect(held.evidence.rule == .vtableSymbol)
    let other = attribution.held([unnamed, 1, 2])
    #expect(other.name.hasPrefix("class without type information (app+0x"))
    #expect(other.evidence.rule == .vtableUnnamed)
    let behind = attribution.held([1, unnamed, 2])
    #expect(behind.name == "structure with a table of functions at +8")
    #expect(behind.kind == .structure)
    #expect(attribution.held([table, 1, 2]).name == "ops table operations")
  }

  @Test("a vtable that is used only while an object is made does not make it one")
  func constructionVtable() {
    var image = ClassImage()
    let information = image.addInformation("3Foo")
    _ = image.addWords([16])
    let vtable = image.addVtable(information: information)
    let symbols = Named()
    symbols.add("_ZTC3Bar0_3Foo", vtable - 24, 40)
    var attribution = TypeAttribution(image.sources(symbols))
    #expect(attribution.held([vtable, 1, 2]).kind == .content)
  }

  @Test("type information whose own class is none that describes classes is not believed")
  func otherInformation() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    let fake = image.addWords([foo, image.addName("3Bar")])
    let vtable = image.addVtable(information: fake)
    let itself = image.addWords([0, 0])
    image.setWord(itself, at: itself)
    let looped = image.addVtable(information: itself)
    let unending = image.addInformation(String(repeating: "x", count: 5000))
    let long = image.addVtable(information: unending)
    var attribution = TypeAttribution(image.sources(Named()))
    for word in [vtable, looped, long] {
      #expect(attribution.held([word, 1, 2]).kind == .structure)
    }
  }

  // MARK: Sizes

  private func told(
    _ attribution: inout TypeAttribution, _ chunks: [(size: UInt64, words: [UInt64])]
  ) -> [HeldType] {
    var list: [Chunk] = []
    for (index, chunk) in chunks.enumerated() {
      var made = Chunk(
        userAddress: RemoteAddress(0x5555_6000_0010 + UInt64(index) * 0x1000), size: chunk.size,
        usableSize: chunk.size - 8, state: .inUse, arena: 0)
      made.held = chunk.words.prefix(8).withUnsafeBytesOfAll {
        attribution.type(of: made, beginning: $0)
      }
      list.append(made)
    }
    attribution.finish(&list)
    return list.map { attribution.types[Int($0.held)] }
  }

  @Test("what begins like a class but has another size than its objects is none of them")
  func sizes() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    let object: [UInt64] = [foo, 1, 2]
    var array = [UInt64](repeating: 0, count: 24)
    for index in stride(from: 0, to: 24, by: 3) { array[index] = foo }
    image.heap.append(
      .init(
        address: RemoteAddress(0x5555_6000_0010 + 5 * 0x1000),
        bytes: array.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
      ))
    var attribution = TypeAttribution(image.sources(Named()))
    let held = told(
      &attribution,
      [
        (32, object), (32, object), (48, object), (32, object), (80, [foo, 1, 2, 3, 4]),
        (208, object),
      ])
    #expect(held.map(\.name) == ["Foo", "Foo", "Foo", "Foo", "begins like Foo", "Foo[]"])
    #expect(held[4].kind == .content)
  }

  @Test("if no size has more than half of what begins like a class, nothing is one")
  func noCommonSize() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var attribution = TypeAttribution(image.sources(Named()))
    let held = told(&attribution, [32, 80, 144, 208, 272].map { ($0, [foo, 1, 2]) })
    #expect(held.allSatisfy { $0.name == "begins like Foo" })
  }

  @Test("debug information says what size objects have, if it is asked")
  func layouts() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var sources = image.sources(Named())
    sources.asksLayouts = true
    var attribution = TypeAttribution(sources)
    let held = told(&attribution, [(80, [foo, 1]), (80, [foo, 1]), (32, [foo, 1])])
    #expect(held.map(\.name) == ["begins like Foo", "begins like Foo", "Foo"])
  }

  @Test("old objects one behind the other in one block are no array")
  func oldHeaders() {
    var image = ClassImage()
    let foo = image.addClass("3Foo")
    var attribution = TypeAttribution(image.sources(Named()))
    #expect(attribution.held([foo, 1, 2, 0x21, foo, 1, 2, 0x21]).kind == .content)
  }
}
