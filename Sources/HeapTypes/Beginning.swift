// The first bytes of a chunk as words.

import HeapModel

/// Up to 64 bytes from a chunk's beginning on.
struct Beginning {
  /// Its words; zeros after the last byte.
  private(set) var words: InlineArray<8, UInt64>
  /// How many bytes there are.
  let byteCount: Int
  /// Where the chunk's bytes begin.
  let address: UInt64
  /// How many bytes the program may use.
  let usableSize: UInt64

  /// Takes at most 64 of `bytes`.
  @inline(__always)
  init(_ bytes: RawSpan, of chunk: Chunk) {
    address = chunk.userAddress.bits
    usableSize = chunk.usableSize
    if bytes.byteCount >= 64 {
      byteCount = 64
      words = unsafe bytes.unsafeLoadUnaligned(as: InlineArray<8, UInt64>.self)
      return
    }
    byteCount = bytes.byteCount
    words = InlineArray(repeating: 0)
    let whole = byteCount >> 3
    for index in 0..<whole {
      words[index] = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
    }
    for offset in whole * 8..<byteCount {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
      words[whole] |= UInt64(byte) << UInt64((offset & 7) * 8)
    }
  }

  /// How many whole words there are.
  @inline(__always)
  var wordCount: Int { byteCount >> 3 }

  /// Word number `index`, 0 after the last.
  @inline(__always)
  subscript(index: Int) -> UInt64 { words.span[index] }

  /// The whole words; zeros after the last.
  @inline(__always)
  var vector: SIMD8<UInt64> {
    var all = SIMD8(
      words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
    if byteCount & 7 != 0 { all[wordCount] = 0 }
    return all
  }

  /// The whole words, each at the place of the next one; a zero in front.
  @inline(__always)
  var vectorBefore: SIMD8<UInt64> {
    SIMD8(0, words[0], words[1], words[2], words[3], words[4], words[5], words[6])
  }

  /// Whether all bytes are zero.
  @inline(__always)
  var isZero: Bool {
    words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7] == 0
  }

  /// Whether one of the words after the first is the same as the first.
  @inline(__always)
  var repeatsFirst: Bool {
    let first = words[0]
    return words[1] == first || words[2] == first || words[3] == first || words[4] == first
      || words[5] == first || words[6] == first || words[7] == first
  }

  /// Byte number `index`.
  @inline(__always)
  func byte(_ index: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: words.span[index >> 3] >> UInt64((index & 7) * 8))
  }

  /// The 16-bit number `index`.
  @inline(__always)
  func unit(_ index: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: words.span[index >> 2] >> UInt64((index & 3) * 16))
  }

  /// Whether `word` could point to memory that the program has allocated or mapped: within 4 GiB of
  /// the chunk itself, or between 1 TiB and the end of what 48 bits address.
  @inline(__always)
  func isPointer(_ word: UInt64) -> Bool {
    let distance = word > address ? word &- address : address &- word
    return distance < 1 << 32 && word >= 1 << 16 || word &- (1 << 40) < (1 << 48) - (1 << 40)
  }
}
