// Blocks of runtime libraries that are known by their own structure.

import HeapModel
import RemoteMemory

/// Recognises blocks of glibc and of Python's allocator.
struct RuntimeBlocks {
  /// What is recognised.
  private enum Block: Int, CaseIterable {
    case file
    case threadVector
    case linkMap
    case threadCache
    case exitFunctions
    case pythonArena

    var name: String {
      switch self {
      case .file: "stdio FILE"
      case .threadVector: "TLS vector (dtv)"
      case .linkMap: "link map of ld.so"
      case .threadCache: "tcache of a thread"
      case .exitFunctions: "exit functions (atexit)"
      case .pythonArena: "pymalloc arena"
      }
    }

    var detail: String {
      switch self {
      case .file: "flags 0xfbad...., functions in the C library at +216"
      case .threadVector: "count, generation, and as many pairs as the block has room for"
      case .linkMap: "points to itself at +40 and to a dynamic section at +16"
      case .threadCache: "counts and list heads of 64 sizes that agree"
      case .exitFunctions: "a count up to 32 and functions of the sorts 1 to 4"
      case .pythonArena: "the block's size and the header of its first pool"
      }
    }
  }

  /// Blocks of at least this size can be arenas of Python's.
  static let large: UInt64 = 256 << 10
  /// So many blocks are looked at in the target's memory for each sort.
  private static let mostLooks = 4096

  private let memory: any MemoryReader
  private var looks = [Int](repeating: 0, count: Block.allCases.count)

  init(_ sources: TypeSources) {
    memory = sources.memory
  }

  /// The number of the type of a chunk that is such a block, nil if it is none.
  @inline(__always)
  mutating func type(
    of beginning: Beginning, _ spans: ImageSpans, _ table: inout TypeTable
  ) -> UInt32? {
    let first = beginning[0]
    // Few chunks pass one of these tests.
    guard
      first & 0xFFFF_0000 == 0xFBAD_0000 || beginning[5] == beginning.address
        || first &- 1 < 1 << 20 && beginning[1] | beginning[3] == 0 && beginning.byteCount == 64
        || beginning.usableSize >= Self.large || beginning.usableSize &- 0x288 <= 0x10
        || beginning.usableSize &- 0x410 <= 0x18
    else { return nil }
    return block(beginning, spans).map { found in
      table.number(
        of: HeldType(
          name: found.name, kind: .runtime, binary: nil,
          evidence: TypeEvidence(.structure, found.detail)))
    }
  }

  private mutating func block(
    _ beginning: Beginning, _ spans: ImageSpans
  ) -> Block? {
    if isFile(beginning, spans) { return .file }
    if isLinkMap(beginning, spans) { return .linkMap }
    if isThreadVector(beginning) { return .threadVector }
    if isThreadCache(beginning) { return .threadCache }
    if isExitList(beginning, spans) { return .exitFunctions }
    return isPythonArena(beginning) ? .pythonArena : nil
  }

  /// Words of the target, nil if it has been asked too often.
  private mutating func words(
    _ block: Block, at address: UInt64, count: Int
  ) -> [UInt64]? {
    looks[block.rawValue] += 1
    guard looks[block.rawValue] <= Self.mostLooks else { return nil }
    return try? memory.words(at: RemoteAddress(address), count: count)
  }

  /// A FILE has its magic number in the upper half of its flags, and after 216 bytes the pointer to
  /// the functions of its sort (struct _IO_FILE_plus in glibc 2.17 to 2.44).
  private mutating func isFile(
    _ beginning: Beginning, _ spans: ImageSpans
  ) -> Bool {
    guard beginning[0] & 0xFFFF_0000 == 0xFBAD_0000, beginning.usableSize >= 224,
      let functions = words(.file, at: beginning.address &+ 216, count: 1)?.first
    else { return false }
    return spans.isData(functions)
  }

