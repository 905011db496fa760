// Whose malloc a program uses.

/// The malloc that a program uses, as far as its files show.
package enum AllocatorIdentity: Hashable, Sendable {
  /// glibc's, from the libc at `path`: nothing else in the process defines malloc.
  case glibc(path: String)
  /// glibc's, checked by its own preloaded debugging library at `path`, which has an arena of its
  /// own beside libc's.
  case glibcDebug(path: String)
  /// glibc's, linked into the static executable at `path`.
  case staticGlibc(path: String)
  /// An allocator known by what its file exports, from the file at `path`.
  case interposed(KnownAllocator, path: String)
  /// Something at `path` that defines malloc and bears no known mark, while glibc is in the
  /// process: an own allocator, or one that forwards to glibc's, as recorders do.
  case unknownInterposer(path: String)
  /// musl's, from its libc or from a static executable at `path`.
  case musl(path: String)
  /// Whatever the static executable at `path` has: neither glibc's symbols nor its messages are in
  /// it.
  case staticWithoutGlibc(path: String)
  /// A program of Go's own runtime at `path`, without any libc.
  case goRuntime(path: String)
  /// No file known as a libc is mapped, and nothing defines malloc.
  case unrecognized

  /// Whether a glibc heap is worth walking: it is the program's, or may be.
  package var mayUseGlibcHeap: Bool {
    switch self {
    case .glibc, .glibcDebug, .staticGlibc, .unknownInterposer, .unrecognized: true
    case .interposed, .musl, .staticWithoutGlibc, .goRuntime: false
    }
  }

  /// The allocator in a word, such as `glibc` or `jemalloc`.
  package var name: String {
    switch self {
    case .glibc, .glibcDebug, .staticGlibc: "glibc"
    case .interposed(let allocator, _): allocator.rawValue
    case .unknownInterposer, .staticWithoutGlibc, .unrecognized: "unknown"
    case .musl: "musl"
    case .goRuntime: "go"
    }
  }

  /// The file that defines it, nil if none is known.
  package var path: String? {
    switch self {
    case .glibc(let path), .glibcDebug(let path), .staticGlibc(let path), .interposed(_, let path),
      .unknownInterposer(let path), .musl(let path), .staticWithoutGlibc(let path),
      .goRuntime(let path):
      path
    case .unrecognized: nil
    }
  }
}

/// An allocator that replaces libc's and is known by its marks.
package enum KnownAllocator: String, Hashable, Sendable, CaseIterable {
  /// jemalloc, under any prefix.
  case jemalloc
  /// tcmalloc, of gperftools or of Google's own repository.
  case tcmalloc
  /// mimalloc.
  case mimalloc
  /// AddressSanitizer's.
  case addressSanitizer = "asan"
  /// Hardware-assisted AddressSanitizer's.
  case hardwareAddressSanitizer = "hwasan"
  /// ThreadSanitizer's.
  case threadSanitizer = "tsan"
  /// MemorySanitizer's.
  case memorySanitizer = "msan"
  /// LeakSanitizer's alone.
  case leakSanitizer = "lsan"
  /// Scudo.
  case scudo
  /// GrapheneOS's hardened_malloc.
  case hardenedMalloc = "hardened_malloc"
  /// snmalloc.
  case snmalloc
  /// Hoard.
  case hoard
  /// rpmalloc.
  case rpmalloc

  /// Names that only this allocator exports, most telling first.
  ///
  /// Each is looked up by hash, so that most files are told from a few pages.
  var exactMarks: [String] {
    switch self {
    case .jemalloc: ["mallctl", "malloc_conf", "je_mallctl", "_rjem_mallctl"]
    case .tcmalloc: ["tc_malloc", "MallocExtension_ReleaseFreeMemory"]
    case .mimalloc: ["mi_malloc"]
    case .addressSanitizer: ["__asan_init"]
    case .hardwareAddressSanitizer: ["__hwasan_init"]
    case .threadSanitizer: ["__tsan_init"]
    case .memorySanitizer: ["__msan_init"]
    // AddressSanitizer contains LeakSanitizer, but not this function of it.
    case .leakSanitizer: ["__lsan_init"]
    case .scudo: ["__scudo_print_stats", "__scudo_default_options"]
    case .hardenedMalloc: ["malloc_object_size_fast"]
    case .rpmalloc: ["rpmalloc_thread_initialize"]
    // These have only names of C++.
    case .snmalloc, .hoard: []
    }
  }

  /// How the file names of its shared object begin, when the marks were hidden by whoever built it.
  var fileNamePrefixes: [String] {
    switch self {
    case .jemalloc: ["libjemalloc"]
    case .tcmalloc: ["libtcmalloc"]
    case .mimalloc: ["libmimalloc"]
    case .addressSanitizer: ["libasan", "libclang_rt.asan"]
    case .hardwareAddressSanitizer: ["libhwasan", "libclang_rt.hwasan"]
    case .threadSanitizer: ["libtsan", "libclang_rt.tsan"]
    case .memorySanitizer: ["libclang_rt.msan"]
    case .leakSanitizer: ["liblsan", "libclang_rt.lsan"]
    case .scudo: ["libscudo", "libclang_rt.scudo"]
    case .hardenedMalloc: ["libhardened_malloc"]
    case .snmalloc: ["libsnmalloc"]
    case .hoard: ["libhoard"]
    case .rpmalloc: ["librpmalloc"]
    }
  }

  /// Whether `name`, exported next to malloc, is a mark under any prefix or in any namespace.
  func isMark(_ name: String) -> Bool {
    switch self {
    case .jemalloc: name.hasSuffix("_mallctl")
    case .tcmalloc: name.contains("MallocExtension")
    case .scudo: name.hasPrefix("__scudo_")
    case .snmalloc: name.contains("snmalloc")
    case .hoard: name.contains("HoardHeap")
    default: false
    }
  }
}
