// Finds out what pointers into binaries mean, each once.

import HeapModel

/// Where what a symbol names is.
struct SymbolOrigin: Hashable {
  /// The number of its binary.
  var binary: Int
  var isFunction: Bool
}

/// What is known of pointers, and how it is found out.
struct PointerMeanings {
  /// Below this, in programs that are not position-independent, addresses are also common numbers.
  private static let ambiguous: UInt64 = 1 << 32
  /// A symbol without a size names at most this many bytes.
  private static let nearFunction: UInt64 = 64 << 10
  private static let nearData: UInt64 = 4096
  /// No more pointers than this are looked at; what comes later means nothing.
  private static let mostPointers = 250_000
  /// No more words than this are remembered, with those that mean nothing.
  private static let mostWords = 2_000_000

  /// Names have at most so many bytes, and all together: a program can have many vtables with one long name.
  private static let longestName = 16 << 10
  private static let mostNameBytes = 32 << 20

  let sources: TypeSources
  let spans: ImageSpans
  var cache: PageCache
  private var vtables = VtableReader()
  private var swift = SwiftMetadataReader()
  /// Which types are objects of C++ classes.
  private(set) var classes = ObjectClasses()
  /// Which types are structures that point to what a symbol names, and do not begin with a table.
  private(set) var symbolTypes: [UInt32: SymbolOrigin] = [:]
  private var table = WordTable()
  private var meanings: [PointerMeaning] = [.nothing]
  private var names: [MeaningName?] = [nil]
  private var nameBytes = 0
  /// How many pointers were not looked at since there is no room for more.
  private(set) var passedOver = 0
  /// For each meaning the numbers of the types that it makes at each place, 0 if not known yet.
  private var numbers = [UInt32](repeating: 0, count: PointerPlace.count)

  init(_ sources: TypeSources) {
    self.sources = sources
    spans = ImageSpans(sources.binaries)
    cache = PageCache(sources.memory, pageSize: sources.pageSize)
  }

  /// The number of the meaning of `word`, which points into a part of a binary.
  @inline(__always)
  mutating func meaning(of word: UInt64) -> Int {
    if let known = table[word] { return Int(known) }
    return find(word)
  }

  /// The number of the meaning of `word` and the type of a chunk that begins with it, each 0 if not known yet.
  @inline(__always)
  func known(_ word: UInt64) -> (number: UInt32, type: UInt32) { table.look(word) }

  /// Notes the type of chunks that begin with `word`.
  mutating func noteObjectType(_ word: UInt64, _ type: UInt32) { table.setType(word, to: type) }

  /// What the meaning with this number says.
  @inline(__always)
  subscript(number: Int) -> PointerMeaning { meanings[number] }

  /// The number of the type of a chunk that has a pointer with meaning `number` at `place`.
  @inline(__always)
  mutating func type(_ number: Int, at place: Int, in types: inout TypeTable) -> UInt32 {
    let known = numbers[number * PointerPlace.count + place]
    return known != 0 ? known : newType(number, at: place, in: &types)
  }

  private mutating func newType(
    _ number: Int, at place: Int, in types: inout TypeTable
  ) -> UInt32 {
    guard let name = names[number] else { return 0 }
    let type = name.type(meanings[number].kind, at: place, in: sources.binaries)
    let result = types.number(of: type)
    numbers[number * PointerPlace.count + place] = result
    if meanings[number].kind == .symbol, place > 0 || !name.isTable {
      symbolTypes[result] = SymbolOrigin(binary: name.binary, isFunction: name.isFunction)
    }
    if type.kind == .cxx, place < PointerPlace.words {
      classes.note(result, meaning: number, place: place)
    }
    return result
  }

  /// The name of the class or the symbol of meaning `number`, and the number of its binary.
  func name(of number: Int) -> MeaningName? { names[number] }

  private var hasRoom: Bool {
    meanings.count < Self.mostPointers && table.count < Self.mostWords
      && nameBytes < Self.mostNameBytes
  }

  /// Finds out what `word` means.
  private mutating func find(_ word: UInt64) -> Int {
    guard let part = spans.part(at: word) else { return 0 }
    guard hasRoom else {
      passedOver += 1
      return 0
    }
    let found = spans.parts[part].isExecutable ? other(word, part) : data(word, part)
    return remember(word, found)
  }