  /// A link map begins with the load address, the name, the dynamic section, the next and the previous one,
  /// and then points to itself as the real one (struct link_map in include/link.h of glibc).
  private func isLinkMap(_ beginning: Beginning, _ spans: ImageSpans) -> Bool {
    beginning.byteCount >= 48 && beginning[5] == beginning.address && beginning[5] != 0
      && beginning.usableSize >= 0x300 && spans.isData(beginning[2]) && beginning[1] != 0
      && beginning[2] & 7 == 0
  }

  /// A thread's vector has its length, a zero, the generation, a zero, and then for each module the address
  /// of the thread's block, all ones while there is none, and what to free (dtv_t of glibc from 2.26 on).
  private func isThreadVector(_ beginning: Beginning) -> Bool {
    let length = beginning[0]
    guard length >= 4, length < 1 << 20, beginning.byteCount == 64, beginning[1] == 0,
      beginning[3] == 0, beginning[2] < 1 << 20,
      beginning.usableSize &- (length &+ 2) &* 16 < 32
    else { return false }
    for pair in [4, 6] {
      let block = beginning[pair]
      guard block == 0 || block == .max || beginning.isPointer(block) else { return false }
      let toFree = beginning[pair + 1]
      guard toFree == 0 || beginning.isPointer(toFree) else { return false }
    }
    return beginning[4] != 0
  }

  /// A tcache of glibc 2.30 to 2.41 that no thread has any more: 64 counts of 16 bits and 64 list heads, of
  /// which exactly those with a count are not 0.
  private mutating func isThreadCache(_ beginning: Beginning) -> Bool {
    guard beginning.usableSize &- 0x288 <= 0x10 else { return false }
    for index in 0..<32 where beginning.unit(index) > 127 { return false }
    guard let words = words(.threadCache, at: beginning.address, count: 80) else { return false }
    var held = 0
    for index in 0..<64 {
      let count = words[index / 4] >> UInt64(index % 4 * 16) & 0xFFFF
      let head = words[16 + index]
      guard count <= 127, (count == 0) == (head == 0), head & 15 == 0, head < 1 << 48 else {
        return false
      }
      if head != 0 { held += 1 }
    }
    return held > 0
  }

  /// What exit() calls is kept in blocks of 32: the next block, the count, and for each function its sort, the
  /// function, disguised, its argument and its library's handle (struct exit_function_list in
  /// stdlib/exit.h of glibc).
  private func isExitList(_ beginning: Beginning, _ spans: ImageSpans) -> Bool {
    let next = beginning[0]
    guard beginning.usableSize &- 0x410 <= 0x18, beginning.byteCount == 64,
      next == 0 || next & 7 == 0 && (beginning.isPointer(next) || spans.isData(next)),
      beginning[1] &- 1 < 32, beginning[2] &- 1 < 4, beginning[3] > 1 << 32
    else { return false }
    return beginning[1] == 1 || beginning[6] <= 4 && beginning[7] > 1 << 32
  }

  /// An arena of Python's allocator has 256 KiB or 1 MiB and begins, at a pool's border, with a pool: the count
  /// of its blocks in use, its free list, its neighbours, its arena's number, its size class, and the offsets of
  /// the next and the last unused block (struct pool_header in CPython's obmalloc).
  private mutating func isPythonArena(_ beginning: Beginning) -> Bool {
    for size: UInt64 in [256 << 10, 1 << 20]
    where beginning.usableSize >= size && beginning.usableSize < size + (32 << 10) {
      for pool: UInt64 in [4096, 16384] {
        let (sum, overflow) = beginning.address.addingReportingOverflow(pool &- 1)
        guard !overflow, let header = words(.pythonArena, at: sum & ~(pool &- 1), count: 6) else {
          continue
        }
        let sizeClass = header[4] >> 32
        let block = (sizeClass &+ 1) &* 16
        let next = header[5] & 0xFFFF_FFFF
        let last = header[5] >> 32
        if header[0] & 0xFFFF_FFFF <= pool / 16, header[4] & 0xFFFF_FFFF < 1 << 20,
          sizeClass < 32, last == pool &- block, next >= 48, next <= pool,
          (next &- 48) % block == 0
        {
          return true
        }
      }
    }
    return false
  }
}
