// Debug files that are of another build, damaged, no files at all, or behind links.

import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

@testable import Symbols

@Suite("Debug files are taken by their build id alone, and harm nobody")
struct DebugFileTests {
  /// A small library with the names of malloc's variables and structures.
  private static let source = """
    struct malloc_state { int mutex, flags; void *fastbinsY[10]; struct malloc_state *next; };
    struct malloc_par { unsigned long trim_threshold; int n_mmaps; };
    typedef struct _heap_info { struct malloc_state *ar_ptr; char pad[3][5]; } heap_info;
    typedef struct { unsigned short counts[64]; void *entries[64]; } tcache_perthread_struct;
    static struct malloc_state main_arena = {.next = &main_arena};
    static struct malloc_par mp_ = {.trim_threshold = 0x20000};
    __attribute__((used)) static __thread int other;
    __attribute__((used)) static __thread tcache_perthread_struct *tcache;
    __attribute__((used)) static __thread struct malloc_state *thread_arena;
    void *__libc_malloc(unsigned long n) {
      heap_info *heap = (void *)n;
      main_arena.mutex += n;
      return &mp_ + other + (tcache != 0) + (thread_arena == heap->ar_ptr);
    }
    """

  /// The library and its debug file, in a directory by its build id.
  private struct Files {
    let directory: TestKit.TemporaryDirectory
    let loaded: LoadedImage
    let debugFile: String
    /// Where the debug file is in a directory of debug files, such as `ab/cdef.debug`.
    let name: String

    init(_ flags: String...) throws {
      directory = try TestKit.TemporaryDirectory()
      let input = directory.file("malloc.c")
      try write(DebugFileTests.source, toFile: input)
      let library = "\(directory.path)/libc.so.6"
      _ = try run(
        ["cc", "-g", "-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o", library, input] + flags)
      let separate = "\(directory.path)/separate"
      _ = try run(["objcopy", "--only-keep-debug", library, separate])
      _ = try run(["strip", library])
      let file = try ELFFile(try OwnedDescriptor(opening: library), path: library)
      loaded = LoadedImage(
        image: try file.image(exports: [], wantsBanner: false), loadBias: 0, path: library)
      debugFile = separate
      let identity = BuildID.text(loaded.image.buildID)
      name = "\(identity.prefix(2))/\(identity.dropFirst(2)).debug"
    }

    /// Looks in the files' own directory, where the debug file is called as the library with `.debug`.
    func lookup(wantsTypes: Bool = true) -> DebugLookup {
      search(in: directory.path).symbols(of: loaded, wantsTypes: wantsTypes)
    }
  }

  /// Puts the file at `path` where it is looked for in a new directory below `parent`.
  private static func install(_ path: String, as name: String, below parent: String) throws {
    _ = try run(["mkdir", "-p", "\(parent)/\(name.prefix(2))"])
    _ = try run(["cp", path, "\(parent)/\(name)"])
  }

  @Test(
    "names, sizes, offsets and members are read, whatever the debug information's version",
    arguments: ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"])
  func reads(version: String) throws {
    let files = try Files(version)
    try Self.expectAll(files, wasCompressed: false)
  }

  @Test("compressed debug information is read")
  func readsCompressed() throws {
    let files = try Files("-gz=zlib")
    try Self.expectAll(files, wasCompressed: true)
  }

  private static func expectAll(_ files: Files, wasCompressed: Bool) throws {
    _ = try run(["cp", files.debugFile, "\(files.directory.path)/libc.so.6.debug"])
    let listing = try run(["readelf", "-SW", files.debugFile])
    #expect((listing.contains(" C  0") || listing.contains("zdebug")) == wasCompressed)
    let lookup = files.lookup()
    #expect(lookup.rejected.isEmpty)
    let symbols = try #require(lookup.symbols)
    #expect(symbols.path == "\(files.directory.path)/libc.so.6.debug")
    let table = try run(["readelf", "-sW", files.debugFile]).split(separator: "\n")
      .map { $0.split(separator: " ") }
    for name in ["main_arena", "mp_"] {
      let row = try #require(table.first { $0.count == 8 && $0[7] == name })
      #expect(symbols.variables[name]?.address == UInt64(row[1], radix: 16))
      #expect(symbols.variables[name]?.byteCount == UInt64(row[2]))
    }
    for name in ["tcache", "thread_arena"] {
      let row = try #require(table.first { $0.count == 8 && $0[7] == name })
      #expect(symbols.threadLocals[name] == UInt64(row[1], radix: 16))
    }
    typealias Layout = MallocSymbols.Layout
    #expect(
      symbols.layouts == [
        .arena: Layout(
          byteCount: 96,
          members: [
            "mutex": .init(offset: 0, byteCount: 4), "flags": .init(offset: 4, byteCount: 4),
            "fastbinsY": .init(offset: 8, byteCount: 80), "next": .init(offset: 88, byteCount: 8),
          ]),
        .parameters: Layout(
          byteCount: 16,
          members: [
            "trim_threshold": .init(offset: 0, byteCount: 8),
            "n_mmaps": .init(offset: 8, byteCount: 4),
          ]),
        .heapInfo: Layout(
          byteCount: 24,
          members: [
            "ar_ptr": .init(offset: 0, byteCount: 8), "pad": .init(offset: 8, byteCount: 15),
          ]),
        .tcache: Layout(
          byteCount: 640,
          members: [
            "counts": .init(offset: 0, byteCount: 128),
            "entries": .init(offset: 128, byteCount: 512),
          ]),
      ])
  }

