// An arena's own structure as it was read from the target.

import HeapModel
import RemoteMemory

/// The fields of one `malloc_state`, copied at one moment.
struct Arena {
  let address: RemoteAddress
  let layout: ArenaLayout
  private let bytes: CopiedBytes

  /// Makes an arena of `bytes`, which must be as long as its layout.
  init(address: RemoteAddress, layout: ArenaLayout, bytes: [UInt8]) {
    self.address = address
    self.layout = layout
    self.bytes = CopiedBytes(bytes)
  }

  /// Whether every word of it is as in `other`.
  func isSame(as other: Arena) -> Bool { bytes == other.bytes }

  private func word(_ offset: Int) -> UInt64 { bytes.word(at: offset) ?? 0 }

  var isLocked: Bool { bytes.halfWord(at: ArenaLayout.mutex) != 0 }
  var isContiguous: Bool {
    (bytes.halfWord(at: ArenaLayout.flags) ?? 0) & ArenaLayout.nonContiguousFlag == 0
  }
  var top: RemoteAddress { RemoteAddress(word(layout.top)) }
  /// The first chunk of the unsorted bin, nil if there is none: of a chunk that is being cut in two, the
  /// rest, before it has a header.
  var firstUnsorted: UInt64? {
    let first = word(layout.binWords(1))
    return first == 0 || first == pseudoChunk(ofBin: 1).bits || first & 15 != 0 ? nil : first
  }
  var next: RemoteAddress { RemoteAddress(word(layout.next)) }
  var systemBytes: UInt64 { word(layout.systemMemory) }
  var maxSystemBytes: UInt64 { word(layout.maxSystemMemory) }
  var attachedThreads: Int? {
    layout.attachedThreads.map { Int(truncatingIfNeeded: word($0)) }
  }

  /// Whether its mutex and its flags have values that they can have.
  var hasPlausibleHeader: Bool {
    (bytes.halfWord(at: ArenaLayout.mutex) ?? .max) <= 2
      && (bytes.halfWord(at: ArenaLayout.flags) ?? .max) < 8
  }

  /// Whether it has never obtained memory: `top` is null or still the unsorted bin's pseudo-chunk.
  var hasNoMemory: Bool { top.bits == 0 || top == pseudoChunk(ofBin: 1) }

  /// The heads of the fastbins, chunk addresses.
  var fastbinHeads: [UInt64] {
    guard let offset = layout.fastbins else { return [] }
    return (0..<ArenaLayout.fastbinCount).map { word(offset + 8 * $0) }
  }

  /// The address that the list of bin `number` uses for its head.
  func pseudoChunk(ofBin number: Int) -> RemoteAddress {
    RemoteAddress(
      address.bits &+ UInt64(layout.binWords(number)) &- ArenaLayout.pseudoChunkDistance)
  }

  /// Whether bin `number` was never made a list.
  func isZero(bin number: Int) -> Bool {
    word(layout.binWords(number)) == 0
  }

  /// The first and the last chunk of bin `number`, or nil if it is empty.
  ///
  /// Until glibc 2.26 a bin of the main arena is null before its first use.
  func ends(ofBin number: Int) -> (first: UInt64, last: UInt64)? {
    let offset = layout.binWords(number)
    let first = word(offset)
    let last = word(offset + 8)
    let head = pseudoChunk(ofBin: number).bits
    if first == head && last == head || first == 0 && last == 0 { return nil }
    return (first, last)
  }
}

/// The fields of `mp_` that the walk needs.
struct Parameters {
  var mmapCount: Int
  var mmappedBytes: UInt64
  var sbrkBase: UInt64
  var tcacheCount: UInt64
  var hugePageSize: UInt64

  /// Reads them.
  ///
  /// The file cannot tell the shape of 2.17 from that of 2.24; in memory, the place of `sbrk_base`
  /// in the later shape holds 0 in the earlier one (`max_total_mem`, never set).
  ///
  /// - Throws: the reader's faults; unreadable parameters give nil.
  init?(of instance: MallocInstance, reader: any MemoryReader) throws(ReadFault) {
    var layout = instance.parametersLayout
    let size = max(layout.byteCount, ParametersLayout.v217.byteCount)
    guard let read = try reader.bytes(at: instance.parameters, count: size) else { return nil }
    let bytes = CopiedBytes(read)
    if layout == .v224, bytes.word(at: layout.sbrkBase) == 0 { layout = .v217 }
    mmapCount = Int(bytes.halfWord(at: layout.mmapCount) ?? 0)
    mmappedBytes = bytes.word(at: layout.mmappedMemory) ?? 0
    sbrkBase = bytes.word(at: layout.sbrkBase) ?? 0
    tcacheCount = layout.tcacheCount.flatMap { bytes.word(at: $0) } ?? 0
    hugePageSize = layout.hugePageSize.flatMap { bytes.word(at: $0) } ?? 0
  }
}
