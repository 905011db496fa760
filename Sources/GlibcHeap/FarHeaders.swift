// Headers that lie far from each other, read many at once.

import HeapModel
import RemoteMemory

/// The headers of large chunks behind large chunks, whose places an earlier look has told.
///
/// Reading one place costs a system call, which is 3 to 5 times what reading it among others does
/// (measured: 3 us against 0.7). So the header that is asked for is read with those expected next. What
/// an earlier look has told is only where to read: a header counts if the walk arrives at its place.
struct FarHeaders {
  /// How many are read at once.
  private static let batch = 64

  /// Where such headers were, ascending.
  private let places: [UInt64]
  /// How many words are read of each: the header, the links, and what is wanted of the contents.
  private let wordsEach: Int
  /// The place from which the last batch begins, and what was read there.
  private var first = 0
  private var headers: GatheredWords?
  /// The place that is expected to be asked for next.
  private var expected = 0

  /// Makes a reader of what is at `places`, with the first words of the chunks if it `keepsBeginnings`.
  init(_ places: [UInt64], keepsBeginnings: Bool = false) {
    self.places = places
    wordsEach = keepsBeginnings ? 2 + ChunkBeginnings.byteCount / 8 : 4
  }

  /// Forgets what was read: it is of a moment that has passed.
  mutating func forget() {
    headers = nil
  }

  /// Whether the header at `address` is among those that were read.
  func holds(_ address: UInt64) -> Bool {
    guard let headers, let index = index(of: address) else { return false }
    return index >= first && index < first + headers.count
  }

  /// The header at `address` if an earlier look saw one there, and it lies before `limit` with its
  /// links.
  mutating func words(
    at address: UInt64, limit: UInt64, reader: any MemoryReader
  ) throws(ReadFault) -> HeaderWords? {
    guard let index = index(of: address), limit &- address >= UInt64(8 * wordsEach) else {
      return nil
    }
    expected = index + 1
    if headers == nil || index < first || index >= first + (headers?.count ?? 0) {
      let end = min(places.count, index + Self.batch)
      headers = try reader.gather(
        at: places[index..<end].map(RemoteAddress.init), wordsEach: wordsEach)
      first = index
    }
    guard let headers, let previousSize = headers[index - first, 0],
      let field = headers[index - first, 1], let forward = headers[index - first, 2],
      let backward = headers[index - first, 3]
    else { return nil }
    return HeaderWords(
      previousSize: previousSize, field: field, forward: forward, backward: backward)
  }

  /// The first words of the chunk whose header at `address` was read last, if they were read with it.
  func beginning(at address: UInt64) -> Beginning? {
    guard wordsEach >= 2 + ChunkBeginnings.byteCount / 8, holds(address), let headers,
      let index = index(of: address)
    else { return nil }
    return Beginning((0..<8).map { headers[index - first, 2 + $0] ?? 0 })
  }

  private func index(of address: UInt64) -> Int? {
    if expected < places.count, places[expected] == address { return expected }
    return places.index(of: address, by: { $0 })
  }
}
