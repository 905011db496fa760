// What the places look like that a bug has written to: kinds of contents, never the contents.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How many bytes of a chunk tell what it holds.
  private static var seenBytes: UInt64 { 64 }
  /// How many bytes behind a chunk's end are looked at for what ran over it.
  private static var overrunBytes: UInt64 { 512 }

  /// The chunk at `address` with the kind of its contents, which is looked at only so often.
  mutating func named(
    _ address: UInt64, size: UInt64, _ state: ChunkState
  ) throws(ReadFault) -> NamedChunk {
    var chunk = NamedChunk(userAddress: RemoteAddress(address &+ 16), size: size, state: state)
    if let kind = marks.kind(of: address), state == .inUse {
      chunk.state = if case .structure = kind { .internal } else { .tcache }
    }
    guard size >= 32, chunk.state == .inUse else { return chunk }
    let count = min(Self.seenBytes, size &- 8) / 8
    if let words = try glimpse(address &+ 16, words: count) { chunk.holds = kind(of: words) }
    return chunk
  }

  /// Reads a few words for the sake of a finding, nil if they cannot be read, or their pages are not in
  /// memory, or that was done often enough.
  private mutating func glimpse(
    _ address: UInt64, words count: UInt64
  ) throws(ReadFault) -> [UInt64]? {
    guard glimpsesLeft > 0 else { return nil }
    glimpsesLeft -= 1
    let (end, overflow) = address.addingReportingOverflow(count &* 8 &- 1)
    guard !overflow, count > 0, isResident(address), isResident(end) else { return nil }
    return try reader.words(at: RemoteAddress(address), count: Int(count))
  }

  private func isResident(_ address: UInt64) -> Bool {
    isTouched(address) && !isSwappedOut(address)
  }

  /// What kind of contents `words` are the beginning of.
  private func kind(of words: [UInt64]) -> String? {
    let bytes = words.flatMap(\.bytesInMemory)
    let text = bytes.prefix(while: \.isText)
    if text.count >= 4, text.count == bytes.count || bytes[text.count] == 0 { return "text" }
    if bytes.allSatisfy({ $0 == 0 }) { return "zeros" }
    if let place = words.first.flatMap(data.place(inFile:)) { return "a pointer to \(place)" }
    let pointers = words.count { isPointer($0) }
    let values = words.count { $0 != 0 }
    return pointers >= 2 && pointers * 2 > values ? "pointers" : nil
  }

  private func isPointer(_ word: UInt64) -> Bool {
    data.range(containing: word) != nil || data.place(inFile: word) != nil
  }

  /// What `word`, which stands where another kind of word should, looks like.
  func look(of word: UInt64) -> String? {
    let bytes = word.bytesInMemory
    let text = bytes.prefix(while: \.isText)
    if text.count >= 3, bytes.dropFirst(text.count).allSatisfy({ $0 == 0 }) { return "text" }
    if word == 0 { return "zero" }
    if let place = data.place(inFile: word) { return "a pointer to \(place)" }
    if data.range(containing: word) != nil { return "a pointer to a heap or stack" }
    if bytes.allSatisfy({ $0 == bytes[0] }) {
      return "one byte, 0x\(String(bytes[0], radix: 16)), over and over"
    }
    return nil
  }

  /// What was written over the size field at `address`, which now is `field`, for the end of a sentence;
  /// empty if nothing shows.
  mutating func look(
    ofSize field: UInt64, at address: UInt64
  ) throws(ReadFault) -> String {
    guard let look = look(of: field) else { return "" }
    guard look == "text" else { return ": it is \(look)" }
    let room = Self.overrunBytes / 8
    var count = field.bytesInMemory.prefix(while: \.isText).count
    // To the page's end: the next one may not be there.
    let words = min(room, (4096 &- ((address &+ 8) & 4095)) / 8)
    if let seen = try glimpse(address &+ 8, words: words) {
      count = seen.flatMap(\.bytesInMemory).prefix(while: \.isText).count
    }
    let isAll = count == Int(words) * 8
    return ": it is text, \(isAll ? "at least " : "")\(count) bytes of it from there on"
  }

  /// The chunk before the pending one, if the walk came from there.
  mutating func chunkBeforePending(
    _ state: SegmentWalk, in segment: Segment
  ) throws(ReadFault) -> NamedChunk? {
    guard glimpsesLeft > 0 else { return nil }
    var address = state.runStart
    if address == scan.chunk {
      guard let before = state.beforeRun else { return nil }
      address = before
    }
    // No more than fit into what is read at once.
    for _ in 0..<WalkBuffers.largestRead / 32 {
      var field = window.word(at: address &+ 8)
      if field == nil {
        var place = address
        guard try moveProbe(to: &place, in: segment) else { return nil }
        field = probe.word(at: address &+ 8)
      }
      guard let size = field.map({ $0 & ~7 }), size >= 32, size <= scan.chunk &- address else {
        return nil
      }
      if address &+ size == scan.chunk { return try named(address, size: size, .inUse) }
      address &+= size
    }
    return nil
  }
}

extension UInt64 {
  /// Its bytes as they lie in memory.
  fileprivate var bytesInMemory: [UInt8] {
    (0..<8 as Range<UInt64>).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
  }
}

extension UInt8 {
  /// Whether it can be a character of a text in ASCII.
  fileprivate var isText: Bool { (0x20...0x7e).contains(self) || (9...13).contains(self) }
}
