// Bytes that libelf can be given as a file: the headers of an ELF file in memory, or all of one.

import HeapModel

/// A buffer with an ELF file, or with its header and program headers at their places, which libelf reads
/// without a copy.
@safe struct HeaderBytes: ~Copyable {
  /// The most bytes up to the end of the program headers; they nearly always follow the header.
  private static var limit: UInt64 { 1 << 20 }
  /// The size of the header, and of a program header.
  private static var headerSize: UInt64 { 64 }
  private static var programHeaderSize: UInt64 { 56 }

  /// The first byte.
  let start: UnsafeMutablePointer<CChar>
  /// How many there are.
  let count: Int

  deinit {
    unsafe start.deallocate()
  }

  /// Reads the headers of `mapped`; section headers, which no process loads, are left out.
  static func read(from mapped: MappedFile) throws(SymbolError) -> HeaderBytes {
    guard var head = mapped.bytes(at: FileRange(offset: 0, byteCount: headerSize)) else {
      throw .cannotRead(
        path: mapped.path, offset: 0, byteCount: headerSize,
        reason: "the process has it not in memory that can be read")
    }
    guard head.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw .notELF(path: mapped.path) }
    // e_shoff, e_shnum and e_shstrndx.
    for range in [40..<48, 60..<64] {
      for index in range { head[index] = 0 }
    }
    let header = FileBytes(bytes: head)
    // e_phoff and e_phnum; the header was read whole.
    let place = header.load(UInt64.self, at: 32) ?? 0
    let number = UInt64(header.load(UInt16.self, at: 56) ?? 0)
    guard number <= UInt64(ElfHandle.programHeaderLimit), place <= limit, place >= headerSize else {
      throw .malformed(path: mapped.path, part: .programHeaders, value: place)
    }
    let range = FileRange(offset: place, byteCount: number * programHeaderSize)
    guard let table = mapped.bytes(at: range) else {
      throw .malformed(path: mapped.path, part: .programHeaders, value: place)
    }
    return HeaderBytes(head, table, at: Int(place))
  }

  /// Copies a whole file.
  init(_ file: [UInt8]) {
    self.init(file, [], at: file.count)
  }

  private init(_ head: [UInt8], _ table: [UInt8], at place: Int) {
    count = place + table.count
    // As aligned as libelf's structures.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 16)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    let buffer = unsafe UnsafeMutableRawBufferPointer(start: raw, count: count)
    unsafe buffer.copyBytes(from: head)
    unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[place...]).copyBytes(from: table)
    unsafe start = raw.bindMemory(to: CChar.self, capacity: count)
  }
}
