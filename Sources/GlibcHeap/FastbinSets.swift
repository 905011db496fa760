// The chunks of one arena's fastbins, and a place in one of their lists.

import HeapModel
import RemoteMemory

/// The chunks in one arena's fastbins, as all stops together have shown them.
///
/// The lists are stacks: what is taken or put is at their beginning, and what lies deeper stays, until
/// glibc takes whole lists apart. So they are followed once, in as many stops as that takes, and from
/// then on only from where they begin to the first chunk that is known. What a stop has shown is only
/// noted in it, and taken over when the target runs again.
struct FastbinSets {
  /// How many chunks are followed and kept, with which the set is as full as one of 8 MiB may be: 20 MiB
  /// with the lists.
  static let limit = 3 << 18

  /// How a list begins now.
  private struct Beginning {
    var bin: Int
    var fresh: [UInt64]
    /// The chunk after the fresh ones, nil if they are all there is.
    var known: UInt64?
  }

  /// Each list's chunks from the last to the first, so that its beginning is the array's end.
  private var lists = [[UInt64]](repeating: [], count: ArenaLayout.fastbinCount)
  /// The same without their order, each by itself: a chunk may have left one list for another meanwhile.
  private var members = [Set<UInt64>](repeating: [], count: ArenaLayout.fastbinCount)
  private var beginnings: [Beginning] = []
  /// Where they began when they were last followed.
  var heads = [UInt64](repeating: 0, count: ArenaLayout.fastbinCount)
  /// Whether they were too long to be followed to their ends.
  var isCut = false
  /// For each list that led elsewhere than to a chunk of its size or to its end, where that was.
  private(set) var strays = [UInt64?](repeating: nil, count: ArenaLayout.fastbinCount)
  /// How many chunks that were met were found to be in a list.
  var found = 0

  /// How many chunks there are in the lists.
  var count: Int { lists.reduce(0) { $0 + $1.count } }

  /// How many chunks were noted that are still to be taken over.
  var notedCount: Int { beginnings.reduce(0) { $0 + $1.fresh.count } }

  /// Whether `chunk` is in list number `bin`.
  func contains(_ chunk: UInt64, in bin: Int) -> Bool {
    members.indices.contains(bin) && members[bin].contains(chunk)
  }

  /// Whether `chunk` is in the list for chunks of its size.
  func contains(_ chunk: FastbinCandidate) -> Bool {
    contains(chunk.address, in: Int(truncatingIfNeeded: chunk.size >> 4) - 2)
  }

  /// Notes that list number `bin` begins with `fresh` chunks, and that the last of them, or the arena, leads
  /// to `next`; `isCut` says that there are too many to go on.
  mutating func begin(_ bin: Int, with fresh: [UInt64], before next: UInt64, isCut: Bool = false) {
    let isKnown = contains(next, in: bin)
    strays[bin] = next == 0 || isKnown || isCut ? nil : next
    if isCut { self.isCut = true }
    beginnings.append(Beginning(bin: bin, fresh: fresh, known: isKnown ? next : nil))
  }

  /// Forgets the lists that led elsewhere than to their ends, as if they had never been followed.
  mutating func forgetStrays() {
    for bin in lists.indices where strays[bin] != nil {
      lists[bin] = []
      members[bin] = []
      heads[bin] = 0
      strays[bin] = nil
    }
  }

  /// Takes over what was noted: not while the target stands still, if it need not.
  mutating func update() {
    for beginning in beginnings {
      let bin = beginning.bin
      let known = beginning.known.flatMap { lists[bin].lastIndex(of: $0) }
      for gone in lists[bin][((known ?? -1) + 1)...] { members[bin].remove(gone) }
      lists[bin].removeLast(lists[bin].count - ((known ?? -1) + 1))
      members[bin].reserveCapacity(members[bin].count + beginning.fresh.count)
      members[bin].formUnion(beginning.fresh)
      lists[bin].append(contentsOf: beginning.fresh.reversed())
    }
    beginnings.removeAll()
  }
}

/// A place in a list of fastbin chunks, with the page that it is on if it is worth while to read it:
/// neighbours in a list often are neighbours in memory.
struct FastbinCursor {
  /// What is read at once, in bytes.
  static let pageSize: UInt64 = 4096

  /// The list's number.
  let bin: Int
  /// The chunk that comes next.
  private(set) var chunk: UInt64
  /// The chunks before it.
  private(set) var fresh: [UInt64] = []
  private var page: UInt64 = 0
  private var words: ArraySlice<UInt64> = []
  /// A chunk that was met before: a list that comes back to it leads back into itself.
  private var landmark: UInt64 = 0
  /// Whether the chunk is on the page of the one before, or the page before had several of them.
  private var isNearby = false
  private var countOnPage = 0

  /// Begins at the list's first chunk.
  init(bin: Int, head: UInt64) {
    self.bin = bin
    chunk = head
  }

  /// Whether the chunk's page is to be read, not its words alone.
  var wantsPage: Bool { isNearby && isOnOnePage }
  /// From where that is to be read.
  var readAddress: UInt64 { wantsPage ? chunk & ~(Self.pageSize - 1) : chunk &+ 8 }
  /// Whether all that is needed of the chunk is on one page.
  private var isOnOnePage: Bool { chunk & (Self.pageSize - 1) <= Self.pageSize - 24 }
  /// Whether its page is at hand.
  private var isAtHand: Bool {
    page != 0 && isOnOnePage && chunk & ~(Self.pageSize - 1) == page
  }
  /// The chunk's size field and its link.
  var header: (field: UInt64, stored: UInt64)? {
    guard isAtHand else { return nil }
    let index = words.startIndex + Int((chunk &- page) / 8)
    return (words[index + 1], words[index + 2])
  }

  /// Takes the page that the chunk is on.
  mutating func hold(_ words: ArraySlice<UInt64>) {
    page = readAddress
    self.words = words
  }

  /// Drops the page: the target has run.
  mutating func forget() { page = 0 }

  /// Whether nothing more is to be followed from here.
  private(set) var hasEnded = false

  /// Ends it.
  mutating func end() {
    hasEnded = true
    page = 0
    words = []
  }

  /// Goes on to `next`; returns false if the list leads back into itself.
  mutating func advance(to next: UInt64) -> Bool {
    fresh.append(chunk)
    // At each power of two, so that a loop of any length is noticed within three rounds of it.
    if fresh.count & (fresh.count - 1) == 0 { landmark = chunk }
    countOnPage += 1
    let isOnSamePage = chunk / Self.pageSize == next / Self.pageSize
    isNearby = isOnSamePage || countOnPage >= 4
    if !isOnSamePage { countOnPage = 0 }
    chunk = next
    return next != landmark
  }
}

/// Where a list of fastbin chunks begins.
struct FastbinHead: Hashable, Sendable {
  /// The size of its chunks.
  var size: UInt64
  /// The first chunk.
  var chunk: UInt64
}
