// Chunks that look in use but are not the program's: what a walk must recognise as it passes.

import HeapModel

/// Addresses of chunks that are kept in a tcache or hold a tcache structure, in ascending order.
struct Marks: Sendable {
  /// What is known of a marked chunk.
  enum Kind: Hashable, Sendable {
    /// It is in a tcache bin for chunks of these sizes, of the thread with this id.
    case cached(ClosedRange<UInt64>, tid: Int32)
    /// It holds a thread's tcache structure.
    case structure
    /// It is the first of the unsorted bin of an arena that is being changed.
    case unsorted
  }

  private var entries: [(chunk: UInt64, kind: Kind)]
  private var position = 0

  /// Sorts `entries`; of several at one address the first is kept, and the others' number returned
  /// in `duplicates`.
  init(_ entries: [(chunk: UInt64, kind: Kind)], duplicates: inout [UInt64]) {
    let sorted = entries.sorted { $0.chunk < $1.chunk }
    self.entries = []
    self.entries.reserveCapacity(sorted.count)
    for entry in sorted {
      if entry.chunk == self.entries.last?.chunk {
        duplicates.append(entry.chunk)
      } else {
        self.entries.append(entry)
      }
    }
  }

  /// Marks `chunk` unless it is marked already, and makes it the next one; returns whether it did.
  mutating func insert(_ chunk: UInt64, _ kind: Kind) -> Bool {
    seek(to: chunk)
    guard next != chunk else { return false }
    entries.insert((chunk, kind), at: position)
    return true
  }

  /// Takes back the mark of `chunk` if it is of this kind.
  mutating func remove(_ chunk: UInt64, _ kind: Kind) {
    seek(to: chunk)
    if next == chunk, nextKind == kind { entries.remove(at: position) }
  }

  /// The address of the next mark, or the largest address if there is none.
  var next: UInt64 { position < entries.count ? entries[position].chunk : .max }

  /// What the next mark says.
  var nextKind: Kind? { position < entries.count ? entries[position].kind : nil }

  /// Passes the next mark.
  mutating func advance() {
    position += 1
  }

  /// Makes the first mark at or after `address` the next one.
  mutating func seek(to address: UInt64) {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].chunk < address { low = middle + 1 } else { high = middle }
    }
    position = low
  }

  /// Whether a chunk strictly between the two addresses is marked.
  func isAny(after low: UInt64, before high: UInt64) -> Bool {
    var copy = self
    copy.seek(to: low &+ 1)
    return copy.next < high
  }

  /// What is marked at exactly `chunk`.
  func kind(of chunk: UInt64) -> Kind? {
    var copy = self
    copy.seek(to: chunk)
    return copy.next == chunk ? copy.nextKind : nil
  }
}
