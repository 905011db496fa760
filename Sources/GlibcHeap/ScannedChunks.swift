// What the walk along a segment notes of single chunks.

import HeapModel

/// What stands where a chunk begins: its header, and where it has its list links if it is free.
struct HeaderWords: BitwiseCopyable {
  /// The size of the chunk before it, if that is free.
  var previousSize: UInt64
  /// The size field.
  var field: UInt64
  /// The first two words behind the header.
  var forward: UInt64
  var backward: UInt64
}

/// A chunk that its successor's header calls free.
struct FreeChunk: BitwiseCopyable {
  var address: UInt64
  var size: UInt64
  var forward: UInt64
  var backward: UInt64
}

/// A chunk that its successor's header calls free without knowing its size.
struct UnmatchedChunk: Sendable {
  var address: UInt64
  var size: UInt64
  /// The size that the successor's header states.
  var stated: UInt64

  /// Says so, as of a chunk that is on its way.
  func log(_ log: inout FindingLog) {
    log.add(
      .inTransit, at: address &+ 16,
      "a free chunk of \(size) bytes is followed by a header that says \(stated)")
  }
}

/// A chunk that could be in a fastbin by what its first word holds.
///
/// 16 bytes, since there may be millions: addresses of chunks leave their lowest four bits to others.
struct FastbinCandidate: BitwiseCopyable {
  private let addressAndBin: UInt64
  private let nextAndFlag: UInt64

  /// Makes one of a chunk of a fastbin's size, of which the decoded link leads to `next`, 0 at a list's
  /// end.
  ///
  /// Both addresses must be multiples of 16.
  init(address: UInt64, size: UInt64, next: UInt64, isCounted: Bool) {
    addressAndBin = address | ((size >> 4) &- 2) & 15
    nextAndFlag = next | (isCounted ? 1 : 0)
  }

  var address: UInt64 { addressAndBin & ~15 }
  var size: UInt64 { 32 &+ (addressAndBin & 15) << 4 }
  var next: UInt64 { nextAndFlag & ~15 }
  /// Whether it was counted as cached already.
  var isCounted: Bool { nextAndFlag & 1 != 0 }
}
