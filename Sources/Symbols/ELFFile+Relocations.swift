// The relocations that show where pointers and thread-local variables are.

import CElfutils
import HeapModel

/// The relocations of a file that the heap's discovery uses.
struct Relocations {
  var relative: [ELFImage.RelativeRelocation] = []
  var slots: [ELFImage.ThreadPointerSlot] = []
}

extension ELFFile {
  /// The size of a relocation with an addend.
  static var relocationSize: Int { 24 }

  /// The relative relocations and thread-pointer slots; compact ones take their targets from
  /// `initialBytes`.
  ///
  /// In memory these lead where the words lead at the moment, which the program can have changed.
  func relocations(
    over initialBytes: [ELFImage.InitialBytes]
  ) throws(SymbolError) -> Relocations {
    var found = Relocations()
    if let range = try table(DT_RELA, size: DT_RELASZ) {
      try collect(range, into: &found)
    }
    // Slots for lazily bound variables could be among the relocations of the PLT.
    if dynamic?[DT_PLTREL] == UInt64(DT_RELA), let range = try table(DT_JMPREL, size: DT_PLTRELSZ) {
      try collect(range, into: &found)
    }
    if let range = try table(DT_RELR, size: DT_RELRSZ) {
      try collectCompact(range, initialBytes, into: &found)
    }
    return found
  }

  /// Reads one table of relocations with addends.
  private func collect(_ range: FileRange, into found: inout Relocations) throws(SymbolError) {
    let (relative, threadPointer): (Int32, Int32) =
      switch machine {
      case .amd64: (R_X86_64_RELATIVE, R_X86_64_TPOFF64)
      case .arm64: (R_AARCH64_RELATIVE, R_AARCH64_TLS_TPREL)
      }
    let bytes = try handle.bytes(at: range)
    for offset in stride(from: 0, to: bytes.count, by: Self.relocationSize) {
      guard let place = bytes.load(UInt64.self, at: offset),
        let info = bytes.load(UInt64.self, at: offset + 8),
        let addend = bytes.load(UInt64.self, at: offset + 16)
      else { break }
      let type = UInt32(truncatingIfNeeded: info)
      if type == UInt32(bitPattern: relative) {
        found.relative.append(ELFImage.RelativeRelocation(place: place, target: addend))
      } else if type == UInt32(bitPattern: threadPointer),
        let value = try ownValue(ofSymbol: info >> 32)
      {
        found.slots.append(ELFImage.ThreadPointerSlot(place: place, offset: value &+ addend))
      }
    }
  }

  /// The value of dynamic symbol number `index` if the file itself defines it: 0 for symbol 0,
  /// which stands for the file's own block; nil for a variable of another file.
  private func ownValue(ofSymbol index: UInt64) throws(SymbolError) -> UInt64? {
    if index == 0 { return 0 }
    guard let address = dynamic?[DT_SYMTAB], let symbols = location(of: address),
      let entry = symbols.dropping(index &* UInt64(Symbol.byteCount), limit: 24)
    else { return nil }
    let symbol = Symbol(try handle.bytes(at: entry), at: 0)
    return symbol?.isDefined == true ? symbol?.value : nil
  }

  /// Reads a DT_RELR table: an even word is a place; an odd word is a map of which of the 63 words
  /// after the last place covered are places, too.
  private func collectCompact(
    _ range: FileRange, _ initialBytes: [ELFImage.InitialBytes], into found: inout Relocations
  ) throws(SymbolError) {
    let bytes = try handle.bytes(at: range)
    var words = WordsOfPieces(initialBytes)
    // More places than words that they could be is no table; without this a small table could
    // expand 63-fold again and again.
    var left = words.count
    var next: UInt64?
    for offset in stride(from: 0, to: bytes.count, by: 8) {
      guard let entry = bytes.load(UInt64.self, at: offset) else { break }
      var places: UInt64
      var first: UInt64
      if entry & 1 == 0 {
        (first, places) = (entry, 1)
        next = entry &+ 8
      } else {
        guard let start = next else {
          throw .malformed(path: path, part: .relocations, value: entry)
        }
        (first, places) = (start, entry >> 1)
        next = start &+ 63 * 8
      }
      while places != 0 {
        let skipped = UInt64(places.trailingZeroBitCount)
        let place = first &+ skipped &* 8
        guard left > 0 else { throw .malformed(path: path, part: .relocations, value: place) }
        left -= 1
        if let target = words.word(at: place) {
          found.relative.append(
            ELFImage.RelativeRelocation(
              place: place, target: loadedPlace?.fileAddress(target) ?? target))
        }
        first = place &+ 8
        places = (places >> skipped) >> 1
      }
    }
  }
}

/// Words of initial bytes by ELF virtual address, remembering the piece of the last one.
private struct WordsOfPieces {
  private let pieces: [ELFImage.InitialBytes]
  private var last = 0

  init(_ pieces: [ELFImage.InitialBytes]) {
    self.pieces = pieces
  }

  /// How many whole words there are.
  var count: Int { pieces.reduce(0) { $0 + $1.bytes.count / 8 } }

  mutating func word(at address: UInt64) -> UInt64? {
    if let word = word(at: address, inPiece: last) { return word }
    for index in pieces.indices where index != last {
      if let word = word(at: address, inPiece: index) {
        last = index
        return word
      }
    }
    return nil
  }

  private func word(at address: UInt64, inPiece index: Int) -> UInt64? {
    guard pieces.indices.contains(index), address >= pieces[index].virtualAddress,
      let offset = Int(exactly: address - pieces[index].virtualAddress)
    else { return nil }
    return FileBytes(bytes: pieces[index].bytes).load(UInt64.self, at: offset)
  }
}
