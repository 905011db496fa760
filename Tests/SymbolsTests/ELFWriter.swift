// Writes ELF files byte by byte: for machines that we do not run on, and files no linker makes.

import Glibc

/// A 64-bit little-endian shared object without section headers, built field by field.
struct ELFWriter {
  /// A program header and, for loaded ones, where its bytes go.
  struct Header {
    var type: UInt32
    var flags: UInt32 = 4
    var offset: UInt64
    var address: UInt64
    var fileSize: UInt64
    var memorySize: UInt64
    var alignment: UInt64 = 8
  }

  var machine: UInt16 = 183
  var type: UInt16 = 3
  var elfClass: UInt8 = 2
  var byteOrder: UInt8 = 1
  var headers: [Header] = []
  private(set) var bytes: [UInt8]

  /// Begins a file of `size` zero bytes.
  init(size: Int) {
    bytes = [UInt8](repeating: 0, count: size)
  }

  /// Puts `value` at `offset`.
  mutating func put(_ value: some FixedWidthInteger, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { raw in
      bytes.replaceSubrange(offset..<offset + raw.count, with: raw)
    }
  }

  /// Puts consecutive words from `offset` on.
  mutating func put(words: [UInt64], at offset: Int) {
    for (index, word) in words.enumerated() { put(word, at: offset + index * 8) }
  }

  /// Puts `text` and a zero byte at `offset`.
  mutating func put(_ text: String, at offset: Int) {
    bytes.replaceSubrange(offset..<offset + text.utf8.count + 1, with: Array(text.utf8) + [0])
  }

  /// Puts a symbol at `offset`.
  mutating func putSymbol(name: UInt32, info: UInt8, section: UInt16, value: UInt64, at offset: Int)
  {
    put(name, at: offset)
    put(info, at: offset + 4)
    put(section, at: offset + 6)
    put(value, at: offset + 8)
  }

  /// The file with its header and program headers in front.
  func finished() -> [UInt8] {
    var file = self
    file.bytes.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, elfClass, byteOrder, 1])
    file.put(type, at: 16)
    file.put(machine, at: 18)
    file.put(UInt32(1), at: 20)
    file.put(UInt64(64), at: 32)
    file.put(UInt16(64), at: 52)
    file.put(UInt16(56), at: 54)
    file.put(UInt16(headers.count), at: 56)
    for (index, header) in headers.enumerated() {
      let start = 64 + index * 56
      file.put(header.type, at: start)
      file.put(header.flags, at: start + 4)
      file.put(
        words: [
          header.offset, header.address, header.address, header.fileSize, header.memorySize,
          header.alignment,
        ], at: start + 8)
    }
    return file.bytes
  }

  /// An aarch64 library: constants at 0, data of 0x600 bytes at file offset 0x800, loaded at
  /// 0x10800; a banner; two relocation tables and one of compact relocations; two symbols.
  static func sample() -> ELFWriter {
    var file = ELFWriter(size: 0x1000)
    file.headers = [
      Header(type: 1, offset: 0, address: 0, fileSize: 0x800, memorySize: 0x800, alignment: 65_536),
      Header(
        type: 1, flags: 6, offset: 0x800, address: 0x1_0800, fileSize: 0x600, memorySize: 0x900,
        alignment: 65_536),
      Header(
        type: 2, flags: 6, offset: 0x800, address: 0x1_0800, fileSize: 0x100, memorySize: 0x100),
      Header(
        type: 4, offset: 0x700, address: 0x700, fileSize: 0x18, memorySize: 0x18, alignment: 4),
      Header(
        type: 7, offset: 0x900, address: 0x1_0900, fileSize: 8, memorySize: 0x78, alignment: 16),
    ]
    // Dynamic section: strings, symbols, RELA, JMPREL, RELR, then the end.
    file.put(
      words: [
        5, 0x400, 10, 0x40, 6, 0x440, 7, 0x500, 8, 72, 23, 0x580, 2, 24, 20, 7, 36, 0x600, 35, 16,
        0, 0,
      ], at: 0x800)
    file.put("malloc", at: 0x401)
    file.put("local", at: 0x408)
    file.put("banner: no", at: 0x410)
    // Symbols, from 0x440 on to the first relocation table: 0, malloc, a thread-local, undefined.
    file.putSymbol(name: 1, info: 0x12, section: 1, value: 0x123, at: 0x440 + 24)
    file.putSymbol(name: 8, info: 0x16, section: 2, value: 0x20, at: 0x440 + 48)
    file.putSymbol(name: 1, info: 0x12, section: 0, value: 0, at: 0x440 + 72)
    // RELATIVE at 0x10a00 to 0x77; TPREL of symbol 0 and of the thread-local.
    file.put(words: [0x1_0a00, 1027, 0x77], at: 0x500)
    file.put(words: [0x1_0a08, 1030, 0x48], at: 0x518)
    file.put(words: [0x1_0a10, 2 << 32 | 1030, 4], at: 0x530)
    // One of an undefined symbol among the PLT's, which is another file's variable.
    file.put(words: [0x1_0a18, 3 << 32 | 1030, 0], at: 0x580)
    // Compact: 0x10b00, then of the 63 words after it the first and the last.
    file.put(words: [0x1_0b00, 1 << 1 | 1 << 63 | 1], at: 0x600)
    file.put(UInt64(0xaaa), at: 0x800 + 0x300)
    file.put(UInt64(0xbbb), at: 0x800 + 0x308)
    file.put(UInt64(0xccc), at: 0x800 + 0x308 + 62 * 8)
    file.put(UInt32(4), at: 0x700)
    file.put(UInt32(4), at: 0x704)
    file.put(UInt32(3), at: 0x708)
    file.put("GNU", at: 0x70c)
    file.put(UInt32(0xddcc_bbaa), at: 0x710)
    file.put("GNU C Library (own build) development release version 2.43.9000.\nmore", at: 0x680)
    return file
  }
}
