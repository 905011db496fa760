// The totals of one moment that are followed over time.

package import HeapModel

/// A quantity of bytes that is followed.
package enum HeapFigure: Int, CaseIterable, Sendable {
  /// Chunks held by the program, mmapped ones included.
  case inUse
  /// Chunks in bins.
  case free
  /// Chunks in tcaches and fastbins.
  case cached
  /// The unused rests of the arenas.
  case top
  /// Chunks with a mapping of their own.
  case mmapped
  /// What malloc has from the kernel: its arenas and its mmapped chunks.
  case heap
  /// Private anonymous memory that the process has mapped and that is not malloc's.
  case outside
  /// In memory, of whatever kind.
  case resident
  /// Anonymous and in memory.
  case anonymous
  /// What is charged to the control group.
  case group
}

/// The totals of one moment.
package struct HeapFigures: Hashable, Sendable {
  /// Chunks held by the program, mmapped ones included.
  package var inUse: Tally
  /// Chunks in bins.
  package var free: Tally
  /// Chunks in tcaches and fastbins.
  package var cached: Tally
  /// Chunks with a mapping of their own.
  package var mmapped: Tally
  /// The unused rests of the arenas, in bytes.
  package var topBytes: UInt64
  /// What malloc has from the kernel, in bytes.
  package var heapBytes: UInt64
  /// Mapped private anonymous memory that is not malloc's, in bytes; nil if it is not known.
  package var outsideBytes: UInt64?
  /// What the kernel says.
  package var memory: ProcessMemory

  /// Takes the totals of a report and what the kernel said at about the same time.
  package init(_ report: HeapReport, _ memory: ProcessMemory) {
    let snapshot = report.snapshot
    inUse = snapshot.inUse
    free = snapshot.free
    cached = snapshot.cached
    mmapped = snapshot.mmapped
    topBytes = snapshot.topBytes
    let heapBytes = snapshot.systemAndMmappedBytes
    self.heapBytes = heapBytes
    outsideBytes = report.mappedDataBytes.map { $0 - min($0, heapBytes) }
    self.memory = memory
  }

  /// One of them in bytes, nil if it is not known.
  package subscript(figure: HeapFigure) -> UInt64? {
    switch figure {
    case .inUse: inUse.bytes
    case .free: free.bytes
    case .cached: cached.bytes
    case .top: topBytes
    case .mmapped: mmapped.bytes
    case .heap: heapBytes
    case .outside: outsideBytes
    case .resident: memory.residentBytes
    case .anonymous: memory.anonymousBytes
    case .group: memory.group?.usedBytes
    }
  }
}
