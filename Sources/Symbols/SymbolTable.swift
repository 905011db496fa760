// Symbol tables as values: what a symbol is, and searching a whole table by name.

import CElfutils

/// One entry of a symbol table.
struct Symbol: Hashable {
  /// The size of an entry.
  static let byteCount = 24

  var nameOffset: UInt32
  var type: UInt8
  var binding: UInt8
  var section: UInt16
  var value: UInt64
  /// How many bytes it names.
  var size: UInt64

  /// Reads the entry at byte `offset`; nil if it does not lie inside.
  init?(_ bytes: FileBytes, at offset: Int) {
    guard let nameOffset = bytes.load(UInt32.self, at: offset),
      let info = bytes.load(UInt8.self, at: offset + 4),
      let section = bytes.load(UInt16.self, at: offset + 6),
      let value = bytes.load(UInt64.self, at: offset + 8),
      let size = bytes.load(UInt64.self, at: offset + 16)
    else { return nil }
    self.nameOffset = nameOffset
    self.type = info & 15
    self.binding = info >> 4
    self.section = section
    self.value = value
    self.size = size
  }

  /// Whether the file itself holds what the symbol names.
  ///
  /// An undefined function may still have a value: the address of a stub in the executable.
  var isDefined: Bool { section != UInt16(SHN_UNDEF) }

  /// Whether its value is an address of code or data: not a thread-local offset, not a section.
  var isAddress: Bool {
    isDefined && section != UInt16(SHN_ABS) && value != 0
      && [STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_GNU_IFUNC].contains(Int32(type))
  }
}

/// The hash of a name that DT_GNU_HASH tables are built on: times 33, from 5381.
func gnuHash(_ name: some Sequence<UInt8>) -> UInt32 {
  name.reduce(5381) { $0 &* 33 &+ UInt32($1) }
}

extension Collection<UInt8> {
  /// A linker's name without the version that is put behind it (`malloc@@GLIBC_2.2.5`).
  var unversioned: SubSequence {
    self[..<(dropFirst().firstIndex(of: UInt8(ascii: "@")) ?? endIndex)]
  }
}

/// A symbol table and its names, copied out of a file.
struct SymbolTable {
  /// Names longer than this match nothing: without a bound, every symbol of a hostile file could
  /// name the same megabytes.
  static let nameLimit = 256

  var symbols: FileBytes
  var names: FileBytes
  /// The ELF virtual addresses where sections end, by their numbers; empty if that is not known.
  var sectionEnds: [UInt64] = []

  /// How many whole symbols it holds.
  var count: Int { symbols.count / Symbol.byteCount }

  /// The ELF virtual address where section `number` ends, or the highest one if that is not known.
  func end(ofSection number: UInt16) -> UInt64 {
    sectionEnds.indices.contains(Int(number)) ? sectionEnds[Int(number)] : .max
  }

  /// The addresses of those of `wanted` that the table defines.
  func definitions(of wanted: [String]) -> [String: UInt64] {
    let wantedByHash = Dictionary(grouping: wanted) { gnuHash($0.utf8) }
    var found: [String: UInt64] = [:]
    for index in 0..<count {
      guard let (symbol, name) = definition(index), let candidates = wantedByHash[gnuHash(name)]
      else { continue }
      for candidate in candidates where name.elementsEqual(candidate.utf8) {
        if found[candidate] == nil { found[candidate] = symbol.value }
      }
    }
    return found
  }

  /// The places of the symbols called `name`, defined or not.
  func indices(named name: String) -> [UInt64] {
    (0..<count).filter { index in
      guard let symbol = Symbol(symbols, at: index * Symbol.byteCount),
        let bytes = names.text(at: Int(symbol.nameOffset), limit: name.utf8.count + 1)
      else { return false }
      return bytes.elementsEqual(name.utf8)
    }.map { UInt64($0) }
  }

  /// The first defined name that `isWanted` accepts.
  func firstName(where isWanted: (String) -> Bool) -> String? {
    for index in 0..<count {
      guard let (_, bytes) = definition(index) else { continue }
      let name = String(decoding: bytes, as: UTF8.self)
      if isWanted(name) { return name }
    }
    return nil
  }

  private func definition(_ index: Int) -> (symbol: Symbol, name: ArraySlice<UInt8>)? {
    guard let symbol = Symbol(symbols, at: index * Symbol.byteCount), symbol.isAddress,
      let name = names.text(at: Int(symbol.nameOffset), limit: Self.nameLimit + 1)
    else { return nil }
    return (symbol, name)
  }
}
