// An opened ELF file: its header, segments and dynamic section, checked against the file's size.

import CElfutils
package import HeapModel
package import LinuxTarget

/// An opened ELF file of the target.
///
/// Everything is found through program headers, as the loader does: section headers may be absent.
/// Nothing that the file states is trusted beyond the file's size.
package struct ELFFile: ~Copyable {
  let handle: ElfHandle
  /// The machine that the file is for.
  package let machine: ELFImage.Machine
  /// Whether it is loaded at the addresses that it states.
  package let isPositionDependent: Bool
  let programHeaders: [ProgramHeader]
  let dynamic: DynamicSection?
  /// Where it lies in memory, nil if a file is read.
  let loadedPlace: LoadedPlace?
  /// What was opened instead of the file that is mapped, nil if that was.
  package internal(set) var substitute: FileSubstitute?

  /// A program header.
  struct ProgramHeader: Hashable {
    var type: UInt32
    var flags: UInt32
    var file: FileRange
    var virtualAddress: UInt64
    var memorySize: UInt64
    var alignment: UInt64

    init(_ raw: GElf_Phdr) {
      type = raw.p_type
      flags = raw.p_flags
      file = FileRange(offset: raw.p_offset, byteCount: raw.p_filesz)
      virtualAddress = raw.p_vaddr
      memorySize = raw.p_memsz
      alignment = raw.p_align
    }

    func has(_ flag: UInt32) -> Bool { flags & flag != 0 }
  }

  /// The first value of each tag of the dynamic section.
  struct DynamicSection: Hashable {
    var values: [Int64: UInt64]

    subscript(_ tag: Int32) -> UInt64? { values[Int64(tag)] }

    /// The tags of tables whose addresses are used here.
    private static let addresses = [
      DT_RELA, DT_JMPREL, DT_RELR, DT_SYMTAB, DT_STRTAB, DT_GNU_HASH, DT_HASH,
    ]

    /// As in the file, from what glibc's loader has made of it: addresses in the process.
    mutating func undoRelocation(_ place: LoadedPlace) {
      for tag in Self.addresses {
        if let value = self[tag] { values[Int64(tag)] = place.fileAddress(value) }
      }
    }
  }

  /// Opens the ELF file behind `descriptor`; `path` is for messages.
  ///
  /// - Throws: `SymbolError.notELF`, `.unsupported`, `.malformed` or `.cannotRead`.
  package init(_ descriptor: consuming OwnedDescriptor, path: String) throws(SymbolError) {
    try self.init(try ElfHandle.open(descriptor, path: path), loadedAs: nil)
  }

  /// Reads the ELF file of `module` in memory, where `mapped` has its bytes.
  ///
  /// - Throws: the same, and `SymbolError.noLoadBias`.
  init(_ mapped: MappedFile, of module: LoadedModule) throws(SymbolError) {
    try self.init(try ElfHandle.open(mapped), loadedAs: module)
  }

  private init(
    _ handle: consuming ElfHandle, loadedAs module: LoadedModule?
  ) throws(SymbolError) {
    let path = handle.path
    let header = try handle.header()
    let machine = try Self.machine(of: header, path: path)
    let isPositionDependent = Int32(header.e_type) == ET_EXEC
    let programHeaders = try handle.programHeaders().map(ProgramHeader.init)
    for segment in programHeaders where segment.type == UInt32(PT_LOAD) {
      try Self.check(segment, path: path, fileSize: handle.fileSize)
    }
    var dynamic = try Self.dynamicSection(handle, programHeaders)
    var place: LoadedPlace?
    if let module {
      let segments = Self.segments(Self.loads(programHeaders))
      guard let bias = isPositionDependent ? 0 : module.loadBias(of: segments) else {
        throw .noLoadBias(path: path)
      }
      let found = LoadedPlace(
        bias: bias, end: segments.last.map { $0.virtualAddress &+ $0.memorySize } ?? 0)
      dynamic?.undoRelocation(found)
      place = found
    }
    self.dynamic = dynamic
    self.loadedPlace = place
    self.substitute = nil
    self.machine = machine
    self.isPositionDependent = isPositionDependent
    self.programHeaders = programHeaders
    self.handle = handle
  }

  /// The path that the file was opened by.
  package var path: String { handle.path }

  /// The segments that are loaded, ascending.
  var loads: [ProgramHeader] { Self.loads(programHeaders) }

  private static func loads(_ headers: [ProgramHeader]) -> [ProgramHeader] {
    headers.filter { $0.type == UInt32(PT_LOAD) }
      .sorted { $0.virtualAddress < $1.virtualAddress }
  }

  /// The program interpreter that it asks for, nil if it asks for none.
  package var interpreter: String? {
    guard let header = programHeaders.first(where: { $0.type == UInt32(PT_INTERP) }),
      let range = header.file.dropping(0, limit: 4096),
      let bytes = try? handle.bytes(at: range)
    else { return nil }
    return bytes.text(at: 0, limit: 4096).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Whether it asks for neither a loader nor any library, and is none itself.
  var isStaticProgram: Bool {
    interpreter == nil && dynamic?[DT_NEEDED] == nil && dynamic?[DT_SONAME] == nil
  }

  /// Where the file holds the bytes from ELF virtual address `address` to its segment's end.
  func location(of address: UInt64) -> FileRange? {
    for segment in programHeaders
    where segment.type == UInt32(PT_LOAD) && address >= segment.virtualAddress {
      let distance = address - segment.virtualAddress
      if distance < segment.file.byteCount { return segment.file.dropping(distance) }
    }
    return nil
  }

  /// Where the file holds the table whose address and size the dynamic section states under two
  /// tags; nil if it has none.
  func table(_ addressTag: Int32, size sizeTag: Int32) throws(SymbolError) -> FileRange? {
    guard let address = dynamic?[addressTag], let size = dynamic?[sizeTag], size > 0 else {
      return nil
    }
    guard let range = location(of: address) else {
      throw .malformed(path: path, part: .dynamicSection, value: address)
    }
    guard size <= range.byteCount else {
      throw .malformed(path: path, part: .table, value: size)
    }
    return range.dropping(0, limit: size)
  }

  private static func machine(
    of header: GElf_Ehdr, path: String
  ) throws(SymbolError) -> ELFImage.Machine {
    let identification = header.e_ident
    guard Int32(identification.4) == ELFCLASS64 else {
      throw .unsupported(path: path, what: .elfClass(identification.4))
    }
    guard Int32(identification.5) == ELFDATA2LSB else {
      throw .unsupported(path: path, what: .byteOrder(identification.5))
    }
    guard [ET_EXEC, ET_DYN].contains(Int32(header.e_type)) else {
      throw .unsupported(path: path, what: .type(header.e_type))
    }
    switch Int32(header.e_machine) {
    case EM_X86_64: return .amd64
    case EM_AARCH64: return .arm64
    default: throw .unsupported(path: path, what: .machine(header.e_machine))
    }
  }

  /// Refuses a segment that the kernel would not load whole.
  private static func check(
    _ segment: ProgramHeader, path: String, fileSize: UInt64
  ) throws(SymbolError) {
    let (fileEnd, fileOverflow) = segment.file.offset
      .addingReportingOverflow(segment.file.byteCount)
    let (_, memoryOverflow) = segment.virtualAddress.addingReportingOverflow(segment.memorySize)
    guard !fileOverflow, fileEnd <= fileSize else {
      throw .malformed(path: path, part: .segment, value: segment.file.offset)
    }
    guard !memoryOverflow, segment.file.byteCount <= segment.memorySize else {
      throw .malformed(path: path, part: .segment, value: segment.virtualAddress)
    }
  }

  private static func dynamicSection(
    _ handle: borrowing ElfHandle, _ programHeaders: [ProgramHeader]
  ) throws(SymbolError) -> DynamicSection? {
    guard let header = programHeaders.first(where: { $0.type == UInt32(PT_DYNAMIC) }) else {
      return nil
    }
    // Real ones hold about 30 entries of 16 bytes.
    guard header.file.byteCount <= 1 << 20 else {
      throw .malformed(path: handle.path, part: .dynamicSection, value: header.file.byteCount)
    }
    let bytes = try handle.bytes(at: header.file)
    var values: [Int64: UInt64] = [:]
    for offset in stride(from: 0, to: bytes.count, by: 16) {
      guard let tag = bytes.load(Int64.self, at: offset),
        let value = bytes.load(UInt64.self, at: offset + 8), tag != Int64(DT_NULL)
      else { break }
      if values[tag] == nil { values[tag] = value }
    }
    return DynamicSection(values: values)
  }
}