  /// The number of the meaning of `word`, which points to memory that is no binary's, as metadata; 0 if it is
  /// none.
  mutating func allocatedMetadata(at word: UInt64) -> Int {
    if let known = table[word] { return Int(known) }
    guard hasRoom else { return 0 }
    let found = swift.read(at: word, &cache, spans, sources).map { swiftMeaning($0, at: word) }
    return remember(word, found ?? (.nothing, nil))
  }

  /// The type of an error object of meaning `number` whose error has the type with metadata at `type`.
  mutating func errorType(_ number: Int, _ type: UInt64) -> HeldType? {
    guard hasRoom, let name = names[number] else { return nil }
    var reader = SwiftTypeNames(sources.symbols)
    guard let error = reader.name(ofType: type, &cache, spans) else { return nil }
    guard error.utf8.count <= Self.longestName else { return nil }
    nameBytes += 2 * error.utf8.count
    var held = name.type(.swift, at: 0, in: sources.binaries)
    held.name = "Swift error \(error)"
    held.evidence.detail = "error object, metadata of the error names \(error)"
    return held
  }

  private mutating func remember(_ word: UInt64, _ found: (PointerMeaning, MeaningName?)) -> Int {
    guard found.1 != nil || found.0.kind != .nothing else {
      table.set(word, to: 0)
      return 0
    }
    let bytes = found.1.map { $0.name.utf8.count + $0.detail.utf8.count } ?? 0
    nameBytes += bytes
    guard bytes <= Self.longestName else {
      table.set(word, to: 0)
      return 0
    }
    let number = meanings.count
    meanings.append(found.0)
    names.append(found.1)
    numbers += repeatElement(0, count: PointerPlace.count)
    table.set(word, to: UInt32(truncatingIfNeeded: number))
    return number
  }

  // MARK: What it points to

  private mutating func data(_ word: UInt64, _ part: Int) -> (PointerMeaning, MeaningName?) {
    if let vtable = vtables.vtable(at: word, &cache, spans), let found = object(vtable, word, part)
    {
      return found
    }
    if let metadata = swift.read(at: word, &cache, spans, sources) {
      return swiftMeaning(metadata, at: word)
    }
    if spans.parts[part].isWritable, isBin(word) { return (PointerMeaning(kind: .bin), nil) }
    return other(word, part)
  }

  private mutating func object(
    _ vtable: Vtable, _ word: UInt64, _ part: Int
  ) -> (PointerMeaning, MeaningName?)? {
    let binary = spans.parts[part].binary
    let place = place(of: word, in: binary)
    var meaning = PointerMeaning(kind: .vtable, offsetToTop: Int32(vtable.offsetToTop))
    switch vtable.named {
    case .information(let encoded, let text):
      let name = sources.symbols.demangled(encoded) ?? encoded
      // The vtable of a class as a base of another has its virtual bases elsewhere, and is only used
      // while that is made or destroyed.
      if vtable.mayHaveVirtualBase, linkerName(at: word)?.hasPrefix("_ZTC") == true {
        meaning.kind = .constructionVtable
      }
      // A program can have its own copy of a library's vtable, filled in when it was loaded; the class's name
      // stays in the library.
      let owner = spans.part(at: text)
      return (
        meaning,
        MeaningName(
          name: name, kind: .cxx, rule: .rtti,
          binary: owner.map { spans.parts[$0].binary } ?? binary,
          detail: "vtable at \(place), type information \"\(encoded)\"")
      )
    case .none:
      let symbol = sources.symbols.symbol(at: RemoteAddress(word))
      guard let symbol else {
        // Zeros and one pointer to code are too common.
        guard vtable.functions >= 2 else { return nil }
        meaning.kind = .unnamedVtable
        return (
          meaning,
          MeaningName(
            name: "class without type information (\(place))", kind: .cxx, rule: .vtableUnnamed,
            binary: binary, detail: "\(vtable.functions) or more pointers to code at \(place)")
        )
      }
      let isVtable = symbol.linkerName.hasPrefix("_ZTV")
      guard isVtable || symbol.linkerName.hasPrefix("_ZTC") else { return nil }
      if !isVtable { meaning.kind = .constructionVtable }
      return (
        meaning,
        MeaningName(
          name: className(ofVtable: symbol), kind: .cxx, rule: .vtableSymbol, binary: binary,
          detail: "vtable at \(place), symbol \(symbol.linkerName)")
      )
    }
  }

  private func linkerName(at word: UInt64) -> String? {
    sources.symbols.symbol(at: RemoteAddress(word))?.linkerName
  }

