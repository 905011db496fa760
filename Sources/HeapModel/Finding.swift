// What was seen that is not as it should be: part of a result, never a failure.

/// A chunk as a finding names it.
package struct NamedChunk: Hashable, Sendable, CustomStringConvertible {
  /// The pointer that the program holds, or held.
  package var userAddress: RemoteAddress
  /// Its size with header, in bytes.
  package var size: UInt64
  /// What it is.
  package var state: ChunkState
  /// What kind of contents it has, if that shows; never the contents.
  package var holds: String?

  /// Makes one.
  package init(
    userAddress: RemoteAddress, size: UInt64, state: ChunkState, holds: String? = nil
  ) {
    self.userAddress = userAddress
    self.size = size
    self.state = state
    self.holds = holds
  }

  /// Its address with the rest in brackets, to be part of a sentence.
  package var description: String {
    let what =
      switch state {
      case .inUse: "in use"
      case .tcache: "cached in a tcache"
      case .fastbin: "cached in a fastbin"
      case .binned: "free"
      case .top: "top"
      case .internal: "a tcache structure"
      }
    return "\(userAddress) (\(size) bytes, \(what)\(holds.map { ", holds \($0)" } ?? ""))"
  }
}

/// Something in the target that was not certain, not readable or not consistent.
package struct Finding: Hashable, Sendable {
  /// Which rule it is about.
  package enum Kind: String, Sendable, CaseIterable {
    /// A chunk header that cannot be; the walk went on further ahead.
    case chainBreak = "chain_break"
    /// A chunk on its way into or out of a list when the target was stopped.
    case inTransit = "in_transit"
    /// Chunks that moved between two stops, or while a running target was read.
    case moved
    /// A bin, fastbin or tcache list that leads to something that is no chunk of its kind.
    case listDamage = "list_damage"
    /// Memory that should hold chunks could not be read.
    case unreadable = "unreadable"
    /// Memory that holds chunks is swapped out, and was left so.
    case swapped = "swapped"
    /// An arena or heap header that contradicts itself.
    case arenaDamage = "arena_damage"
    /// A thread whose registers could not be read, so that its tcache is unknown.
    case threadUnknown = "thread_unknown"
    /// A thread that did not stop within its deadline, so that its tcache is unknown.
    case threadNotStopped = "thread_not_stopped"
    /// Mmapped chunks whose number or bytes differ from glibc's own count.
    case mmapMismatch = "mmap_mismatch"
    /// A limit on the work for damaged data was reached.
    case limitReached = "limit_reached"
    /// More than one malloc, or one that may not be the program's, is in the process.
    case allocator = "allocator"
    /// Something about the clone whose memory was read that could not be had as it should be.
    case clone = "clone"
    /// Symbols or debug information that do not agree with how the heap was read.
    case layoutDisagreement = "layout_disagreement"
  }

  /// Which rule it is about.
  package var kind: Kind
  /// Where, if it has a place.
  package var address: RemoteAddress?
  /// How many bytes it concerns, 0 if none are lost by it.
  package var bytes: UInt64
  /// One sentence without full stop: what was observed and what was expected.
  package var detail: String
  /// The chunk that was overrun, or used after it was freed, if one is known to have been.
  package var chunk: NamedChunk?

  /// Makes a finding.
  package init(
    _ kind: Kind, at address: RemoteAddress?, bytes: UInt64 = 0, chunk: NamedChunk? = nil,
    _ detail: String
  ) {
    self.chunk = chunk
    self.kind = kind
    self.address = address
    self.bytes = bytes
    self.detail = detail
  }

  /// Whether the result lacks something because of it, so that the run ends with exit code 2.
  package var meansIncomplete: Bool {
    switch kind {
    case .chainBreak, .listDamage, .unreadable, .swapped, .arenaDamage, .threadUnknown,
      .threadNotStopped, .mmapMismatch, .limitReached:
      true
    case .inTransit, .moved, .allocator, .clone, .layoutDisagreement:
      false
    }
  }
}

/// One identity of glibc's own accounting, compared with what was found.
package struct Check: Hashable, Sendable {
  /// The name in the JSON contract, such as `arena 0 system_mem`.
  package var name: String
  /// glibc's own figure.
  package var expected: UInt64
  /// Ours.
  package var found: UInt64
  /// Whether the two agree as documented.
  package var holds: Bool

  /// Makes a check that holds if both figures are equal.
  package init(_ name: String, expected: UInt64, found: UInt64) {
    self.init(name, expected: expected, found: found, holds: expected == found)
  }

  /// Makes a check with a verdict of its own.
  package init(_ name: String, expected: UInt64, found: UInt64, holds: Bool) {
    self.name = name
    self.expected = expected
    self.found = found
    self.holds = holds
  }
}
