// The sections of an ELF file: debug files have no other way in.

import CElfutils

extension ElfHandle {
  /// A section as its header states it.
  struct Section {
    var number: Int
    var name: String
    var type: UInt32
    var file: FileRange
    var alignment: UInt64
    /// Where it ends in memory, as an ELF virtual address.
    var addressEnd: UInt64
    var isCompressed: Bool
  }

  /// The most section headers that are looked at: a libc's debug file has about 80, one of an
  /// executable with a section for each function some ten thousand.
  private static var sectionLimit: Int { 1 << 16 }

  /// The first section that `isWanted` accepts.
  func firstSection(where isWanted: (Section) -> Bool) -> Section? {
    var found: Section?
    unsafe forEachSection { _, section in
      if isWanted(section) { found = section }
      return found == nil
    }
    return found
  }

  /// The table of all symbols, which only section headers lead to; nil if the file was stripped
  /// or the table is larger than what is read.
  func symbolTable() throws(SymbolError) -> SymbolTable? {
    guard let (section, linked) = section(ofType: SHT_SYMTAB),
      section.sh_size <= Self.pieceLimit, linked.sh_size <= Self.pieceLimit
    else { return nil }
    return SymbolTable(
      symbols: try bytes(at: FileRange(offset: section.sh_offset, byteCount: section.sh_size)),
      names: try bytes(at: FileRange(offset: linked.sh_offset, byteCount: linked.sh_size)),
      sectionEnds: sectionEnds)
  }

  /// The ELF virtual addresses where sections end, by their numbers.
  var sectionEnds: [UInt64] {
    var ends: [UInt64] = []
    unsafe forEachSection { _, section in
      while ends.count < section.number { ends.append(.max) }
      ends.append(section.addressEnd)
      return true
    }
    return ends
  }

  /// Has libdw find no debugging section but those with one of `names`; returns how many bytes
  /// these have once they are decompressed.
  ///
  /// libdw decompresses every such section when it opens a file, and most of them say nothing of
  /// types. Nothing is written: only this handle's copy of the section headers changes.
  func hideDebugSections(otherThan names: Set<String>) -> UInt64 {
    var total: UInt64 = 0
    unsafe forEachSection { raw, section in
      let isForDebugging = [".debug", ".zdebug", ".gdb", ".gnu_debug", ".gnu.debug"].contains {
        section.name.hasPrefix($0)
      }
      guard isForDebugging else { return true }
      if names.contains(section.name) {
        let (sum, overflow) = total.addingReportingOverflow(expandedSize(of: section))
        total = overflow ? .max : sum
        return !overflow
      }
      var header = GElf_Shdr()
      if unsafe gelf_getshdr(raw, &header) != nil {
        header.sh_type = UInt32(SHT_NOBITS)
        _ = unsafe gelf_update_shdr(raw, &header)
      }
      return true
    }
    return total
  }

  /// How many bytes a section has at most, as it is or once it is decompressed.
  private func expandedSize(of section: Section) -> UInt64 {
    guard section.isCompressed else { return section.file.byteCount }
    // libelf would read all of it to tell what its first bytes do: its kind and, from byte 8 on, the size.
    guard let head = section.file.dropping(0, limit: 24),
      let size = try? bytes(at: head).load(UInt64.self, at: 8)
    else { return .max }
    return max(size, section.file.byteCount)
  }

  /// Calls `body` with each section until it returns false.
  private func forEachSection(_ body: (OpaquePointer, Section) -> Bool) {
    var names = 0
    guard unsafe elf_getshdrstrndx(elf, &names) == 0 else { return }
    var next = unsafe elf_nextscn(elf, nil)
    for _ in 0..<Self.sectionLimit {
      guard let raw = unsafe next else { return }
      var header = GElf_Shdr()
      if unsafe gelf_getshdr(raw, &header) != nil,
        let name = unsafe elf_strptr(elf, names, Int(header.sh_name))
      {
        let section = Section(
          number: min(unsafe elf_ndxscn(raw), Self.sectionLimit),
          name: unsafe String(cString: name), type: header.sh_type,
          file: FileRange(
            offset: header.sh_offset,
            byteCount: header.sh_type == UInt32(SHT_NOBITS) ? 0 : header.sh_size),
          alignment: header.sh_addralign,
          addressEnd: header.sh_addr.addingReportingOverflow(header.sh_size).partialValue,
          isCompressed: header.sh_flags & UInt64(SHF_COMPRESSED) != 0)
        if unsafe !body(raw, section) { return }
      }
      unsafe next = elf_nextscn(elf, raw)
    }
  }
}
