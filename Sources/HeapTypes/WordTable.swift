// From the words that were seen to what is known of them.

/// A hash table from words other than 0 to numbers, of which nothing is ever taken out.
///
/// A dictionary takes twice as long, since it can take out and has seeds.
struct WordTable {
  private struct Entry {
    var word: UInt64
    var number: UInt32
    /// The type of chunks that begin with the word, 0 if that alone does not tell.
    var type: UInt32 = 0
  }

  private var entries: [Entry]
  private var mask: Int
  private let factor = UInt64.random(in: 0 ... .max) | 1
  /// 64 less the bits that a place has.
  private var shift: UInt64 = 54
  private(set) var count = 0

  init() {
    entries = Array(repeating: Entry(word: 0, number: 0), count: 1024)
    mask = 1023
  }

  /// Multiplying spreads the words into the highest bits; by what cannot be foreseen, as they are the target's.
  @inline(__always)
  private func start(_ word: UInt64) -> Int {
    Int(truncatingIfNeeded: (word &* factor) &>> shift)
  }

  /// Where `word` stands, or where it would be put.
  @inline(__always)
  private func place(of word: UInt64) -> Int {
    var index = start(word)
    while entries[index].word != word, entries[index].word != 0 { index = (index + 1) & mask }
    return index
  }

  /// The number of `word`, nil if it was never set.
  @inline(__always)
  subscript(word: UInt64) -> UInt32? {
    let entry = entries[place(of: word)]
    return entry.word == 0 ? nil : entry.number
  }

  /// The number of `word`, 0 if it was never set, and the type of chunks that begin with it, 0 if none was set.
  @inline(__always)
  func look(_ word: UInt64) -> (number: UInt32, type: UInt32) {
    let entry = entries[place(of: word)]
    return (entry.number, entry.type)
  }

  /// Sets the type of chunks that begin with `word`, which has a number.
  mutating func setType(_ word: UInt64, to type: UInt32) {
    let index = place(of: word)
    if entries[index].word != 0 { entries[index].type = type }
  }

  /// Sets the number of `word`, which is not 0.
  mutating func set(_ word: UInt64, to number: UInt32) {
    guard word != 0 else { return }
    if (count + 1) * 2 > entries.count { grow() }
    insert(Entry(word: word, number: number))
  }

  /// Adds 1 to the number of `word`, which is not 0, and begins with 1.
  @inline(__always)
  mutating func increment(_ word: UInt64) {
    let index = place(of: word)
    if entries[index].word == 0 { set(word, to: 1) } else { entries[index].number &+= 1 }
  }

  /// Calls `body` with all words and their numbers.
  func forEach(_ body: (UInt64, UInt32) -> Void) {
    for entry in entries where entry.word != 0 { body(entry.word, entry.number) }
  }

  private mutating func insert(_ entry: Entry) {
    let index = place(of: entry.word)
    if entries[index].word == 0 { count += 1 }
    entries[index] = entry
  }

  private mutating func grow() {
    let old = entries
    entries = Array(repeating: Entry(word: 0, number: 0), count: old.count * 2)
    mask = entries.count - 1
    shift -= 1
    count = 0
    for entry in old where entry.word != 0 { insert(entry) }
  }
}
