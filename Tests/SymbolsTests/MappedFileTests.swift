// Loaded files read from their process's memory, and what is read instead of files that are gone.

import Glibc
import HeapModel
import Testing

@testable import Symbols

@Suite("Files in memory")
struct MappedFileTests {
  /// A mapping of three pages of a file from one of its pages on, or of a part of them.
  private func mapping(
    _ start: UInt64, pages: UInt64 = 3, page: UInt64, _ permissions: String = "r"
  ) -> MemoryMapping {
    MemoryMapping(
      range: AddressRange(RemoteAddress(start), byteCount: pages * 4096),
      isReadable: permissions.contains("r"), isWritable: permissions.contains("w"),
      isExecutable: permissions.contains("x"), isShared: false, fileOffset: page * 4096,
      deviceMajor: 1, deviceMinor: 2, inode: 3, name: "/lib/made.so", isDeleted: true)
  }

  /// Bytes that tell the number of the page that they are on.
  private func pageNumbers(_ address: RemoteAddress, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: (address.bits + UInt64($0)) / 4096) }
  }

  @Test("bytes come from where they are mapped, and of a page mapped twice from the later place")
  func places() throws {
    let module = try #require(
      LoadedModule.modules(in: [
        mapping(0x1_0000, page: 0), mapping(0x1_3000, page: 3, ""),
        mapping(0x2_0000, page: 2, "rw"),
      ]).first)
    let file = MappedFile(module, read: pageNumbers)
    #expect(file.byteCount == 5 * 4096)
    let bytes = try #require(file.bytes(at: FileRange(offset: 0, byteCount: 5 * 4096)))
    #expect((0..<5).map { bytes[$0 * 4096] } == [0x10, 0x11, 0x20, 0x21, 0x22])
    let part = file.bytes(at: FileRange(offset: 8191, byteCount: 2))
    #expect(part == [0x11, 0x20])
    #expect(file.bytes(at: FileRange(offset: 0, byteCount: 0)) == [])
    #expect(file.bytes(at: FileRange(offset: 5 * 4096 - 1, byteCount: 2)) == nil)
    #expect(file.bytes(at: FileRange(offset: .max - 1, byteCount: 4)) == nil)
    #expect(file.bytes(at: FileRange(offset: 0, byteCount: .max)) == nil)
    #expect(MappedFile(module) { _, _ in nil }.bytes(at: FileRange(offset: 0, byteCount: 1)) == nil)
  }

  @Test("data mapped from the same page as constants is of the same copy; another copy is not")
  func samePage() throws {
    let modules = LoadedModule.modules(in: [
      mapping(0x1_0000, pages: 2, page: 0, "rx"), mapping(0x1_2000, pages: 1, page: 2),
      mapping(0x1_3000, pages: 1, page: 2, "rw"), mapping(0x1_4000, pages: 1, page: 3, "rw"),
      mapping(0x2_0000, pages: 2, page: 0, "rx"), mapping(0x2_2000, pages: 1, page: 2),
      mapping(0x2_3000, pages: 1, page: 2, "rw"),
    ])
    let file = MappedFile(try #require(modules.first), among: modules, read: pageNumbers)
    let bytes = try #require(file.bytes(at: FileRange(offset: 0, byteCount: 4 * 4096)))
    #expect((0..<4).map { bytes[$0 * 4096] } == [0x10, 0x11, 0x13, 0x14])
  }

  @Test("addresses that a loader has written are those of the file again, others stay")
  func addresses() {
    let place = LoadedPlace(bias: 0x7f00_0000_0000, end: 0x20_0000)
    #expect(place.fileAddress(0x7f00_0001_2340) == 0x1_2340)
    #expect(place.fileAddress(0x1_2340) == 0x1_2340)
    #expect(LoadedPlace(bias: 0, end: 0x50_0000).fileAddress(0x60_0000) == 0x60_0000)
  }

  /// What memory shows of `module`, and its file.
  private func both(
    _ module: LoadedModule, _ objects: TargetObjects
  ) throws -> (memory: ELFImage, file: ELFImage) {
    let names = ["malloc", "malloc_info", "environ", "free", "no_such_name"]
    let mapped = MappedFile(
      module, among: objects.modules, read: objects.memory.reader())
    let memory = try ELFFile(mapped, of: module)
    #expect(try memory.allSymbols() == nil)
    let file = try objects.open(module)
    #expect(file.substitute == nil)
    #expect(memory.interpreter == file.interpreter)
    #expect(try memory.sharedObjectName() == file.sharedObjectName())
    #expect(try memory.slots(of: "malloc") == file.slots(of: "malloc"))
    return (
      try memory.image(exports: names, wantsBanner: true),
      try file.image(exports: names, wantsBanner: true)
    )
  }

  @Test("memory shows of each of a process's files what the file shows, but for what it changed")
  func agreement() throws {
    let child = try WaitingChild(["python3", "-c", "import time; time.sleep(1000)"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let modules = objects.modules.filter { !$0.executableRanges.isEmpty }
    #expect(modules.count >= 3)
    for module in modules {
      let (memory, file) = try both(module, objects)
      #expect(memory.isFromMemory && !file.isFromMemory)
      #expect(memory.machine == file.machine)
      #expect(memory.isPositionDependent == file.isPositionDependent)
      #expect(memory.isDynamic == file.isDynamic)
      #expect(memory.segments == file.segments)
      #expect(memory.threadPointerSlots == file.threadPointerSlots)
      #expect(memory.tls == file.tls)
      #expect(memory.buildID == file.buildID)
      #expect(memory.glibcBanner == file.glibcBanner)
      #expect(memory.exports == file.exports)
      let sizes = memory.initialBytes.map(\.bytes.count)
      #expect(sizes == file.initialBytes.map(\.bytes.count))
      #expect(
        memory.relativeRelocations.map(\.place) == file.relativeRelocations.map(\.place))
      // Those of DT_RELR lead where the words lead now.
      let changed = zip(memory.relativeRelocations, file.relativeRelocations).count { $0 != $1 }
      #expect(changed * 10 <= memory.relativeRelocations.count, "\(module.name): \(changed)")
    }
  }

  @Test("headers in memory with any byte changed, or cut off anywhere, never trap")
  func damage() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let module = try #require(objects.modules.first { LibraryName.isGlibc($0.fileName) })
    let read = objects.memory.reader()
    let start = module.base.range.lowerBound
    let head = try #require(read(start, 1024))
    for place in 0..<1024 {
      for value in [0, 0xff, head[place] ^ 1] as [UInt8] {
        let mapped = MappedFile(module) { address, count in
          guard var bytes = read(address, count) else { return nil }
          let offset = address.bits &- start.bits
          if offset <= UInt64(place), UInt64(place) - offset < UInt64(count) {
            bytes[place - Int(offset)] = value
          }
          return bytes
        }
        _ = try? ELFFile(mapped, of: module).buildID
      }
      let cut = MappedFile(module) { address, count in
        address.bits &- start.bits &+ UInt64(count) <= UInt64(place) ? read(address, count) : nil
      }
      #expect(throws: SymbolError.self) { _ = try ELFFile(cut, of: module) }
    }
  }
}
