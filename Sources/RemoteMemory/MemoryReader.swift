// The one way in which anything above reads the target's memory.

package import HeapModel

/// Why no byte could be read.
package enum ReadFault: Error, Hashable, Sendable {
  /// The address is not mapped, or its page cannot be read, or is swapped out and not to be brought
  /// back.
  case unmapped(RemoteAddress)
  /// The process is gone.
  case targetGone
  /// The kernel refused, with this errno.
  case refused(errno: Int32)
  /// Reading was called off: the user interrupted us.
  case interrupted
}

/// A source of the target's memory: the live process, a core file, or bytes built by a test.
package protocol MemoryReader {
  /// Fills `bytes` from `address` on and returns how many leading bytes it filled.
  ///
  /// It fills less than all only if the next byte cannot be read.
  ///
  /// - Throws: `ReadFault.unmapped` if not even the first byte can be read, and the other faults
  ///   as they are.
  func read(at address: RemoteAddress, into bytes: inout MutableRawSpan) throws(ReadFault) -> Int

  /// Reads `wordsEach` consecutive words from each of `addresses`.
  ///
  /// - Throws: the faults other than `unmapped`: a place that cannot be read is a result.
  func gather(at addresses: [RemoteAddress], wordsEach: Int) throws(ReadFault) -> GatheredWords

  /// What reads on another thread, nil if nothing does.
  var readAhead: (any ReadAhead)? { get }

  /// The states of `count` pages of `pageSize` bytes from `address` on, nil if they cannot be told.
  ///
  /// Who searches through memory asks first: see `PageState` for what reading does.
  func pageStates(from address: RemoteAddress, count: Int, pageSize: UInt64) -> [PageState]?

  /// How many of `count` pages from `address` on are in memory up to the first that is not, and what
  /// that one is; nil if that cannot be told.
  func residentPrefix(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> ResidentPrefix?
}

extension MemoryReader {
  /// None; a reader that can read on another thread replaces this.
  package var readAhead: (any ReadAhead)? { nil }
}

/// Words read from many places at once.
package struct GatheredWords: Hashable, Sendable {
  /// How many words belong to each place.
  package let wordsEach: Int
  /// The words, place by place; zeros where a place could not be read.
  package private(set) var words: [UInt64]
  /// For each place, whether all its words were read.
  package private(set) var isReadable: [Bool]

  /// Makes a result from words laid out place by place.
  package init(wordsEach: Int, words: [UInt64], isReadable: [Bool]) {
    precondition(words.count == wordsEach * isReadable.count, "one group of words for each place")
    self.wordsEach = wordsEach
    self.words = words
    self.isReadable = isReadable
  }

  /// How many places.
  package var count: Int { isReadable.count }

  /// Word number `word` of place number `place`, nil if the place could not be read.
  package subscript(_ place: Int, word: Int) -> UInt64? {
    isReadable[place] ? words[place * wordsEach + word] : nil
  }
}

extension MemoryReader {
  /// Does not know; a reader that can tell replaces this.
  package func pageStates(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> [PageState]? {
    nil
  }

  /// Looks at the pages one by one; a reader that can do better replaces this.
  package func residentPrefix(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> ResidentPrefix? {
    guard let states = pageStates(from: address, count: count, pageSize: pageSize) else {
      return nil
    }
    guard let end = states.firstIndex(where: { $0 != .resident }) else {
      return ResidentPrefix(count: states.count, next: nil)
    }
    return ResidentPrefix(count: end, next: states[end])
  }

  /// Reads place by place; a reader that can do it in one call replaces this.
  package func gather(
    at addresses: [RemoteAddress], wordsEach: Int
  ) throws(ReadFault) -> GatheredWords {
    var words: [UInt64] = []
    words.reserveCapacity(addresses.count * wordsEach)
    var isReadable: [Bool] = []
    isReadable.reserveCapacity(addresses.count)
    for address in addresses {
      let read = try self.words(at: address, count: wordsEach)
      words += read ?? [UInt64](repeating: 0, count: wordsEach)
      isReadable.append(read != nil)
    }
    return GatheredWords(wordsEach: wordsEach, words: words, isReadable: isReadable)
  }

  /// Reads `count` little-endian words, or nil if they cannot all be read.
  ///
  /// - Throws: the faults other than `unmapped`.
  package func words(at address: RemoteAddress, count: Int) throws(ReadFault) -> [UInt64]? {
    guard let bytes = try bytes(at: address, count: count * 8) else { return nil }
    return bytes.littleEndianWords
  }

  /// Reads one little-endian word, or nil if it cannot be read.
  ///
  /// - Throws: the faults other than `unmapped`.
  package func word(at address: RemoteAddress) throws(ReadFault) -> UInt64? {
    try words(at: address, count: 1)?.first
  }

  /// Reads `count` bytes, or nil if they cannot all be read.
  ///
  /// - Throws: the faults other than `unmapped`.
  package func bytes(at address: RemoteAddress, count: Int) throws(ReadFault) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: count)
    var span = buffer.mutableSpan
    var bytes = unsafe span.mutableBytes
    do {
      return try read(at: address, into: &bytes) == count ? buffer : nil
    } catch .unmapped {
      return nil
    }
  }
}

extension [UInt8] {
  /// The bytes as little-endian 64-bit words; a remainder of fewer than 8 bytes is left out.
  package var littleEndianWords: [UInt64] {
    let bytes = unsafe span.bytes
    return (0..<count / 8).map { index in
      unsafe bytes.unsafeLoadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
    }
  }
}
