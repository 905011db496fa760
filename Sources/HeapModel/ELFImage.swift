// What an ELF file says of itself, as plain values: read by `Symbols`, understood by `GlibcHeap`.

/// The parts of an ELF file that decide where its malloc keeps its state.
package struct ELFImage: Sendable {
  /// The machine that the file is for.
  package enum Machine: String, Sendable {
    case amd64
    case arm64

    /// The machine that we run on, nil on any other.
    package static var native: Machine? {
      #if arch(x86_64)
        .amd64
      #elseif arch(arm64)
        .arm64
      #else
        nil
      #endif
    }

    /// The address that a pointer of a program means.
    ///
    /// On aarch64 the processor ignores a pointer's top byte, in which a program can keep a tag of the
    /// memory (glibc 2.33 to 2.43, if told to, keeps one in bits 56 to 59 of what malloc returns).
    package func untagged(_ pointer: UInt64) -> UInt64 {
      switch self {
      case .amd64: pointer
      case .arm64: pointer & (1 << 56 - 1)
      }
    }

    /// Its name in the words of `uname -m`.
    package var name: String {
      switch self {
      case .amd64: "x86-64"
      case .arm64: "aarch64"
      }
    }
  }

  /// A PT_LOAD segment.
  package struct Segment: Hashable, Sendable {
    /// Its ELF virtual address: what relocations and symbols are relative to.
    package var virtualAddress: UInt64
    /// How many bytes the file provides; zeros follow.
    package var fileSize: UInt64
    /// How many bytes it occupies in memory.
    package var memorySize: UInt64
    /// Where its bytes are in the file.
    package var fileOffset: UInt64
    /// Whether the program may write it.
    package var isWritable: Bool

    /// Makes a segment.
    package init(
      virtualAddress: UInt64, fileSize: UInt64, memorySize: UInt64, fileOffset: UInt64,
      isWritable: Bool
    ) {
      self.virtualAddress = virtualAddress
      self.fileSize = fileSize
      self.memorySize = memorySize
      self.fileOffset = fileOffset
      self.isWritable = isWritable
    }
  }

  /// Bytes of a writable segment as the file provides them, or as they were when they were read from
  /// memory.
  package struct InitialBytes: Sendable {
    /// The ELF virtual address of the first byte.
    package var virtualAddress: UInt64
    /// The bytes.
    package var bytes: [UInt8]

    /// Makes a piece.
    package init(virtualAddress: UInt64, bytes: [UInt8]) {
      self.virtualAddress = virtualAddress
      self.bytes = bytes
    }
  }

  /// A word of the file that the loader sets to the load bias plus `target`.
  package struct RelativeRelocation: Hashable, Sendable {
    /// The ELF virtual address of the word.
    package var place: UInt64
    /// The ELF virtual address that it will point to.
    package var target: UInt64

    /// Makes a relocation.
    package init(place: UInt64, target: UInt64) {
      self.place = place
      self.target = target
    }
  }

  /// A word that the loader sets to a variable's distance from the thread pointer
  /// (R_X86_64_TPOFF64, R_AARCH64_TLS_TPREL64).
  package struct ThreadPointerSlot: Hashable, Sendable {
    /// The ELF virtual address of the word.
    package var place: UInt64
    /// The variable's offset within the file's TLS block (symbol value plus addend).
    package var offset: UInt64

    /// Makes a slot.
    package init(place: UInt64, offset: UInt64) {
      self.place = place
      self.offset = offset
    }
  }

  /// The PT_TLS segment: the initial image of each thread's block.
  package struct TLSSegment: Hashable, Sendable {
    /// The block's size in bytes.
    package var memorySize: UInt64
    /// The block's alignment in bytes.
    package var alignment: UInt64

    /// Makes a segment.
    package init(memorySize: UInt64, alignment: UInt64) {
      self.memorySize = memorySize
      self.alignment = alignment
    }
  }

  /// The machine that the file is for.
  package var machine: Machine
  /// Whether it is loaded at the addresses that it states (ET_EXEC), so that its load bias is 0.
  package var isPositionDependent: Bool
  /// Whether it asks for a dynamic loader (PT_INTERP) or has a dynamic section.
  package var isDynamic: Bool
  /// The PT_LOAD segments, ascending.
  package var segments: [Segment]
  /// The bytes of its writable segments.
  package var initialBytes: [InitialBytes]
  /// Its relative relocations, from `.rela.dyn` and DT_RELR, in no particular order.
  package var relativeRelocations: [RelativeRelocation]
  /// Its thread-pointer slots.
  package var threadPointerSlots: [ThreadPointerSlot]
  /// Its TLS segment, if it has one.
  package var tls: TLSSegment?
  /// The build id from its notes, empty if it has none.
  package var buildID: [UInt8]
  /// The version in glibc's banner ("2.36"), nil if the file holds no banner.
  package var glibcBanner: String?
  /// The ELF virtual addresses of the functions and objects that it exports and that were asked for.
  package var exports: [String: UInt64]
  /// Whether it was read from the memory of the process that has loaded it, since the file is gone.
  ///
  /// Then the bytes of writable segments are those of the moment, and so are the targets of relative
  /// relocations from DT_RELR, which may lie anywhere.
  package var isFromMemory: Bool

  /// Makes an image.
  package init(
    machine: Machine, isPositionDependent: Bool, isDynamic: Bool, segments: [Segment],
    initialBytes: [InitialBytes], relativeRelocations: [RelativeRelocation],
    threadPointerSlots: [ThreadPointerSlot], tls: TLSSegment?, buildID: [UInt8],
    glibcBanner: String?, exports: [String: UInt64], isFromMemory: Bool = false
  ) {
    self.machine = machine
    self.isPositionDependent = isPositionDependent
    self.isDynamic = isDynamic
    self.segments = segments
    self.initialBytes = initialBytes
    self.relativeRelocations = relativeRelocations
    self.threadPointerSlots = threadPointerSlots
    self.tls = tls
    self.buildID = buildID
    self.glibcBanner = glibcBanner
    self.exports = exports
    self.isFromMemory = isFromMemory
  }
}
