// The one owner of a libelf handle: everything that is asked of libelf is asked here.

import CElfutils
import Glibc
import LinuxTarget

/// An ELF file opened with libelf.
///
/// The file is read, not mapped: one that is truncated meanwhile gives an error, not SIGBUS. Of a file in
/// a process's memory libelf has its headers alone. A handle belongs to one thread.
@safe struct ElfHandle: ~Copyable {
  /// The largest piece that is read at once: a bound for sizes that the file states, as a sparse
  /// file can state terabytes.
  static let pieceLimit: UInt64 = 64 << 20
  /// The largest piece of which libelf may keep a copy, too.
  private static let copiedLimit = 256 << 10
  /// The most program headers that are read; linkers make about 15.
  static let programHeaderLimit = 256

  /// Where bytes come from.
  private enum Source: ~Copyable {
    case file(OwnedDescriptor)
    case memory(MappedFile, HeaderBytes)
    case copy(HeaderBytes)
  }

  let elf: OpaquePointer
  private let source: Source
  let path: String
  let fileSize: UInt64

  private init(elf: OpaquePointer, source: consuming Source, path: String, size: UInt64) {
    unsafe self.elf = elf
    self.source = source
    self.path = path
    self.fileSize = size
  }

  deinit {
    _ = unsafe elf_end(elf)
  }

  /// Opens the ELF file behind `descriptor`; `path` is for messages.
  static func open(
    _ descriptor: consuming OwnedDescriptor, path: String
  ) throws(SymbolError) -> ElfHandle {
    let size: UInt64
    switch descriptor.status() {
    case .success(let status):
      size = status.byteCount
    case .failure(let error):
      throw .noWayToFile(
        name: path, attempts: [OpenAttempt(path: path, outcome: .refused(errno: error.number))])
    }
    try checkSectionCount(path: path, fileSize: size) { descriptor.read(at: $0, into: &$1) }
    _ = elf_version(UInt32(EV_CURRENT))
    guard let elf = unsafe elf_begin(descriptor.number, ELF_C_READ, nil) else {
      throw .notELF(path: path)
    }
    let handle = unsafe ElfHandle(elf: elf, source: .file(descriptor), path: path, size: size)
    guard unsafe elf_kind(handle.elf) == ELF_K_ELF else { throw .notELF(path: path) }
    return handle
  }

  /// Opens the ELF file that `mapped` is.
  static func open(_ mapped: MappedFile) throws(SymbolError) -> ElfHandle {
    let headers = try HeaderBytes.read(from: mapped)
    _ = elf_version(UInt32(EV_CURRENT))
    guard let elf = unsafe elf_memory(headers.start, headers.count) else {
      throw .notELF(path: mapped.path)
    }
    let handle = unsafe ElfHandle(
      elf: elf, source: .memory(mapped, headers), path: mapped.path, size: mapped.byteCount)
    guard unsafe elf_kind(handle.elf) == ELF_K_ELF else { throw .notELF(path: mapped.path) }
    return handle
  }

  /// Opens the ELF file that `bytes` are; `path` is for messages.
  static func open(_ bytes: [UInt8], path: String) throws(SymbolError) -> ElfHandle {
    let size = UInt64(bytes.count)
    try checkSectionCount(path: path, fileSize: size) { offset, buffer in
      guard offset <= size, size - offset >= UInt64(buffer.count) else { return 0 }
      let start = Int(offset)
      buffer = Array(bytes[start..<start + buffer.count])
      return buffer.count
    }
    let copy = HeaderBytes(bytes)
    _ = elf_version(UInt32(EV_CURRENT))
    guard let elf = unsafe elf_memory(copy.start, copy.count) else { throw .notELF(path: path) }
    let handle = unsafe ElfHandle(elf: elf, source: .copy(copy), path: path, size: size)
    guard unsafe elf_kind(handle.elf) == ELF_K_ELF else { throw .notELF(path: path) }
    return handle
  }

  /// Refuses a file whose header asks for more section headers than it can hold.
  ///
  /// When the header's own 16-bit count is 0, section header 0 holds a wider one, from which
  /// libelf sizes a table before anything bounds it.
  private static func checkSectionCount(
    path: String, fileSize: UInt64, _ read: (_ offset: UInt64, _ bytes: inout [UInt8]) -> Int
  ) throws(SymbolError) {
    var head = [UInt8](repeating: 0, count: 64)
    guard read(0, &head) == head.count,
      head.starts(with: [0x7f, 0x45, 0x4c, 0x46])
    else { throw .notELF(path: path) }
    let header = FileBytes(bytes: head)
    guard header.load(UInt16.self, at: 60) == 0, let table = header.load(UInt64.self, at: 40),
      table != 0
    else { return }
    var first = [UInt8](repeating: 0, count: 64)
    guard read(table, &first) == first.count,
      let count = FileBytes(bytes: first).load(UInt64.self, at: 32)
    else { return }
    guard count <= fileSize / 64 else {
      throw .malformed(path: path, part: .sectionHeaders, value: count)
    }
  }

