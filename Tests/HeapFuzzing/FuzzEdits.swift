// What a fuzzed input does to a sound heap.

internal import HeapModel
internal import TestKit

/// A heap that is being changed.
struct FuzzEdits {
  /// Words that have a meaning in a heap, or nearly have.
  private static let words: [UInt64] = [
    0, 1, 2, 4, 8, 16, 17, 32, 33, 0x21 | 4, 0x251, 0x291, 0x301, 0x1001, 0x1002, 0x21001,
    1 << 31, 1 << 32, 1 << 40, 1 << 47, 1 << 56, 1 << 63, .max, .max - 7, .max - 15, .max - 31,
    0x7fff_ffff_ffff_fff1, 0x4141_4141_4141_4141, 0xffff_ffff, 0x400_0000, 0x3ff_ffff, 0xfff,
  ]

  let ground: FuzzGround
  var heap: SyntheticHeap
  /// What reading says of a page that `pageSeed` does not leave in memory.
  var pageSeed: UInt8 = 0
  /// Whether all links are as they were built, so that what follows them may.
  private var isIntact = true

  init(_ ground: FuzzGround) {
    self.ground = ground
    heap = ground.heap
  }

  /// Makes the changes that `input` names, up to its end or to the end of a batch.
  mutating func apply(_ input: inout FuzzBytes) {
    var left = 256
    while !input.isAtEnd, left > 0 {
      left -= 1
      guard apply(one: &input) else { return }
    }
  }

  /// Makes one change; returns false at the end of a batch.
  private mutating func apply(one input: inout FuzzBytes) -> Bool {
    let action = input.byte()
    if action & 15 == 15 { return false }
    let place = place(&input)
    switch action & 15 {
    case 0...4: store(value(&input, at: place), at: place)
    case 5: store(word(at: place) ^ value(&input, at: place), at: place)
    case 6: store(word(at: place) &+ value(&input, at: place), at: place)
    case 7: storePart(value(&input, at: place), of: action, at: place)
    case 8:
      let source = self.place(&input)
      let words = (0...UInt64(action >> 4)).map { word(at: source &+ $0 &* 8) }
      for (index, word) in words.enumerated() { store(word, at: place &+ UInt64(index) &* 8) }
    case 9: storeBytes(input.bytes(1 + Int(action >> 4) * 4), at: place)
    case 10: fill(place, with: input.byte(), count: 1 + input.number(2))
    case 11: losePages(at: place, input.byte())
    case 12, 13: happen(Int(action >> 4), seed: input.byte())
    default: heap.threads.removeLast(min(heap.threads.count, Int(action >> 4)))
    }
    return true
  }

  private func place(_ input: inout FuzzBytes) -> UInt64 {
    let kind = input.byte()
    let index = input.number(2)
    let places = FuzzGround.Place.allCases
    return ground.address(
      places[Int(kind) % places.count], index, word: UInt64(input.byte()))
  }

