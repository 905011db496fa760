// Reading ELF files written byte by byte: another machine, and files that lie.

import Glibc
import HeapModel
import LinuxTarget
import Testing

@testable import Symbols

@Suite struct ELFFileTests {
  private let directory: TemporaryHome

  /// Keeps a directory for as long as the suite's value lives, which can be copied.
  private final class TemporaryHome {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }
  }

  init() throws {
    directory = try TemporaryHome()
  }

  private func file(_ bytes: [UInt8]) throws -> ELFFile {
    let path = try directory.directory.write(bytes, as: "file")
    return try ELFFile(OwnedDescriptor(adopting: open(path, O_RDONLY | O_CLOEXEC)), path: path)
  }

  private func image(_ bytes: [UInt8]) throws -> ELFImage {
    try file(bytes).image(exports: ["malloc", "local"], wantsBanner: true)
  }

  @Test("an aarch64 file without section headers is read through its program headers alone")
  func aarch64() throws {
    let image = try image(ELFWriter.sample().finished())
    #expect(image.machine == .arm64)
    #expect(!image.isPositionDependent)
    #expect(image.isDynamic)
    #expect(image.segments.map(\.virtualAddress) == [0, 0x1_0800])
    #expect(image.segments.map(\.isWritable) == [false, true])
    #expect(image.tls == ELFImage.TLSSegment(memorySize: 0x78, alignment: 16))
    #expect(image.buildID == [0xaa, 0xbb, 0xcc, 0xdd])
    #expect(image.glibcBanner == "2.43.9000")
    #expect(image.initialBytes.map(\.virtualAddress) == [0x1_0800])
    #expect(image.initialBytes.map(\.bytes.count) == [0x600])
  }

  @Test("compact relocations take their targets from the file, plain ones from their addend")
  func relocations() throws {
    let image = try image(ELFWriter.sample().finished())
    #expect(
      image.relativeRelocations == [
        .init(place: 0x1_0a00, target: 0x77),
        .init(place: 0x1_0b00, target: 0xaaa),
        .init(place: 0x1_0b08, target: 0xbbb),
        .init(place: 0x1_0b08 + 62 * 8, target: 0xccc),
      ])
  }

  @Test("thread-pointer slots add the symbol's value, and leave out other files' variables")
  func slots() throws {
    let image = try image(ELFWriter.sample().finished())
    #expect(
      image.threadPointerSlots == [
        .init(place: 0x1_0a08, offset: 0x48), .init(place: 0x1_0a10, offset: 0x24),
      ])
  }

  @Test("without a hash table exports are found one by one; thread-locals are no addresses")
  func exports() throws {
    #expect(try image(ELFWriter.sample().finished()).exports == ["malloc": 0x123])
  }

  @Test("what is not a 64-bit little-endian program of a known machine is refused by name")
  func unsupported() throws {
    func refusal(_ change: (inout ELFWriter) -> Void) -> SymbolError? {
      var writer = ELFWriter.sample()
      change(&writer)
      do {
        _ = try image(writer.finished())
        return nil
      } catch {
        return error as? SymbolError
      }
    }
    let path = directory.directory.path + "/file"
    #expect(refusal { $0.machine = 40 } == .unsupported(path: path, what: .machine(40)))
    #expect(refusal { $0.type = 4 } == .unsupported(path: path, what: .type(4)))
    #expect(refusal { $0.elfClass = 1 } == .unsupported(path: path, what: .elfClass(1)))
    #expect(refusal { $0.byteOrder = 2 } == .unsupported(path: path, what: .byteOrder(2)))
    #expect(throws: SymbolError.notELF(path: path)) { try image(Array("#!/bin/sh\n".utf8)) }
    #expect(throws: SymbolError.notELF(path: path)) { try image([]) }
  }

  @Test("sizes and addresses beyond the file are errors, whatever else the file says")
  func liars() throws {
    func isRefused(_ change: (inout ELFWriter) -> Void) throws -> Bool {
      var writer = ELFWriter.sample()
      change(&writer)
      let bytes = writer.finished()
      do {
        _ = try image(bytes)
        return false
      } catch is SymbolError {
        return true
      }
    }
    #expect(try isRefused { $0.headers[1].fileSize = 0x9000 })
    #expect(try isRefused { $0.headers[1].offset = .max - 8 })
    #expect(try isRefused { $0.headers[1].memorySize = .max })
    #expect(try isRefused { $0.headers[1].memorySize = 1 })
    #expect(try isRefused { $0.headers[2].offset = 0x7_0000 })
    #expect(try isRefused { $0.headers[2].fileSize = .max })
    #expect(try isRefused { $0.put(UInt64.max, at: 0x808) })
    #expect(try isRefused { $0.put(UInt64.max - 3, at: 0x848) })
    // A map before any place, and more places than there are words.
    #expect(try isRefused { $0.put(UInt64.max, at: 0x600) })
    #expect(
      try isRefused {
        $0.put(words: [UInt64](repeating: .max, count: 30), at: 0x608)
        $0.put(UInt64(248), at: 0x800 + 19 * 8)
      })
  }

  @Test("more program headers than any linker makes are refused")
  func programHeaderCount() throws {
    var file = ELFWriter.sample().finished() + [UInt8](repeating: 0, count: 0x5000)
    file.replaceSubrange(56..<58, with: [0x2c, 0x01])
    let path = directory.directory.path + "/file"
    #expect(throws: SymbolError.malformed(path: path, part: .programHeaders, value: 300)) {
      try image(file)
    }
  }

  @Test("a section count that only an enormous table could hold is refused before libelf sees it")
  func sectionCount() throws {
    var bytes = ELFWriter.sample()
    bytes.put(UInt64(1) << 40, at: 0xe00 + 32)
    var file = bytes.finished()
    file.replaceSubrange(40..<48, with: [0, 0x0e, 0, 0, 0, 0, 0, 0])
    let path = directory.directory.path + "/file"
    #expect(
      throws: SymbolError.malformed(path: path, part: .sectionHeaders, value: UInt64(1) << 40)
    ) { try image(file) }
  }

  @Test("an arm64 library of a real linker gives what readelf lists")
  func linkedForArm() throws {
    let library = try directory.directory.compile(
      """
      static __thread int first, second;
      static int data, *pointers[] = {&data, &data, &data};
      int *volatile *use(void) { first++; second++; return (int *volatile *)pointers; }
      """, as: "arm.so", "clang", "--target=aarch64-linux-gnu", "-nostdlib", "-shared", "-fPIC",
      "-fuse-ld=lld", "-ftls-model=initial-exec", "-Wl,--pack-dyn-relocs=relr")
    let image = try image(try contents(of: library))
    let listing = try run(["readelf", "-rW", library])
    #expect(image.machine == .arm64)
    #expect(image.relativeRelocations.count == 3)
    #expect(Set(image.relativeRelocations.map(\.target)).count == 1)
    #expect(image.threadPointerSlots.count == 2)
    #expect(listing.contains("relr.dyn"))
    for slot in image.threadPointerSlots {
      #expect(listing.contains(String(slot.place, radix: 16)))
    }
    #expect(image.tls?.memorySize == 8)
  }
}
