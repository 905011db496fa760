// Whose malloc live children use, with the allocators that Debian packages preloaded.

import Glibc
import HeapModel
import Testing

@testable import Symbols

@Suite struct AllocatorTests {
  private static let waiting = """
    #include <stdlib.h>
    #include <unistd.h>
    int main(void) { void *volatile kept = malloc(100); for (;;) pause(); }
    """

  private func report(of child: borrowing WaitingChild) throws -> AllocatorReport {
    TargetObjects(pid: child.pid, mappings: try child.mappings()).allocator()
  }

  /// Where the dynamic loader finds a library.
  private func installed(_ name: String) throws -> String {
    let listing = try run(["/sbin/ldconfig", "-p"])
    let line = listing.split(separator: "\n").first { $0.contains("\(name) (") }
    return String(try #require(line?.split(separator: " ").last, "install \(name)"))
  }

  @Test("a program without other allocators uses the glibc that it has mapped")
  func plainGlibc() throws {
    let child = try WaitingChild(["sleep", "1000"])
    let report = try report(of: child)
    guard case .glibc(let path) = report.identity else {
      Issue.record("\(report)")
      return
    }
    #expect(path.hasSuffix("/libc.so.6"))
    #expect(report.definers.isEmpty)
    #expect(report.failures.isEmpty)
    #expect(report.identity.mayUseGlibcHeap)
  }

  @Test(
    "a preloaded allocator is named by what it exports",
    arguments: [
      ("libjemalloc.so.2", KnownAllocator.jemalloc),
      ("libtcmalloc_minimal.so.4", .tcmalloc),
      ("libmimalloc.so.2", .mimalloc),
    ])
  func preloadedAllocator(library: String, allocator: KnownAllocator) throws {
    let path = try installed(library)
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(path)"])
    let report = try report(of: child)
    guard case .interposed(allocator, let found) = report.identity else {
      Issue.record("\(report)")
      return
    }
    #expect(report.definers == [found])
    #expect(found.contains(library.prefix(while: { $0 != "." })))
    #expect(!report.identity.mayUseGlibcHeap)
  }

  @Test("glibc's own debugging library is told from foreign allocators")
  func glibcDebug() throws {
    let path = try installed("libc_malloc_debug.so.0")
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(path)"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    let report = objects.allocator()
    guard case .glibcDebug(let found) = report.identity else {
      Issue.record("\(report)")
      return
    }
    #expect(found.hasSuffix("/libc_malloc_debug.so.0"))
    #expect(report.identity.mayUseGlibcHeap)
    let loaded = objects.loadedImages()
    let images = loaded.images
    #expect(loaded.modules.map(\.fileName) == ["libc.so.6", "libc_malloc_debug.so.0"])
    let hits = images.map { loaded in
      loaded.image.relativeRelocations.count { $0.place &- $0.target == 2160 }
    }
    #expect(hits == [1, 1])
  }

  @Test("a preloaded malloc without a mark is named by its path, and glibc is still walked")
  func forwardingPreload() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.compile(
      """
      #include <stddef.h>
      extern void *__libc_malloc(size_t);
      void *malloc(size_t size) { return __libc_malloc(size); }
      """, as: "forward.so", "cc", "-shared", "-fPIC")
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    #expect(objects.allocator().identity == .unknownInterposer(path: library))
    #expect(objects.allocator().identity.mayUseGlibcHeap)
    #expect(objects.loadedImages().modules.first?.fileName == "libc.so.6")
  }

  @Test("an allocator under another prefix is known by the pattern of its names")
  func prefixedAllocator() throws {
    let directory = try TemporaryDirectory()
    let program = try directory.compile(
      Self.waiting + """

        int own_mallctl(void) { return 0; }
        static char pool[1 << 16];
        static size_t used;
        void *malloc(size_t size) { void *p = pool + used; used += (size + 15) & ~15ul; return p; }
        void free(void *p) {}
        """, as: "prefixed", "cc", "-rdynamic")
    let child = try WaitingChild([program])
    #expect(try report(of: child).identity == .interposed(.jemalloc, path: program))
  }

  @Test(
    "other allocators are known by a name that only they have, or by their file's",
    arguments: [
      (
        "size_t malloc_object_size_fast(void *p) { return 0; }", "a.so",
        KnownAllocator.hardenedMalloc
      ),
      ("void rpmalloc_thread_initialize(void) {}", "b.so", .rpmalloc),
      ("void _ZN8snmalloc4initEv(void) {}", "c.so", .snmalloc),
      ("void _ZN5Hoard9HoardHeap4initEv(void) {}", "d.so", .hoard),
      ("", "libhardened_malloc-light.so", .hardenedMalloc),
      ("", "libsnmallocshim-checks.so", .snmalloc), ("", "libhoard.so", .hoard),
      ("", "librpmallocwrap.so", .rpmalloc),
    ])
  func otherAllocators(mark: String, file: String, allocator: KnownAllocator) throws {
    let directory = try TemporaryDirectory()
    let library = try directory.compile(
      """
      #include <stddef.h>
      extern void *__libc_malloc(size_t);
      void *malloc(size_t size) { return __libc_malloc(size); }
      \(mark)
      """, as: file, "cc", "-shared", "-fPIC")
    let child = try WaitingChild(["sleep", "1000"], environment: ["LD_PRELOAD=\(library)"])
    #expect(try report(of: child).identity == .interposed(allocator, path: library))
  }

