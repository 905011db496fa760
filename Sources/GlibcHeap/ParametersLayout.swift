// Where the fields of malloc's parameters (`mp_`, `malloc_par`) lie.

/// Offsets in bytes within `malloc_par`.
///
/// Evidence: upstream's struct at every release, Debian's DWARF. The shape is told by the initial
/// contents in the libc file: where `n_mmaps_max` holds 65536, and whether the tcache fields follow.
package struct ParametersLayout: Hashable, Sendable {
  /// The first glibc version with this shape.
  package let name: String
  /// `n_mmaps`, a 32-bit count of the mmapped chunks.
  package let mmapCount: Int
  /// `n_mmaps_max`, a 32-bit word, initially 65536.
  package let mmapCountMaximum: Int
  /// `mmapped_mem`: bytes of all mmapped chunks.
  package let mmappedMemory: Int
  /// `sbrk_base`: the first address that the main arena ever got.
  package let sbrkBase: Int
  /// `tcache_bins`, initially 64; nil where there is no tcache.
  package let tcacheBins: Int?
  /// `tcache_count`: how many chunks a tcache bin takes.
  package let tcacheCount: Int?
  /// `hp_pagesize`: the huge page size if huge pages were asked for, else 0.
  package let hugePageSize: Int?
  /// The size of the part that we read.
  package let byteCount: Int

  /// glibc 2.17 to 2.23.
  package static let v217 = ParametersLayout(
    name: "2.17", mmapCount: 40, mmapCountMaximum: 44, mmappedMemory: 56, sbrkBase: 80,
    tcacheBins: nil, tcacheCount: nil, hugePageSize: nil, byteCount: 88)
  /// glibc 2.24 and 2.25.
  package static let v224 = ParametersLayout(
    name: "2.24", mmapCount: 40, mmapCountMaximum: 44, mmappedMemory: 56, sbrkBase: 72,
    tcacheBins: nil, tcacheCount: nil, hugePageSize: nil, byteCount: 80)
  /// glibc 2.26 to 2.34, and later builds without tunables.
  package static let v226 = ParametersLayout(
    name: "2.26", mmapCount: 40, mmapCountMaximum: 44, mmappedMemory: 56, sbrkBase: 72,
    tcacheBins: 80, tcacheCount: 96, hugePageSize: nil, byteCount: 104)
  /// glibc 2.35 to 2.42.
  package static let v235 = ParametersLayout(
    name: "2.35", mmapCount: 60, mmapCountMaximum: 64, mmappedMemory: 80, sbrkBase: 96,
    tcacheBins: 104, tcacheCount: 120, hugePageSize: 48, byteCount: 128)
  /// The same shape without tcache: libc_malloc_debug.
  package static let v235Debug = ParametersLayout(
    name: "2.35 without tcache", mmapCount: 60, mmapCountMaximum: 64, mmappedMemory: 80,
    sbrkBase: 96, tcacheBins: nil, tcacheCount: nil, hugePageSize: 48, byteCount: 104)
  /// glibc 2.43 and 2.44.
  package static let v243 = ParametersLayout(
    name: "2.43", mmapCount: 68, mmapCountMaximum: 72, mmappedMemory: 88, sbrkBase: 104,
    tcacheBins: 112, tcacheCount: 128, hugePageSize: 56, byteCount: 136)
  /// The same shape without tcache: libc_malloc_debug.
  package static let v243Debug = ParametersLayout(
    name: "2.43 without tcache", mmapCount: 68, mmapCountMaximum: 72, mmappedMemory: 88,
    sbrkBase: 104, tcacheBins: nil, tcacheCount: nil, hugePageSize: 56, byteCount: 112)

  /// The shapes to try, each before those whose evidence is a part of its own.
  ///
  /// 2.17 is not among them: the file cannot tell it from 2.24, the process can.
  package static let recognisable: [ParametersLayout] = [
    .v243, .v243Debug, .v235, .v235Debug, .v226, .v224,
  ]

  /// The first five words of the initial contents in every version: `trim_threshold`, `top_pad`,
  /// `mmap_threshold`, `arena_test`, and `arena_max` (0, which also tells the pattern's end).
  package static let initialWords: [UInt64] = [0x20000, 0x20000, 0x20000, 8, 0]
  /// The initial value of `n_mmaps_max`.
  package static let initialMmapCountMaximum: UInt32 = 65536
  /// The initial value of `tcache_bins` (from 2.42 on, `tcache_small_bins`).
  package static let initialTcacheBins: UInt64 = 64
}
