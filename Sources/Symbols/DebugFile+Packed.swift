// Symbols that a stripped file has packed within it (.gnu_debugdata, as Fedora's programs have).

import CElfutils
import CLzma

extension DebugFile {
  /// The largest packed file; real ones are about a tenth of the file around them.
  private static var packedLimit: UInt64 { 16 << 20 }
  /// The most memory that unpacking may take beside the result; what `xz -9` packs takes 65 MiB.
  private static var workingMemory: UInt64 { 128 << 20 }

  /// The file that is packed within this one; nil if there is none.
  ///
  /// It is not left to libdwfl, which would unpack whatever size it has.
  ///
  /// - Throws: `SymbolError.cannotRead` if it cannot be unpacked, or `.notELF`.
  func packedSymbols() throws(SymbolError) -> ElfHandle? {
    guard let section = handle.firstSection(where: { $0.name == ".gnu_debugdata" }),
      section.file.byteCount > 0
    else { return nil }
    func failure(_ reason: String) -> SymbolError {
      .cannotRead(
        path: "\(handle.path) (.gnu_debugdata)", offset: section.file.offset,
        byteCount: section.file.byteCount, reason: reason)
    }
    guard section.file.byteCount <= Self.packedLimit else { throw failure("it is too large") }
    let packed = try handle.bytes(at: section.file).bytes
    // What it will be is said at its end, which is no more trusted than the rest: it is tried with more.
    var capacity = 1 << 20
    while capacity <= Int(ElfHandle.pieceLimit) {
      let (result, bytes) = Self.unpack(packed, capacity: capacity)
      switch result {
      case LZMA_OK:
        return try ElfHandle.open(bytes, path: "\(handle.path) (.gnu_debugdata)")
      case LZMA_BUF_ERROR:
        capacity *= 4
      default:
        throw failure("liblzma's error \(result.rawValue)")
      }
    }
    throw failure("it is too large")
  }

  private static func unpack(_ packed: [UInt8], capacity: Int) -> (lzma_ret, [UInt8]) {
    var memory = workingMemory
    var start = 0
    var result = LZMA_PROG_ERROR
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      unsafe result = lzma_stream_buffer_decode(
        &memory, 0, nil, packed, &start, packed.count, buffer.baseAddress, &count, capacity)
      if result != LZMA_OK { count = 0 }
    }
    return (result, bytes)
  }
}
