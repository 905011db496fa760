// Debug files cut off or overwritten anywhere: they are ignored with a reason, never a trap or a hang.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

@Suite("A damaged debug file is ignored, and why is said")
struct DamagedDebugFileTests {
  private static let source = """
    struct malloc_state { int mutex; struct malloc_state *next; } main_arena = {.next = &main_arena};
    static struct malloc_par { long trim_threshold; } mp_ = {5};
    void *__libc_malloc(unsigned long n) { main_arena.mutex += n; return &mp_; }
    """

  /// A library, what was stripped from it, and the library as it is loaded.
  private static func files(
    _ directory: TestKit.TemporaryDirectory, source: String = source, copying: [String] = [],
    _ flags: String...
  ) throws -> (debugFile: [UInt8], loaded: LoadedImage) {
    try write(source, toFile: directory.file("malloc.c"))
    let library = directory.file("libc.so.6")
    _ = try run(
      [
        "cc", "-g", "-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o", library,
        directory.file("malloc.c"),
      ] + flags)
    let separate = directory.file("separate")
    _ = try run(["objcopy", "--only-keep-debug"] + copying + [library, separate])
    let file = try ELFFile(try OwnedDescriptor(opening: library), path: library)
    let image = try file.image(exports: [], wantsBanner: false)
    // Else it would be found, too.
    #expect(unlink(library) == 0)
    return (
      try contents(of: separate), LoadedImage(image: image, loadBias: 0, path: library)
    )
  }

  private static func put(_ bytes: some Sequence<UInt8>, at path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    let all = Array(bytes)
    try #require(all.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == all.count)
  }

  @Test("cut off at any length", .timeLimit(.minutes(5)))
  func truncated() throws {
    let directory = try TestKit.TemporaryDirectory()
    let (bytes, loaded) = try Self.files(directory)
    let place = directory.file("libc.so.6.debug")
    for length in stride(from: 0, to: bytes.count, by: 61) {
      try Self.put(bytes.prefix(length), at: place)
      let lookup = search(in: directory.path).symbols(of: loaded, wantsTypes: true)
      #expect(lookup.symbols == nil, "cut to \(length) bytes")
      #expect(lookup.rejected.count == 1)
      #expect(lookup.rejected.allSatisfy { !$0.description.isEmpty })
    }
    try Self.put(bytes, at: place)
    #expect(search(in: directory.path).symbols(of: loaded, wantsTypes: true).symbols != nil)
  }

  @Test(
    "with bytes overwritten anywhere, compressed or not",
    .timeLimit(.minutes(5)), arguments: ["-gz=none", "-gz=zlib", "-gdwarf-2"])
  func overwritten(flag: String) throws {
    let directory = try TestKit.TemporaryDirectory()
    let (bytes, loaded) = try Self.files(directory, flag)
    let place = directory.file("libc.so.6.debug")
    var state: UInt64 = 0x2545_f491_4f6c_dd1d
    func random(below limit: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(limit))
    }
    var ignored = 0
    for _ in 0..<2000 {
      var damaged = bytes
      for _ in 0...random(below: 4) {
        damaged[random(below: damaged.count)] = [0, 1, 0x7f, 0x80, 0xff][random(below: 5)]
      }
      try Self.put(damaged, at: place)
      let lookup = search(in: directory.path).symbols(of: loaded, wantsTypes: true)
      if lookup.symbols?.layouts.isEmpty ?? true { ignored += 1 }
      #expect(lookup.rejected.allSatisfy { !$0.description.isEmpty })
    }
    #expect(ignored > 0)
  }

  @Test("a section that says it is a terabyte is not decompressed")
  func bomb() throws {
    let directory = try TestKit.TemporaryDirectory()
    var (bytes, loaded) = try Self.files(directory, "-gz=zlib")
    // The header of a compressed section: type 1, 4 bytes of padding, the size, the alignment.
    let file = try DebugFile(
      try OwnedDescriptor(opening: directory.file("separate")), path: "separate")
    let found = file.handle.firstSection { $0.name == ".debug_info" }
    let section = try #require(found)
    let start = Int(section.file.offset) + 8
    bytes.replaceSubrange(start..<start + 8, with: [0, 0, 0, 0, 0, 1, 0, 0])
    let place = directory.file("libc.so.6.debug")
    try Self.put(bytes, at: place)
    let lookup = search(in: directory.path).symbols(of: loaded, wantsTypes: true)
    // Its symbols are good.
    #expect(lookup.symbols?.variables.count == 2)
    #expect(lookup.symbols?.layouts == [:])
    guard case .noTypes(place, .tooLarge(let size)) = lookup.rejected.first else {
      Issue.record("\(lookup.rejected)")
      return
    }
    #expect(size >= 1 << 40)
    loaded.image.buildID = []
    #expect(
      search(in: directory.path).symbols(of: loaded, wantsTypes: true) == DebugLookup())
  }

  @Test("a compressed section as large as a sparse file is not read", .timeLimit(.minutes(1)))
  func sparse() throws {
    let directory = try TestKit.TemporaryDirectory()
    let (original, loaded) = try Self.files(directory, "-gz=zlib")
    var bytes = original
    let file = FileBytes(bytes: bytes)
    let table = Int(try #require(file.load(UInt64.self, at: 40)))
    // The flag of compressed sections is 0x800; the size is at byte 32 of a header.
    for header in stride(from: table, to: bytes.count - 63, by: 64)
    where file.load(UInt64.self, at: header + 8) == 0x800 {
      bytes.replaceSubrange(header + 32..<header + 40, with: [0, 0, 0, 0, 32, 0, 0, 0])
    }
    let place = directory.file("libc.so.6.debug")
    try Self.put(bytes, at: place)
    try #require(truncate(place, 1 << 40) == 0)
    let lookup = search(in: directory.path).symbols(of: loaded, wantsTypes: true)
    #expect(lookup.symbols?.variables.count == 2)
    guard case .noTypes(place, .tooLarge) = lookup.rejected.first else {
      Issue.record("\(lookup.rejected)")
      return
    }
  }

  @Test("structures that are in another file are missed, and that file is named")
  func missingShared() throws {
    let directory = try TestKit.TemporaryDirectory()
    let source = """
      static long main_arena[20] = {1}, mp_[20] = {2};
      void *__libc_malloc(unsigned long n) { main_arena[0] += n; return mp_; }
      """
    let name = "/usr/lib/debug/.dwz/shared.debug"
    try Self.put(
      Array(name.utf8) + [0] + [UInt8](repeating: 7, count: 20), at: directory.file("link"))
    let place = directory.file("libc.so.6.debug")
    for (copying, reason) in [
      ([], SymbolError.NoTypes.noStructure),
      (
        ["--add-section", ".gnu_debugaltlink=\(directory.file("link"))"], .inMissingFile(name)
      ),
    ] {
      let (bytes, loaded) = try Self.files(directory, source: source, copying: copying)
      try Self.put(bytes, at: place)
      let lookup = search(in: directory.path).symbols(of: loaded, wantsTypes: true)
      #expect(lookup.symbols?.variables.count == 2)
      #expect(lookup.rejected == [.noTypes(path: place, reason: reason)])
      #expect(unlink(place) == 0)
    }
  }
}