  private func className(ofVtable symbol: NamedSymbol) -> String {
    for prefix in ["vtable for ", "construction vtable for "] where symbol.name.hasPrefix(prefix) {
      return String(symbol.name.dropFirst(prefix.count))
    }
    let encoded = String(symbol.linkerName.dropFirst(4))
    return sources.symbols.demangled(encoded) ?? encoded
  }

  private func swiftMeaning(
    _ metadata: SwiftMetadata, at word: UInt64
  ) -> (PointerMeaning, MeaningName?) {
    let part = spans.part(at: word)
    let place = part.map { self.place(of: word, in: spans.parts[$0].binary) }
    return (
      PointerMeaning(
        kind: .swift, instanceSize: metadata.instanceSize, swiftKind: metadata.kind),
      MeaningName(
        name: metadata.name, kind: .swift, rule: .swiftMetadata, binary: metadata.binary ?? -1,
        detail: "metadata at \(place ?? RemoteAddress(word).description), \(metadata.detail)")
    )
  }

  /// A pointer whose target says nothing of itself.
  private mutating func other(_ word: UInt64, _ part: Int) -> (PointerMeaning, MeaningName?) {
    let binary = spans.parts[part].binary
    if let symbol = sources.symbols.symbol(at: RemoteAddress(word)), isNear(symbol, word) {
      guard word >= Self.ambiguous || symbol.start.bits == word else { return (.nothing, nil) }
      // What malloc has left, perhaps with other bytes in it; nothing else points there.
      if symbol.linkerName == "main_arena" {
        return (PointerMeaning(kind: word & 7 == 0 ? .bin : .nothing), nil)
      }
      // What is never written can stand beside code.
      let isFunction =
        symbol.kind == .function || symbol.kind == .other && spans.parts[part].isExecutable
      var name = MeaningName(
        name: symbol.name, kind: .structure, rule: .symbol, binary: binary,
        detail: "pointer to \(symbol.linkerName)")
      name.isFunction = isFunction
      name.isTable = !isFunction && vtables.functionCount(at: word, &cache, spans) > 0
      return (PointerMeaning(kind: .symbol), name)
    }
    guard word >= Self.ambiguous else { return (.nothing, nil) }
    let file = String(sources.binaries[binary].fileName)
    let isLiteral = isLiteral(word, part)
    // Data that is no text is aligned, and what is not is a pointer with other bytes in it.
    guard isLiteral || word & 3 == 0 || spans.parts[part].isExecutable else {
      return (.nothing, nil)
    }
    return (
      PointerMeaning(kind: isLiteral ? .literal : .objectFile),
      MeaningName(
        name: file, kind: .structure, rule: .objectFile, binary: binary,
        detail: "pointers into \(file), no symbol that near")
    )
  }

  private func isNear(_ symbol: NamedSymbol, _ word: UInt64) -> Bool {
    guard symbol.start.bits <= word else { return false }
    let distance = word &- symbol.start.bits
    if symbol.byteCount > 0 { return distance < symbol.byteCount }
    return distance < (symbol.kind == .function ? Self.nearFunction : Self.nearData)
  }

  /// Whether a text of at least 2 characters stands at `word` in memory that is never written.
  private mutating func isLiteral(_ word: UInt64, _ part: Int) -> Bool {
    guard !spans.parts[part].isWritable, let text = cache.text(at: word, limit: 256, in: spans)
    else { return false }
    return text.count >= 2
      && text.allSatisfy { $0 >= 0x20 && $0 != 0x7F || (9...13).contains($0) }
  }

  /// Whether `word` is the address of a bin of an arena, as free chunks have it in their links.
  ///
  /// A bin's list has its two links 16 bytes after its address (glibc 2.17 to 2.44, malloc_state), and links
  /// to itself when it is empty. Most of the 126 are always empty.
  private mutating func isBin(_ word: UInt64) -> Bool {
    guard word & 7 == 0, word > 1 << 16 else { return false }
    var empty = 0
    for index in -8...8 {
      let bin = word &+ UInt64(bitPattern: Int64(index * 16))
      if cache.word(at: bin &+ 16, in: spans) == bin, cache.word(at: bin &+ 24, in: spans) == bin {
        empty += 1
      }
    }
    return empty >= 5
  }

  /// Where in its file's memory `word` points, such as `libfoo.so+0x1234`.
  func place(of word: UInt64, in binary: Int) -> String {
    let file = sources.binaries[binary]
    let first = file.parts.first
    let base = (first?.range.lowerBound.bits ?? 0) &- (first?.fileOffset ?? 0)
    return "\(file.fileName)+\(RemoteAddress(word &- base))"
  }
}