  @Test("where malloc leads is read from those who call it; one that never did is undecided")
  func bindings() throws {
    let directory = try TemporaryDirectory()
    let path = try installed("libmimalloc.so.2")
    let program = try directory.compile(
      """
      #include <stdlib.h>
      #include <unistd.h>
      int main(int count, char **values) {
        void *volatile kept = count > 1 ? malloc(100) : NULL;
        for (;;) pause();
      }
      """, as: "caller", "cc", "-Wl,-z,lazy", "-no-pie")
    for calls in [false, true] {
      let child = try WaitingChild(
        [program] + (calls ? ["now"] : []), environment: ["LD_PRELOAD=\(path)"])
      let memory = open("/proc/\(child.pid)/mem", O_RDONLY | O_CLOEXEC)
      try #require(memory >= 0)
      defer { close(memory) }
      let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
      let report = objects.allocator { address in
        var word: UInt64 = 0
        return pread(memory, &word, 8, off_t(address.bits)) == 8 ? word : nil
      }
      let definer = try #require(report.definers.first)
      #expect(report.identity == .interposed(.mimalloc, path: definer))
      #expect(report.bindings.first == MallocBinding(user: program, definer: calls ? definer : nil))
      #expect(report.bindings.dropFirst().first?.user.hasSuffix("/libc.so.6") == true)
      #expect(report.bindings.dropFirst().first?.definer == definer)
      #expect(report.resolved == definer && report.others.isEmpty)
    }
  }

  @Test("a program with AddressSanitizer in it uses the sanitizer's allocator")
  func addressSanitizer() throws {
    let directory = try TemporaryDirectory()
    let program = try directory.compile(
      Self.waiting, as: "sanitized", "cc", "-fsanitize=address")
    let child = try WaitingChild([program])
    guard case .interposed(.addressSanitizer, _) = try report(of: child).identity else {
      Issue.record("\(try report(of: child))")
      return
    }
  }

  @Test("a program of musl is told from one of glibc, whether linked dynamically or statically")
  func musl() throws {
    let directory = try TemporaryDirectory()
    let dynamic = try directory.compile(Self.waiting, as: "dynamic", "musl-gcc")
    let dynamicChild = try WaitingChild([dynamic])
    guard case .musl = try report(of: dynamicChild).identity else {
      Issue.record("\(try report(of: dynamicChild))")
      return
    }
    let linked = try directory.compile(Self.waiting, as: "static", "musl-gcc", "-static")
    let staticChild = try WaitingChild([linked])
    #expect(try report(of: staticChild).identity == .musl(path: linked))
    let stripped = try directory.compile(Self.waiting, as: "stripped", "musl-gcc", "-static", "-s")
    let strippedChild = try WaitingChild([stripped])
    #expect(try report(of: strippedChild).identity == .staticWithoutGlibc(path: stripped))
  }

  @Test(
    "a static executable of glibc is known with and without symbols, and is the image to search",
    arguments: [["-static"], ["-static", "-s"], ["-static-pie"], ["-static-pie", "-s"]])
  func staticGlibc(options: [String]) throws {
    let directory = try TemporaryDirectory()
    let source = try directory.write(Self.waiting.utf8, as: "program.c")
    let program = "\(directory.path)/program"
    _ = try run(["cc", "-w", "-o", program, source] + options)
    let child = try WaitingChild([program])
    let objects = TargetObjects(pid: child.pid, mappings: try child.mappings())
    #expect(objects.allocator().identity == .staticGlibc(path: program))
    let result = objects.loadedImages()
    let loaded = try #require(result.images.first)
    #expect(result.failures.isEmpty)
    #expect(loaded.path == program)
    let isFixed = options.first == "-static"
    #expect(loaded.image.isPositionDependent == isFixed)
    #expect(loaded.image.isDynamic == !isFixed)
    #expect(isFixed == (loaded.loadBias == 0))
    #expect(loaded.image.tls != nil)
    #expect(mainArenaHits(loaded.image) == 1)
  }

  /// How many words point back by the distance of malloc_state's next field: relocated ones, or
  /// in a file at fixed addresses those that hold their final value.
  private func mainArenaHits(_ image: ELFImage) -> Int {
    guard image.isPositionDependent else {
      return image.relativeRelocations.count { $0.place &- $0.target == 2160 }
    }
    return image.initialBytes.map { piece in
      stride(from: Int(8 &- piece.virtualAddress % 8) % 8, to: piece.bytes.count - 7, by: 8).count {
        offset in
        FileBytes(bytes: piece.bytes).load(UInt64.self, at: offset)
          == piece.virtualAddress &+ UInt64(offset) &- 2160
      }
    }.reduce(0, +)
  }
}