  @Test("the file is found in each of the places that a user's directory may have it in")
  func places() throws {
    let files = try Files()
    for place in ["", ".build-id", "usr/lib/debug/.build-id"] {
      let parent = "\(files.directory.path)/debug"
      try Self.install(files.debugFile, as: files.name, below: "\(parent)/\(place)")
      let lookup = search(in: parent).symbols(of: files.loaded, wantsTypes: true)
      #expect(lookup.symbols?.layouts.count == 4, "\(place)")
      _ = try run(["rm", "-r", parent])
      #expect(search(in: parent).symbols(of: files.loaded, wantsTypes: true).symbols == nil)
    }
  }

  @Test("a file of another build is not taken, and that is said")
  func otherBuild() throws {
    let files = try Files()
    let others = try Files("-DUNUSED", "-O2")
    try #require(others.name != files.name)
    let place = "\(files.directory.path)/libc.so.6.debug"
    _ = try run(["cp", others.debugFile, place])
    let lookup = files.lookup()
    #expect(lookup.symbols == nil)
    #expect(
      lookup.rejected.first
        == .otherBuild(path: place, buildID: others.loaded.image.buildID))
    #expect(lookup.rejected.first?.description.contains("belongs to another build") == true)
  }

  @Test("the name that the library gives its debug file is one that a user's directory may have")
  func linkedName() throws {
    let files = try Files()
    let directory = files.directory
    let library = directory.file("libc.so.6")
    let linked = directory.file("any name.dbg")
    _ = try run(["cp", files.debugFile, linked])
    _ = try run(["objcopy", "--add-gnu-debuglink=\(linked)", library])
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let module = try #require(objects.modules.first { $0.name == library })
    let image = try objects.open(module).image(exports: [], wantsBanner: false)
    let loaded = LoadedImage(
      image: image, loadBias: try #require(module.loadBias(of: image)), path: library)
    let lookup = DebugFileSearch(pid: child.pid, objects: objects, directory: directory.path)
      .symbols(of: loaded, wantsTypes: true)
    #expect(lookup.symbols?.path == linked)
    #expect(lookup.symbols?.layouts.count == 4)
  }

  @Test("a library that was not stripped is its own debug file")
  func ownSymbols() throws {
    let files = try Files()
    let library = files.directory.file("unstripped.so")
    _ = try run([
      "cc", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-o", library,
      files.directory.file("malloc.c"),
    ])
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let module = try #require(objects.modules.first { $0.name == library })
    let image = try objects.open(module).image(exports: [], wantsBanner: false)
    let loaded = LoadedImage(
      image: image, loadBias: try #require(module.loadBias(of: image)), path: library)
    let lookup = DebugFileSearch(pid: child.pid, objects: objects, directory: nil)
      .symbols(of: loaded, wantsTypes: true)
    #expect(lookup.rejected.isEmpty)
    #expect(lookup.symbols?.path == library)
    #expect(lookup.symbols?.variables.count == 2)
    #expect(lookup.symbols?.layouts.count == 4)
    // The stripped libc of the same child has nothing to say of itself, which needs no words.
    let libc = try #require(objects.loadedImages().images.first)
    let own = DebugFileSearch(
      pid: child.pid, objects: objects, directory: files.directory.path
    ).symbols(of: libc, wantsTypes: false)
    #expect(own.rejected.allSatisfy { if case .otherBuild = $0 { true } else { false } })
  }

  @Test(
    "structures that dwz has moved to a file that several share are found there",
    .enabled(if: DebianGlibc.isRequired || isInstalled("dwz"), "dwz is not installed"))
  func shared() throws {
    let files = try Files()
    let other = try Files("-Wl,-soname,other")
    let directory = files.directory
    let place = directory.file("libc.so.6.debug")
    _ = try run([
      "sh", "-e", "-c",
      """
      cp '\(files.debugFile)' '\(place)'
      cp '\(other.debugFile)' '\(directory.file("other"))'
      cd '\(directory.path)'
      dwz -m shared.debug -M /nowhere/shared.debug libc.so.6.debug other
      """,
    ])
    #expect(try !run(["readelf", "--debug-dump=info", place]).contains("fastbinsY"))
    let lookup = files.lookup()
    #expect(lookup.rejected.isEmpty)
    #expect(lookup.symbols?.layouts.count == 4)
    #expect(lookup.symbols?.layouts[.arena]?.members.count == 4)

    let hidden = directory.file("hidden")
    #expect(rename(directory.file("shared.debug"), hidden) == 0)
    #expect(
      files.lookup().rejected.first
        == .noTypes(path: place, reason: .inMissingFile("/nowhere/shared.debug")))
    // One of another build is no better.
    _ = try run(["cp", place, directory.file("shared.debug")])
    #expect(files.lookup().symbols?.layouts == [:])
  }

  // MARK: Under the target's root

  /// A directory that looks like `/proc` with one process, whose root has `links` and `files`.
  private func fakeRoot(_ files: Files, _ commands: [String]) throws -> DebugFileSearch {
    let root = files.directory.file("proc/1/root")
    _ = try run(["mkdir", "-p", root])
    _ = try run(["sh", "-e", "-c", "cd '\(root)'\n" + commands.joined(separator: "\n")])
    return search(in: nil, pid: 1, procRoot: files.directory.file("proc"))
  }

  @Test("a link that begins with a slash leads to a file under the target's root, never under ours")
  func linksStayInside() throws {
    let files = try Files()
    let directory = "usr/lib/debug/.build-id/\(files.name.prefix(2))"
    let name = "usr/lib/debug/.build-id/\(files.name)"
    // Followed in our root, the link would lead to the debug file at once.
    let search = try fakeRoot(
      files, ["mkdir -p \(directory)", "ln -s '\(files.debugFile)' \(name)"])
    #expect(search.symbols(of: files.loaded, wantsTypes: true) == DebugLookup())
    let above = try fakeRoot(
      files, ["rm \(name)", "ln -s ../../../../../../../../../../..\(files.debugFile) \(name)"])
    #expect(above.symbols(of: files.loaded, wantsTypes: true) == DebugLookup())
    let inside = try fakeRoot(
      files,
      [
        "rm \(name)", "mkdir store", "cp '\(files.debugFile)' store/file",
        "ln -s /store/file \(name)",
      ])
    let lookup = inside.symbols(of: files.loaded, wantsTypes: true)
    #expect(lookup.symbols?.layouts.count == 4)
    #expect(lookup.symbols?.path == files.directory.file("proc/1/root" + "/" + name))
  }

  @Test("a pipe, a directory and a device are not opened", .timeLimit(.minutes(1)))
  func noFiles() throws {
    let files = try Files()
    let name = "usr/lib/debug/.build-id/\(files.name)"
    let path = files.directory.file("proc/1/root" + "/" + name)
    for command in ["mkfifo \(name)", "mkdir \(name)", "ln -s /device \(name)"] {
      let search = try fakeRoot(
        files,
        [
          "rm -rf \(name) device", "mkdir -p usr/lib/debug/.build-id/\(files.name.prefix(2))",
          "mkfifo device", command,
        ])
      let lookup = search.symbols(of: files.loaded, wantsTypes: true)
      #expect(lookup.symbols == nil)
      #expect(
        lookup.rejected == [
          .noWayToFile(name: path, attempts: [OpenAttempt(path: path, outcome: .notRegular)])
        ])
    }
  }
}

/// Whether a program is in PATH.
func isInstalled(_ program: String) -> Bool {
  (try? run(["sh", "-c", "command -v \(program)"])) != nil
}
