// From the beginning of a chunk to what it holds.

package import HeapModel

/// Tells chunk by chunk what is held, and keeps the table of types that this makes.
///
/// Each in-use chunk is shown once to `tell(_:beginnings:distance:)`; when that was done for all of them,
/// `finish(_:)` looks at what one chunk alone does not tell.
package struct TypeAttribution: ~Copyable {
  /// How many bytes of each chunk are looked at.
  package static let beginning = 64

  var meanings: PointerMeanings
  var table = TypeTable()
  var blocks: RuntimeBlocks
  var questions = OpenQuestions()
  var owned = OwnedNames()
  private var swiftErrors = WordTable()
  /// How many more words that point into no binary are followed to see whether they point to metadata.
  private var metadataBudget: Int
  private let contentNumbers: InlineArray<10, UInt32>
  let unwritten: UInt32

  /// The types that were told up to now.
  package var types: [HeldType] { table.types }

  /// What was not looked at for the sake of limits on the work, one sentence each without full stop; complete
  /// once nothing more is asked for.
  package var limits: [String] {
    var limits: [String] = []
    if questions.passedOver > 0 {
      limits.append(
        "\(questions.passedOver) chunks that may be nodes of lists or trees are shown by their contents alone, "
          + "since \(OpenQuestions.most) others were compared with their neighbours")
    }
    if meanings.passedOver > 0 {
      limits.append(
        "\(meanings.passedOver) pointers to binaries were not looked up, since too many different ones were; "
          + "the chunks that hold them are shown by what else they hold")
    }
    if owned.passedOver > 0 {
      limits.append(
        "\(owned.passedOver) buffers have an owner that is not shown, since \(OwnedNames.most) fields have names"
      )
    }
    return limits
  }

  /// Begins with no types.
  package init(_ sources: TypeSources) {
    meanings = PointerMeanings(sources)
    blocks = RuntimeBlocks(sources)
    let hasSwift = sources.binaries.contains { $0.fileName.hasPrefix("libswiftCore.so") }
    metadataBudget = hasSwift ? 200_000 : 2_000
    var numbers = InlineArray<10, UInt32>(repeating: 0)
    for content in Content.allCases {
      numbers[content.rawValue] = table.number(
        of: HeldType(
          name: content.name, kind: .content, binary: nil,
          evidence: TypeEvidence(.content, content.detail)))
    }
    contentNumbers = numbers
    unwritten = table.number(
      of: HeldType(
        name: "not written yet (free-list links)", kind: .content, binary: nil,
        evidence: TypeEvidence(.content, "the first words are links that malloc has left")))
  }

  /// Sets the types of `chunks`, of which the first usable bytes stand in `beginnings`, `distance` bytes from one
  /// to the next: of each 64 bytes, which may reach beyond it.
  package mutating func tell(
    _ chunks: inout MutableSpan<Chunk>, beginnings: RawSpan, distance: Int
  ) {
    for start in stride(from: 0, to: chunks.count, by: KnownTypes.count) {
      let end = min(start + KnownTypes.count, chunks.count)
      // With thousands of classes, what is known of them is not near the processor. Asked for one behind the
      // other, each is waited for; side by side, all of them once.
      var known = KnownTypes(repeating: 0)
      for index in start..<end {
        let word = unsafe beginnings.unsafeLoadUnaligned(
          fromByteOffset: index * distance, as: UInt64.self)
        known[index - start] = meanings.known(word).type
      }
      for index in start..<end {
        let usable = min(Self.beginning, Int(clamping: chunks[index].usableSize))
        let place = index * distance
        let beginning = Beginning(
          beginnings.extracting(place..<place + usable), of: chunks[index])
        let type = known[index - start]
        chunks[index].held = type != 0 && !beginning.repeatsFirst ? type : self.type(beginning)
      }
    }
  }

  /// What is known of the first words of chunks that are looked up together, 0 if nothing.
  private typealias KnownTypes = InlineArray<16, UInt32>

  /// The number of the type of the chunk that begins so.
  private mutating func type(_ beginning: Beginning) -> UInt32 {
    guard beginning.wordCount > 0 else { return contentNumber(beginning) }
    let first = beginning[0]
    if meanings.spans.part(at: first) != nil {
      let known = meanings.known(first)
      if known.type != 0, !beginning.repeatsFirst { return known.type }
      let number = known.number != 0 ? Int(known.number) : meanings.meaning(of: first)
      switch meanings[number].kind {
      case .vtable, .unnamedVtable, .constructionVtable: return object(number, beginning)
      case .swift: return swiftObject(number, beginning)
      default: break
      }
    } else if beginning.isZero, beginning.usableSize < RuntimeBlocks.large {
      return contentNumbers[Content.zeros.rawValue]
    } else if first & 7 == 0, SwiftCounts.arePlausible(beginning[1]), beginning.isPointer(first),
      metadataBudget > 0
    {
      let number = meanings.allocatedMetadata(at: first)
      if number != 0, meanings[number].kind == .swift { return swiftObject(number, beginning) }
      metadataBudget -= 1
    }
    if let block = blocks.type(of: beginning, meanings.spans, &table) { return block }
    if let number = pointerType(beginning) { return number }
    return contentNumber(beginning)
  }

  // MARK: Objects

  /// The type of a chunk whose first word is a pointer to a vtable.
  private mutating func object(_ number: Int, _ beginning: Beginning) -> UInt32 {
    let meaning = meanings[number]
    guard meaning.kind != .constructionVtable, meaning.offsetToTop == 0 else {
      return meanings.type(number, at: PointerPlace.remains.rawValue, in: &table)
    }
    let first = beginning[0]
    var place = 0
    for index in 1..<8 where beginning[index] == first {
      // Of old objects in what is one block now, each still has its chunk's header before it.
      let isOld = index & 1 == 0 && index >= 4 && Self.isHeader(beginning[index - 1])
      place = (isOld ? PointerPlace.remains : PointerPlace.array).rawValue
      break
    }
    let type = meanings.type(number, at: place, in: &table)
    if place == 0 { meanings.noteObjectType(first, type) }
    return type
  }

  /// The type of a chunk whose first word points to Swift metadata.
  private mutating func swiftObject(_ number: Int, _ beginning: Beginning) -> UInt32 {
    let meaning = meanings[number]
    metadataBudget += 100
    guard SwiftCounts.arePlausible(beginning[1]),
      UInt64(meaning.instanceSize) <= beginning.usableSize
    else { return meanings.type(number, at: PointerPlace.remains.rawValue, in: &table) }
    if SwiftCounts.isDeinitialising(beginning[1]) {
      return meanings.type(number, at: PointerPlace.ending.rawValue, in: &table)
    }
    if meaning.swiftKind == .error, beginning[2] != 0 {
      return swiftError(number, beginning[2])
    }
    return meanings.type(number, at: 0, in: &table)
  }

  /// The type of an error of Swift's, whose own type's metadata is at `type`.
  private mutating func swiftError(_ number: Int, _ type: UInt64) -> UInt32 {
    if let known = swiftErrors[type] { return known }
    guard swiftErrors.count < 10_000, let held = meanings.errorType(number, type) else {
      return meanings.type(number, at: 0, in: &table)
    }
    let result = table.number(of: held)
    swiftErrors.set(type, to: result)
    return result
  }

  // MARK: Pointers at other places

  /// The type by a pointer into a binary, or by what malloc has left; nil if there is nothing of the kind.
  private mutating func pointerType(_ beginning: Beginning) -> UInt32? {
    var best = PointerMeaning.Kind.nothing
    var bestNumber = 0
    var bestIndex = 0
    var remains = 0
    if isLastOfCache(beginning) || isThreadBin(beginning) { return unwritten }
    askWhetherLink(beginning)
    var candidates = candidates(beginning)
    while candidates != 0 {
      let index = candidates.trailingZeroBitCount
      candidates &= candidates &- 1
      let word = beginning[index]
      guard meanings.spans.part(at: word) != nil else { continue }
      let number = meanings.meaning(of: word)
      let meaning = meanings[number]
      if index < 2, meaning.kind != .bin, isTorn(word, beside: beginning[1 - index]) { continue }
      if meaning.kind == .vtable {
        if meaning.offsetToTop == 0 {
          if let type = embedded(number, at: index, beginning) { return type }
        }
        remains = number
      } else if meaning.kind == .unnamedVtable, index > 0, index <= 2,
        isArray(at: index, beginning),
        (index + 1..<8).contains(where: { beginning[$0] == word })
      {
        return meanings.type(number, at: PointerPlace.array.rawValue, in: &table)
      } else if meaning.kind > best, meaning.kind != .constructionVtable {
        best = meaning.kind
        bestNumber = number
        bestIndex = index
      }
      if meaning.kind == .bin, index < 2, isLink(beginning[1 - index]) { return unwritten }
    }
    if remains != 0 {
      return meanings.type(remains, at: PointerPlace.remains.rawValue, in: &table)
    }
    guard best > .bin else { return nil }
    // The nodes beside the end of a list, and a tree's root, point to where it is, which can be a variable.
    if best < .unnamedVtable || best == .symbol, bestIndex < 4 {
      questions.askWhetherNode(beginning)
    }
    if best < .unnamedVtable, bestIndex > 1, pointerCount(beginning) * 2 < beginning.wordCount {
      return nil
    }
    if bestIndex > 0, TextRules.content(of: beginning) != nil { return nil }
    return meanings.type(bestNumber, at: bestIndex, in: &table)
  }

  /// The words that could point into a binary, one bit for each.
  @inline(__always)
  private func candidates(_ beginning: Beginning) -> UInt32 {
    var bits: UInt32 = 0
    for index in 0..<8 where meanings.spans.mayHold(beginning[index]) { bits |= 1 << UInt32(index) }
    return bits & (1 << UInt32(beginning.wordCount) &- 1)
  }

  private func pointerCount(_ beginning: Beginning) -> Int {
    (0..<beginning.wordCount).count { index in
      let word = beginning[index]
      return word != 0 && (beginning.isPointer(word) || meanings.spans.part(at: word) != nil)
    }
  }

  /// The type of a chunk that has the pointer of an object of its own at word `index`, not the first: an
  /// array with its count before it, or something that has such an object in it; nil if what stands before
  /// it makes neither likely.
  private mutating func embedded(
    _ number: Int, at index: Int, _ beginning: Beginning
  ) -> UInt32? {
    if index <= 2, isArray(at: index, beginning) {
      return meanings.type(number, at: PointerPlace.array.rawValue, in: &table)
    }
    // An old object still has its chunk's header before it.
    guard index & 1 == 1 || !Self.isHeader(beginning[index - 1]) else { return nil }
    for before in 0..<index {
      // Numbers, addresses, or two numbers of which only one was written: no text, no double.
      guard beginning[before] < 1 << 48 else { return nil }
    }
    return meanings.type(number, at: index, in: &table)
  }

  /// Whether word `index` - 1 is the count of an array of objects of which the first begins at word `index`
  /// (Itanium C++ ABI, 2.7: the count stands right before the first, at +8 where they are aligned to 16).
  private func isArray(at index: Int, _ beginning: Beginning) -> Bool {
    let count = beginning[index - 1]
    guard count > 0, count < 1 << 40, index == 1 || beginning[0] == 0 || count > 1 else {
      return false
    }
    let room = beginning.usableSize &- UInt64(index) &* 8
    guard room < beginning.usableSize, room / 8 >= count else { return false }
    let largest = room / count & ~7
    // The next object, if it is near enough to be seen.
    if count > 1 {
      for next in index + 1..<8 where beginning[next] == beginning[index] {
        return UInt64(next - index) * 8 &* count <= room
      }
    }
    // The objects fill the chunk but for what malloc rounds up to.
    return room &- largest &* count < 32 &+ 8 &* min(count, 4)
  }

  // MARK: What malloc has left

  /// Whether `word` can be the header of a chunk of at most 1 MiB in an arena: a multiple of 16 from 32 on,
  /// with the bits that the chunk before is in use and that the arena is a thread's.
  static func isHeader(_ word: UInt64) -> Bool {
    let size = word & ~5
    return size & 15 == 0 && size >= 32 && size <= 1 << 20
  }

  /// Whether `word` can be a link of a list of free chunks: an address of a chunk or of a bin.
  private mutating func isLink(_ word: UInt64) -> Bool {
    guard word > 1 << 16, word & 7 == 0, word < 1 << 48 else { return false }
    guard meanings.spans.part(at: word) != nil else { return word & 15 == 0 }
    let number = meanings.meaning(of: word)
    return meanings[number].kind == .bin
  }

  /// Whether `word` could be a link of which the first one or two bytes were written over: the link beside it
  /// is still there, and leads to a bin that near.
  private mutating func isTorn(_ word: UInt64, beside link: UInt64) -> Bool {
    guard (word >> 16) &- (link >> 16) &+ 1 <= 2, meanings.spans.part(at: link) != nil else {
      return false
    }
    let number = meanings.meaning(of: link)
    return meanings[number].kind == .bin
  }

  /// Whether the chunk begins as the last of a cache's list does when it is handed out: the link to none,
  /// masked by its own address (glibc from 2.32 on, PROTECT_PTR), and the key taken away.
  private func isLastOfCache(_ beginning: Beginning) -> Bool {
    beginning[0] == beginning.address >> 12 && beginning[1] == 0 && beginning[0] >= 1 << 20
  }

  /// Whether both words are the same bin of an arena of a thread.
  ///
  /// Those arenas stand at the beginning of memory that is aligned to 64 MiB; their bins end before 0x8d0 and
  /// no chunk begins before 0x870 (glibc 2.17 to 2.44: a heap's header has 32 or 48 bytes, then comes the
  /// arena).
  private func isThreadBin(_ beginning: Beginning) -> Bool {
    let word = beginning[0]
    guard word == beginning[1], word & 7 == 0, word >= 1 << 32, word < 1 << 48,
      word & 0x3FF_FFFF >= 0x60, word & 0x3FF_FFFF < 0x8D0
    else { return false }
    return (word ^ beginning.address) >> 26 != 0 || beginning.address & 0x3FF_FFFF >= 0x870
  }

  /// Keeps the chunk for later if its first word is a masked link, perhaps.
  private mutating func askWhetherLink(_ beginning: Beginning) {
    guard beginning[1] == 0 else { return }
    let link = beginning[0] ^ beginning.address >> 12
    guard link & 15 == 0, link != 0, (link ^ beginning.address) >> 36 == 0 else { return }
    questions.add(.link, beginning, link)
  }

  /// The number of the type that the contents alone make.
  private mutating func contentNumber(_ beginning: Beginning) -> UInt32 {
    let content = Content(beginning)
    if content == .pointers || content == .mixed {
      questions.askWhetherNode(beginning)
    }
    return contentNumbers[content.rawValue]
  }
}
