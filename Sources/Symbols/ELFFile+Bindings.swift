// Where a file keeps the addresses of functions that others define.

import CElfutils
import HeapModel

extension ELFFile {
  /// Larger tables of symbols or relocations are not looked through: it is not worth the time.
  private static var tableLimit: UInt64 { 8 << 20 }

  /// The ELF virtual addresses of the words into which the loader writes the address of function `name`
  /// (R_X86_64_JUMP_SLOT and GLOB_DAT, and aarch64's): none if the file does not call it.
  ///
  /// - Throws: `SymbolError.malformed` or `.cannotRead`.
  func slots(of name: String) throws(SymbolError) -> [UInt64] {
    guard let symbols = try dynamicSymbolTable(limit: Self.tableLimit) else { return [] }
    let indices = Set(symbols.indices(named: name))
    guard !indices.isEmpty else { return [] }
    var places: [UInt64] = []
    if dynamic?[DT_PLTREL] == UInt64(DT_RELA), let range = try table(DT_JMPREL, size: DT_PLTRELSZ) {
      try collect(indices, in: range, into: &places)
    }
    if let range = try table(DT_RELA, size: DT_RELASZ) {
      try collect(indices, in: range, into: &places)
    }
    return places
  }

  private func collect(
    _ symbols: Set<UInt64>, in range: FileRange, into places: inout [UInt64]
  ) throws(SymbolError) {
    guard range.byteCount <= Self.tableLimit else { return }
    let types: [Int32] =
      switch machine {
      case .amd64: [R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT]
      case .arm64: [R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT]
      }
    let bytes = try handle.bytes(at: range)
    for offset in stride(from: 0, to: bytes.count, by: Self.relocationSize) {
      guard let place = bytes.load(UInt64.self, at: offset),
        let info = bytes.load(UInt64.self, at: offset + 8)
      else { break }
      let type = Int32(bitPattern: UInt32(truncatingIfNeeded: info))
      if types.contains(type), symbols.contains(info >> 32) { places.append(place) }
    }
  }
}
