// This machine's own libc, as mapped by a live child, against what readelf says of it.

import Glibc
import HeapModel
import LinuxTarget
import Testing

@testable import Symbols

@Suite struct LibcImageTests {
  private let loaded: LoadedImage
  private let module: LoadedModule
  private let path: String

  init() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let result = objects.loadedImages(exports: ["malloc", "malloc_info", "environ", "no_such_name"])
    #expect(result.failures.isEmpty)
    loaded = try #require(result.images.first)
    module = try #require(result.modules.first)
    path = loaded.path
    #expect(result.images.count == 1)
  }

  @Test("a child's libc is found, and its load bias is where the kernel mapped its first page")
  func findsLibc() {
    #expect(module.fileName == "libc.so.6")
    #expect(loaded.loadBias == module.base.range.lowerBound.bits)
    #expect(module.mappings.count >= 4)
    #expect(module.executableRanges.count == 1)
  }

  @Test("exactly one relative relocation points back by the distance of malloc_state's next field")
  func findsMainArena() throws {
    let version = try #require(loaded.image.glibcBanner)
    let minor = try #require(version.split(separator: ".").dropFirst().first.flatMap { Int($0) })
    // Debian 12's 2.36 and Ubuntu's 2.39: the layout of 2.27 to 2.42.
    #expect((27...42).contains(minor))
    let hits = loaded.image.relativeRelocations.filter { $0.place &- $0.target == 2160 }
    #expect(hits.count == 1)
  }

  @Test("the banner's version is the one that libc states of itself")
  func readsBanner() throws {
    let stated = try run(["getconf", "GNU_LIBC_VERSION"]).split { $0 == " " || $0 == "\n" }
    #expect(loaded.image.glibcBanner == stated.last.map(String.init))
  }

  @Test("relative relocations are those that readelf lists, compact ones included")
  func relocationsAgree() throws {
    let listing = try run(["readelf", "-rW", path])
    let table = try readelfRelocations(listing)
    #expect(Set(loaded.image.relativeRelocations.map(\.place)) == table.relativePlaces)
    #expect(loaded.image.relativeRelocations.count == table.relativePlaces.count)
    #expect(!loaded.image.threadPointerSlots.isEmpty)
    #expect(Set(loaded.image.threadPointerSlots) == table.slots)
    let piece = try #require(loaded.image.initialBytes.first)
    for relocation in loaded.image.relativeRelocations where table.compact[relocation.place] != nil
    {
      let offset = Int(relocation.place - piece.virtualAddress)
      let word = FileBytes(bytes: piece.bytes).load(UInt64.self, at: offset)
      #expect(word == relocation.target)
    }
  }

  @Test("segments, TLS and build id are those that readelf lists")
  func headersAgree() throws {
    let lines = try run(["readelf", "-lnW", path]).split(separator: "\n").map { line in
      line.split { $0 == " " || $0 == "\t" }.map(String.init)
    }
    let numbers = { (row: [String]) in
      row.compactMap { $0.hasPrefix("0x") ? UInt64($0.dropFirst(2), radix: 16) : nil }
    }
    let loads = lines.filter { $0.first == "LOAD" }.map { row in
      let values = numbers(row)
      return ELFImage.Segment(
        virtualAddress: values[1], fileSize: values[3], memorySize: values[4],
        fileOffset: values[0], isWritable: row.dropFirst(6).contains { $0.contains("W") })
    }
    #expect(loaded.image.segments == loads)
    let tls = try #require(lines.first { $0.first == "TLS" }.map(numbers))
    #expect(loaded.image.tls == ELFImage.TLSSegment(memorySize: tls[4], alignment: tls[5]))
    #expect((0x60...0xa0).contains(tls[4]))
    let buildID = try #require(lines.first { $0.contains("Build") && $0.contains("ID:") }?.last)
    #expect(loaded.image.buildID.map { hexadecimal($0) }.joined() == buildID)
  }

  @Test("addresses of exports are those that readelf lists, and unknown names have none")
  func exportsAgree() throws {
    let listing = try run(["readelf", "-W", "--dyn-syms", path])
    for name in ["malloc", "malloc_info", "environ"] {
      let row = try #require(
        listing.split(separator: "\n").map { $0.split(separator: " ") }
          .first { $0.count >= 8 && $0[7].split(separator: "@")[0] == name })
      #expect(loaded.image.exports[name] == UInt64(row[1], radix: 16))
    }
    #expect(loaded.image.exports["no_such_name"] == nil)
  }

  @Test("the hash table and the whole table of dynamic symbols give the same answers")
  func lookupsAgree() throws {
    let file = try ELFFile(OwnedDescriptor(adopting: open(path, O_RDONLY)), path: path)
    let whole = try #require(try file.exportedSymbols())
    let names = ["malloc", "free", "printf", "__curbrk", "gnu_get_libc_version", "absent"]
    #expect(try file.definitions(of: names) == whole.definitions(of: names))
    #expect(whole.count > 1000)
    #expect(try file.sharedObjectName() == "libc.so.6")
  }

  private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  private struct Listing {
    var relativePlaces: Set<UInt64> = []
    var compact: [UInt64: Bool] = [:]
    var slots: Set<ELFImage.ThreadPointerSlot> = []
  }

  private func readelfRelocations(_ text: String) throws -> Listing {
    var listing = Listing()
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ")
      guard let first = parts.first, first.count == 16, let place = UInt64(first, radix: 16) else {
        continue
      }
      if parts.count == 1 {
        // A decoded place of DT_RELR.
        listing.relativePlaces.insert(place)
        listing.compact[place] = true
      } else if parts[2].hasSuffix("_RELATIVE") || parts[2].hasSuffix("_RELATIV") {
        listing.relativePlaces.insert(place)
      } else if parts[2].hasPrefix("R_X86_64_TPOFF64") || parts[2].hasPrefix("R_AARCH64_TLS_TPREL")
      {
        if parts.count == 4 {
          listing.slots.insert(
            .init(place: place, offset: try #require(UInt64(parts[3], radix: 16))))
        } else {
          let value = try #require(UInt64(parts[3], radix: 16))
          let addend = try #require(parts.last.flatMap { UInt64($0, radix: 16) })
          listing.slots.insert(.init(place: place, offset: value &+ addend))
        }
      }
    }
    return listing
  }
}
