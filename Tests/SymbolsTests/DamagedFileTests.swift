// Files cut off or overwritten anywhere: they give errors or odd values, never a trap.

import Glibc
import HeapModel
import LinuxTarget
import Testing

@testable import Symbols

@Suite struct DamagedFileTests {
  /// Numbers that look random and are the same in each run (xorshift).
  private struct Numbers {
    var state: UInt64
    mutating func next(below limit: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(limit))
    }
  }

  /// A small library with everything that is read: hash table, TLS, relocations of each kind.
  private static func library(in directory: borrowing TemporaryDirectory) throws -> [UInt8] {
    let path = try directory.compile(
      """
      #include <errno.h>
      static __thread int own = 5;
      static int data, *pointers[] = {&data, &data, &data};
      void *malloc(unsigned long n) { own += errno; return pointers; }
      int je_mallctl(void) { return own; }
      """, as: "small.so", "cc", "-shared", "-fPIC", "-ftls-model=initial-exec",
      "-Wl,-z,pack-relative-relocs", "-Wl,--build-id")
    return try contents(of: path)
  }

  /// Asks everything of a file; what it answers does not matter.
  private static func examine(_ path: String) -> SymbolError? {
    do throws(SymbolError) {
      let file = try ELFFile(OwnedDescriptor(adopting: open(path, O_RDONLY)), path: path)
      _ = file.interpreter
      _ = file.isMadeByGo
      _ = try? file.allSymbols()?.definitions(of: ["malloc", "absent"])
      _ = try? file.exportedSymbols()?.firstName { $0 == "je_mallctl" }
      _ = try? file.sharedObjectName()
      _ = try file.image(exports: ["malloc", "je_mallctl", "absent"], wantsBanner: true)
      _ = try file.slots(of: "malloc")
      return nil
    } catch {
      #expect(!error.description.isEmpty)
      return error
    }
  }

  @Test("a truncated libc is refused at every length")
  func truncatedLibc() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let libc = try contents(of: try #require(objects.loadedImages().images.first).path)
    // Behind the last segment there is only what the loader does not need.
    let image = try #require(objects.loadedImages().images.first).image
    let needed = try #require(image.segments.map { $0.fileOffset + $0.fileSize }.max())
    let directory = try TemporaryDirectory()
    let path = try directory.write(libc, as: "libc")
    #expect(Self.examine(path) == nil)
    var numbers = Numbers(state: 0x9e37_79b9_7f4a_7c15)
    for length in (0..<50).map({ _ in numbers.next(below: Int(needed)) }).sorted(by: >) {
      #expect(truncate(path, off_t(length)) == 0)
      #expect(Self.examine(path) != nil, "cut to \(length) bytes")
    }
  }

  @Test("a file that shrinks while it is open gives an error, not a signal")
  func shrinking() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(try Self.library(in: directory), as: "shrinking")
    let file = try ELFFile(OwnedDescriptor(adopting: open(path, O_RDONLY)), path: path)
    #expect(truncate(path, 100) == 0)
    #expect(throws: SymbolError.self) { try file.image(exports: ["malloc"], wantsBanner: true) }
  }

  @Test("libc with a random byte overwritten never traps")
  func overwrittenLibc() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let libc = try contents(of: try #require(objects.loadedImages().images.first).path)
    let directory = try TemporaryDirectory()
    let path = try directory.write(libc, as: "libc")
    let number = open(path, O_WRONLY | O_CLOEXEC)
    defer { close(number) }
    var numbers = Numbers(state: 0x0123_4567_89ab_cdef)
    for round in 0..<200 {
      // Half in the headers, half anywhere.
      let place = numbers.next(below: round.isMultiple(of: 2) ? 1024 : libc.count)
      var byte = UInt8(numbers.next(below: 256))
      pwrite(number, &byte, 1, off_t(place))
      _ = Self.examine(path)
      byte = libc[place]
      pwrite(number, &byte, 1, off_t(place))
    }
    #expect(Self.examine(path) == nil)
  }

  @Test("a small library with random bytes overwritten never traps and never answers at length")
  func overwrittenLibrary() throws {
    let directory = try TemporaryDirectory()
    let intact = try Self.library(in: directory)
    let file = try ELFFile(
      OwnedDescriptor(adopting: open("\(directory.path)/small.so", O_RDONLY)), path: "small.so")
    let places = file.programHeaders.filter { [1, 2].contains($0.type) }.map(\.file)
    let dynamic = try #require(places.last)
    var numbers = Numbers(state: 0xfeed_face_cafe_beef)
    var refused = 0
    for round in 0..<300 {
      var bytes = intact
      for _ in 0...numbers.next(below: 3) {
        // Where the tables are: the headers and the first page, or the dynamic section.
        let place =
          round.isMultiple(of: 3)
          ? Int(dynamic.offset) + numbers.next(below: Int(dynamic.byteCount))
          : numbers.next(below: 0x600)
        let values: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, UInt8(numbers.next(below: 256))]
        bytes[place] = values[numbers.next(below: values.count)]
      }
      if Self.examine(try directory.write(bytes, as: "damaged")) != nil { refused += 1 }
    }
    // Bytes that matter were hit, and bytes that do not.
    #expect((1..<300).contains(refused))
  }
}
