// A thread's tcache structure, and what stays known of it from one stop to the next.

import HeapModel
import RemoteMemory

/// One thread's tcache structure as it was read.
struct Tcache {
  var tid: Int32
  /// Where its structure lies, as the user pointer of its chunk.
  var address: UInt64
  /// The size of that chunk.
  var chunkSize: UInt64
  var layout: TcacheLayout
  /// For each bin, how many chunks its counter says and the user address of the first, or 0.
  var bins: [(count: Int, head: UInt64)]

  /// Reads it from the structure's bytes.
  init(
    tid: Int32, address: UInt64, chunkSize: UInt64, layout: TcacheLayout, bytes: CopiedBytes,
    fill: UInt64
  ) {
    self.tid = tid
    self.address = address
    self.chunkSize = chunkSize
    self.layout = layout
    bins = (0..<layout.binCount).map { index in
      let counter =
        layout.counterWidth == 1
        ? Int(bytes.byte(at: index) ?? 0) : Int(bytes.quarterWord(at: 2 * index) ?? 0)
      let count =
        layout.countsFreeSlots ? max(0, Int(truncatingIfNeeded: fill & 0xffff) - counter) : counter
      return (count, bytes.word(at: layout.heads + 8 * index) ?? 0)
    }
  }

  /// Reads it from the words of its chunk, of which the first two are the header; nil if it does not look
  /// like a tcache.
  init?(
    tid: Int32, chunk words: ArraySlice<UInt64>, at address: UInt64, layout: TcacheLayout,
    fill: UInt64
  ) {
    guard let field = words.dropFirst().first, layout.isHeader(field) else { return nil }
    self.init(
      tid: tid, address: address, chunkSize: field & ~7, layout: layout,
      bytes: CopiedBytes(words.dropFirst(2).flatMap(\.littleEndianBytes)), fill: fill)
    guard isConsistent else { return nil }
  }

  /// Whether it looks like a tcache: most heads are null or could point to chunks, and all but a few
  /// counters are zero exactly where the head is null (one may be in transit, some damaged).
  var isConsistent: Bool {
    var disagreements = 0
    var pointers = 0
    var others = 0
    for (count, head) in bins {
      if (count == 0) != (head == 0) { disagreements += 1 }
      if head == 0 { continue }
      if head & 15 == 0, head < 1 << 56 { pointers += 1 } else { others += 1 }
    }
    return disagreements <= 2 && others <= max(2, pointers)
  }
}

/// The thread caches as the stop before has shown them, so that the next one need not look for them.
///
/// As long as all of it is as it was, the cached chunks are, too, but for a list that was changed and
/// changed back so that it begins and counts as before. Of single lists that would happen all the time.
struct KnownCaches {
  /// The threads' ids.
  var threads: [Int32] = []
  /// What to add to a thread pointer to get to the pointer to the thread's structure.
  var distance: UInt64 = 0
  /// How all structures are laid out.
  var layout = TcacheLayout.words
  /// The pointers to the structures.
  var pointers: GatheredWords?
  /// The structures' chunks.
  var contents: GatheredWords?
  /// The word that glibc writes into every cached chunk, if there are too many to follow their lists in
  /// every stop; else 0.
  ///
  /// By it, a block that came out of the cache of a thread that has ended, and that the program has not
  /// written to since, looks cached.
  var key: UInt64 = 0
}

extension UInt64 {
  /// Its bytes, the lowest first.
  fileprivate var littleEndianBytes: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: self >> (8 * UInt64($0))) }
  }
}
