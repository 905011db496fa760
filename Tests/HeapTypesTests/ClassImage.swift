// A program that does not exist, with vtables, type information, functions and data.

import HeapModel
import HeapTypes
import RemoteMemory

/// The memory of one binary, filled by hand, and whatever else is mapped.
struct ClassImage {
  static let base: UInt64 = 0x5555_5555_0000
  /// Code: nothing is read there.
  static let code = base + 0x1000
  static let codeBytes: UInt64 = 0x10000
  /// Names and other data that is never written.
  let names: UInt64
  /// Vtables and type information.
  let relro: UInt64
  /// Data that is written.
  let data: UInt64

  private(set) var nameBytes: [UInt8]
  private(set) var relroWords: [UInt64]
  private(set) var dataWords: [UInt64]
  private var nextName = 16
  private var nextWord = 16
  /// The first words of the information of a class without bases, with one, and with several.
  private(set) var describing: [UInt64] = []
  /// Memory that is no binary's.
  var heap: [MemoryImage.Piece] = []

  /// Makes a binary with room for about `classes` classes.
  init(classes: Int = 64) {
    let nameSize = (classes * 40 + 0x2000) & ~0xFFF
    let relroSize = (classes * 128 + 0x4000) & ~0xFFF
    names = Self.code + Self.codeBytes
    relro = names + UInt64(nameSize)
    data = relro + UInt64(relroSize)
    nameBytes = [UInt8](repeating: 0, count: nameSize)
    relroWords = [UInt64](repeating: 0, count: relroSize / 8)
    dataWords = [UInt64](repeating: 0, count: 0x4000 / 8)
    let own = [
      "N10__cxxabiv117__class_type_infoE", "N10__cxxabiv120__si_class_type_infoE",
      "N10__cxxabiv121__vmi_class_type_infoE",
    ]
    let texts = own.map { addName($0) }
    // The three have information of the second sort themselves, as they have one base.
    let information = texts.map { text in addWords([0, text, 0]) }
    describing = information.map { addVtable(information: $0) }
    for place in information { setWord(describing[1], at: place) }
  }

  mutating func addName(_ name: String) -> UInt64 {
    let place = names + UInt64(nextName)
    let bytes = Array(name.utf8)
    nameBytes.replaceSubrange(nextName..<nextName + bytes.count, with: bytes)
    nextName += bytes.count + 1
    return place
  }

  mutating func addWords(_ words: [UInt64]) -> UInt64 {
    let place = relro + UInt64(nextWord * 8)
    for (index, word) in words.enumerated() { relroWords[nextWord + index] = word }
    nextWord += words.count
    return place
  }

  mutating func setWord(_ word: UInt64, at address: UInt64) {
    if address >= data {
      dataWords[Int(address - data) / 8] = word
    } else {
      relroWords[Int(address - relro) / 8] = word
    }
  }

  /// The address to which objects point.
  mutating func addVtable(information: UInt64, offsetToTop: Int64 = 0) -> UInt64 {
    addWords([UInt64(bitPattern: offsetToTop), information, Self.code + 0x10, Self.code + 0x20])
      + 16
  }

  /// Type information of a class without bases.
  mutating func addInformation(_ name: String) -> UInt64 {
    addWords([describing[0], addName(name)])
  }

  /// A class without bases, by the pointer that its objects have.
  mutating func addClass(_ name: String) -> UInt64 {
    addVtable(information: addInformation(name))
  }

  var binary: MappedBinary {
    func part(_ start: UInt64, _ end: UInt64, executable: Bool, writable: Bool) -> MappedBinary.Part
    {
      MappedBinary.Part(
        range: AddressRange(RemoteAddress(start), RemoteAddress(end)),
        fileOffset: start - Self.base,
        isExecutable: executable, isWritable: writable)
    }
    return MappedBinary(
      path: "/usr/bin/app",
      parts: [
        part(Self.base, Self.code, executable: false, writable: false),
        part(Self.code, names, executable: true, writable: false),
        part(names, relro, executable: false, writable: false),
        part(relro, data, executable: false, writable: false),
        part(data, data + UInt64(dataWords.count * 8), executable: false, writable: true),
      ])
  }

  var memory: MemoryImage {
    func bytes(_ words: [UInt64]) -> [UInt8] {
      words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
    }
    return MemoryImage(
      [
        .init(address: RemoteAddress(names), bytes: nameBytes),
        .init(address: RemoteAddress(relro), bytes: bytes(relroWords)),
        .init(address: RemoteAddress(data), bytes: bytes(dataWords)),
      ] + heap)
  }

  /// What tells types in it.
  func sources(_ symbols: any SymbolLookup = NoSymbols()) -> TypeSources {
    TypeSources(binaries: [binary], memory: memory, symbols: symbols)
  }
}

extension TypeAttribution {
  /// What a chunk holds whose first words are `words`; it has `usable` bytes, or as many as there are words.
  mutating func held(
    _ words: [UInt64], usable: UInt64? = nil, at address: UInt64 = 0x5555_6000_0010
  ) -> HeldType {
    let usable = usable ?? UInt64(words.count * 8)
    let chunk = Chunk(
      userAddress: RemoteAddress(address), size: (usable + 8 + 15) & ~15, usableSize: usable,
      state: .inUse, arena: 0)
    let number = words.prefix(8).withUnsafeBytesOfAll { type(of: chunk, beginning: $0) }
    return types[Int(number)]
  }
}

extension ArraySlice<UInt64> {
  /// Calls `body` with the bytes of all words.
  func withUnsafeBytesOfAll<Result>(_ body: (RawSpan) -> Result) -> Result {
    let array = Array(self)
    return body(array.span.bytes)
  }
}