  private func value(_ input: inout FuzzBytes, at place: UInt64) -> UInt64 {
    let kind = input.byte()
    switch kind & 7 {
    case 0: return input.number(4)
    case 1: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: input.number(4))))
    case 2: return input.number(2) << UInt64(kind >> 3)
    case 3: return input.number(8)
    case 4: return self.place(&input) &+ UInt64(bitPattern: Int64(Int8(bitPattern: kind & 0xf8)))
    case 5: return link(self.place(&input) & ~15, at: place)
    case 6: return word(at: self.place(&input))
    default: return Self.words[Int(kind >> 3)]
    }
  }

  private func link(_ target: UInt64, at place: UInt64) -> UInt64 {
    ground.heap.shape.manglesLinks ? target ^ place >> 12 : target
  }

  private func word(at place: UInt64) -> UInt64 {
    canHold(8, place) ? heap.memory.word(at: place) : 0
  }

  private mutating func store(_ value: UInt64, at place: UInt64) {
    guard canHold(8, place) else { return }
    isIntact = false
    heap.memory.store(value, at: place)
  }

  private func canHold(_ byteCount: UInt64, _ place: UInt64) -> Bool {
    if place & 7 == 0 { return heap.memory.isReadable(place) }
    let (last, overflow) = place.addingReportingOverflow(byteCount - 1)
    return !overflow
      && heap.memory.readableRanges.contains {
        $0.contains(RemoteAddress(place)) && $0.contains(RemoteAddress(last))
      }
  }

  /// Stores a byte, two or four.
  private mutating func storePart(_ value: UInt64, of action: UInt8, at place: UInt64) {
    guard canHold(8, place) else { return }
    isIntact = false
    switch action >> 4 & 3 {
    case 0: heap.memory.store(UInt8(truncatingIfNeeded: value), at: place)
    case 1: heap.memory.store(UInt16(truncatingIfNeeded: value), at: place)
    case 2: heap.memory.store(UInt32(truncatingIfNeeded: value), at: place)
    default: heap.memory.store(UInt8(truncatingIfNeeded: value), at: place &+ 7)
    }
  }

  private mutating func storeBytes(_ bytes: ArraySlice<UInt8>, at place: UInt64) {
    for (index, byte) in bytes.enumerated() where canHold(1, place &+ UInt64(index)) {
      isIntact = false
      heap.memory.store(byte, at: place &+ UInt64(index))
    }
  }

  private mutating func fill(_ place: UInt64, with byte: UInt8, count: UInt64) {
    isIntact = false
    if count > 0xff00 {
      heap.memory.fillEverything(with: byte)
      return
    }
    let word = UInt64(byte) &* 0x0101_0101_0101_0101
    let start = place & ~7
    let ranges = heap.memory.readableRanges
    guard let range = ranges.first(where: { $0.contains(RemoteAddress(start)) }) else { return }
    let words = min(count / 8 + 1, (range.upperBound.bits - start) / 8)
    heap.memory.store(words: [UInt64](repeating: word, count: Int(words)), at: start)
  }

  /// Takes pages away, with their mapping or without.
  private mutating func losePages(at place: UInt64, _ kind: UInt8) {
    isIntact = false
    let page = RemoteAddress(place).alignedDown(to: ground.heap.plan.pageSize)
    let count = UInt64(1 + kind >> 2 & 15)
    let range = AddressRange(page, byteCount: count * ground.heap.plan.pageSize)
    switch kind & 3 {
    case 0: heap.memory.makeUnreadable(range)
    case 1: heap.memory.unmap(range)
    case 2: heap.memory.splitMapping(at: page.bits)
    default: pageSeed = kind
    }
  }

  /// Has something happen to the heap that happens to heaps, if nothing else did before: damage of a
  /// known kind, or a moment in the middle of an operation.
  private mutating func happen(_ what: Int, seed: UInt8) {
    guard isIntact else { return }
    var random = SyntheticRandom(seed: UInt64(seed))
    switch what {
    case 0: _ = heap.splitTop(of: random.index(heap.arenas.count))
    case 1: _ = heap.takeFromSmallBin(using: &random)
    case 2: _ = heap.unlink(using: &random)
    case 3: _ = heap.splitBinned(using: &random)
    case 4: _ = heap.miscountTcache(using: &random)
    case 5: _ = heap.leaveOldTop(using: &random)
    case 6: _ = heap.growHeap(using: &random)
    case 7:
      guard heap.plan.keepsNewestHeapsEmpty else { return }
      _ = heap.trimHeap(using: &random)
      isIntact = false
    case 8: heap.lock(arena: random.index(heap.arenas.count))
    case 9: _ = heap.loseTop(of: random.index(heap.arenas.count))
    case 10: _ = heap.inflateHeap(of: random.index(heap.arenas.count))
    case 11: _ = heap.misleadRing()
    case 12: _ = heap.misleadTcache(using: &random)
    case 13: _ = heap.loopTcache(using: &random)
    case 14: _ = heap.loopFastbin(using: &random)
    default: _ = heap.loopBin(using: &random)
    }
  }
}