  /// The file header.
  func header() throws(SymbolError) -> GElf_Ehdr {
    var header = GElf_Ehdr()
    guard unsafe gelf_getehdr(elf, &header) != nil else { throw .notELF(path: path) }
    return header
  }

  /// The program headers.
  func programHeaders() throws(SymbolError) -> [GElf_Phdr] {
    var count = 0
    guard unsafe elf_getphdrnum(elf, &count) == 0, count <= Self.programHeaderLimit else {
      throw .malformed(path: path, part: .programHeaders, value: UInt64(count))
    }
    var headers: [GElf_Phdr] = []
    for index in 0..<Int32(count) {
      var header = GElf_Phdr()
      guard unsafe gelf_getphdr(elf, index, &header) != nil else {
        throw .malformed(path: path, part: .programHeaders, value: UInt64(index))
      }
      headers.append(header)
    }
    return headers
  }

  /// The first section of `type` and the one that it links to; nil if there is none.
  func section(ofType type: Int32) -> (section: GElf_Shdr, linked: GElf_Shdr)? {
    var section = unsafe elf_nextscn(elf, nil)
    while let current = unsafe section {
      var header = GElf_Shdr()
      var linked = GElf_Shdr()
      if unsafe gelf_getshdr(current, &header) != nil, header.sh_type == UInt32(bitPattern: type),
        let other = unsafe elf_getscn(elf, Int(header.sh_link)),
        unsafe gelf_getshdr(other, &linked) != nil
      {
        return (header, linked)
      }
      unsafe section = elf_nextscn(elf, current)
    }
    return nil
  }

  /// The bytes at `range`, which must lie within the file.
  ///
  /// Of pieces of a file up to 256 KiB libelf keeps a copy until the handle is closed: searches through large
  /// parts are not made with this.
  func bytes(at range: FileRange) throws(SymbolError) -> FileBytes {
    let (end, overflow) = range.offset.addingReportingOverflow(range.byteCount)
    guard !overflow, end <= fileSize, range.byteCount <= Self.pieceLimit else {
      throw .malformed(path: path, part: .table, value: overflow ? range.byteCount : end)
    }
    if range.byteCount == 0 { return FileBytes(bytes: []) }
    if let mapped {
      guard let bytes = mapped.bytes(at: range) else {
        throw .cannotRead(
          path: path, offset: range.offset, byteCount: range.byteCount,
          reason: "the process has it not in memory that can be read")
      }
      return FileBytes(bytes: bytes)
    }
    // Both fit: the size is within the limit and the offset within a file's size.
    let count = Int(range.byteCount)
    if count > Self.copiedLimit, isFile {
      // One copy of a large table is enough.
      var bytes = [UInt8](repeating: 0, count: count)
      guard read(at: range.offset, into: &bytes) == count else {
        throw .cannotRead(
          path: path, offset: range.offset, byteCount: range.byteCount, reason: "the file ends")
      }
      return FileBytes(bytes: bytes)
    }
    guard
      let data = unsafe elf_getdata_rawchunk(elf, Int64(range.offset), count, ELF_T_BYTE),
      let start = unsafe data.pointee.d_buf, unsafe data.pointee.d_size == count
    else {
      throw .cannotRead(
        path: path, offset: range.offset, byteCount: range.byteCount, reason: Self.lastError())
    }
    return unsafe FileBytes(
      bytes: [UInt8](UnsafeRawBufferPointer(start: start, count: count)))
  }

  private var isFile: Bool {
    switch source {
    case .file: true
    default: false
    }
  }

  /// The file in memory, nil if a file is read.
  private var mapped: MappedFile? {
    switch source {
    case .memory(let mapped, _): mapped
    default: nil
    }
  }

  /// Fills `bytes` from `offset` on and returns how many leading bytes it filled, without a copy that is kept.
  ///
  /// In a process's memory that is all or none, and of bytes that were handed over always none.
  func read(at offset: UInt64, into bytes: inout [UInt8]) -> Int {
    switch source {
    case .file(let descriptor):
      return descriptor.read(at: offset, into: &bytes)
    case .memory(let mapped, _):
      guard
        let found = mapped.bytes(
          at: FileRange(offset: offset, byteCount: UInt64(bytes.count)))
      else { return 0 }
      bytes = found
      return found.count
    case .copy:
      return 0
    }
  }

  /// What libelf says of its last failure.
  static func lastError() -> String {
    guard let message = unsafe elf_errmsg(-1) else { return "no reason given" }
    return unsafe String(cString: message)
  }
}
