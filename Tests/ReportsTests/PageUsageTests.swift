// What pages are worth, against a model that looks at every byte.

import HeapAnalysis
import HeapModel
import Testing

@Suite("Page usage")
struct PageUsageTests {
  private static let page: UInt64 = 4096

  /// A heap of two arenas and mmapped chunks with random chunks and random pages in memory.
  private func randomHeap(
    _ random: inout SystemRandomNumberGenerator
  ) -> (snapshot: HeapSnapshot, residency: ResidencyMap) {
    var snapshot = HeapSnapshot()
    var runs: [ResidencyMap.Run] = []
    func addRun(from start: UInt64, to end: UInt64) {
      let first = start / Self.page * Self.page
      let count = Int((end - first + Self.page - 1) / Self.page)
      runs.append(
        ResidencyMap.Run(
          range: AddressRange(RemoteAddress(first), byteCount: UInt64(count) * Self.page),
          isResident: (0..<count).map { _ in Int.random(in: 0..<4, using: &random) > 0 }))
    }
    let states: [ChunkState] = [.inUse, .inUse, .tcache, .fastbin, .binned, .binned, .internal]
    for index in 0..<2 {
      var arena = ArenaSummary(
        index: index, address: RemoteAddress(0x10), kind: index == 0 ? .main : .thread)
      // The main arena starts anywhere, a thread arena behind its headers.
      var address: UInt64 = index == 0 ? 0x10_0d40 : 0x400_0000 + 0x8d0
      let start = index == 0 ? address : 0x400_0000
      for _ in 0..<Int.random(in: 0...60, using: &random) {
        let small = UInt64.random(in: 2...40, using: &random) * 16
        let large = UInt64.random(in: 200...2000, using: &random) * 16
        let size = Int.random(in: 0..<5, using: &random) == 0 ? large : small
        snapshot.chunks.append(
          Chunk(
            userAddress: RemoteAddress(address + 16), size: size, usableSize: size - 8,
            state: states.randomElement(using: &random) ?? .inUse, arena: Int32(index)))
        address += size
      }
      let end = (address + 16 * UInt64.random(in: 2...900, using: &random) + 4095) / 4096 * 4096
      arena.topAddress = RemoteAddress(address)
      arena.topBytes = end - address
      snapshot.chunks.append(
        Chunk(
          userAddress: RemoteAddress(address + 16), size: end - address,
          usableSize: end - address - 8, state: .top, arena: Int32(index)))
      // Cut in two within a page, as where others moved the program break.
      let cut = start + (end - start) / 32 * 16
      arena.segments = [
        AddressRange(RemoteAddress(start), RemoteAddress(cut)),
        AddressRange(RemoteAddress(cut), RemoteAddress(end)),
      ]
      snapshot.arenas.append(arena)
      addRun(from: start, to: end)
    }
    for index in 0..<UInt64(3) {
      let start = 0x7f00_0000_0000 + index * 0x10_0000
      let size = UInt64.random(in: 1...20, using: &random) * 4096
      snapshot.chunks.append(
        Chunk(
          userAddress: RemoteAddress(start + 16), size: size, usableSize: size - 16,
          state: .inUse, arena: nil))
      addRun(from: start, to: start + size)
    }
    return (snapshot, ResidencyMap(pageSize: Self.page, runs: runs))
  }

  /// The same accounts, page by page, from a table of what lies on each.
  private func model(
    _ snapshot: HeapSnapshot, _ residency: ResidencyMap
  ) -> (arenas: [ArenaPages], mmapped: ArenaPages) {
    let page = Self.page
    var resident: Set<UInt64> = []
    for run in residency.runs {
      for (index, isResident) in run.isResident.enumerated() where isResident {
        resident.insert(run.range.lowerBound.bits / page + UInt64(index))
      }
    }
    func pages(_ range: AddressRange) -> Range<UInt64> {
      range.lowerBound.bits / page..<(range.upperBound.bits + page - 1) / page
    }
    func whole(_ start: UInt64, _ end: UInt64) -> [UInt64] {
      (start / page..<end / page + 1).filter { $0 * page >= start && ($0 + 1) * page <= end }
    }
    var mmapped = ArenaPages()
    for chunk in snapshot.chunks where chunk.arena == nil {
      mmapped.residentBytes += UInt64(pages(chunk.range).filter(resident.contains).count) * page
    }
    let arenas = snapshot.arenas.map { arena in
      var account = ArenaPages()
      let held = Set(arena.segments.flatMap { pages($0) }).intersection(resident)
      account.residentBytes = UInt64(held.count) * page
      var idle: [UInt64: UInt64] = [:]
      var live: Set<UInt64> = []
      var trimmable: Set<UInt64> = []
      for chunk in snapshot.chunks where chunk.arena == Int32(arena.index) {
        let range = chunk.range
        switch chunk.state {
        case .inUse, .internal:
          live.formUnion(pages(range))
        case .tcache, .fastbin, .binned:
          for bits in range.lowerBound.bits..<range.upperBound.bits {
            idle[bits / page, default: 0] += 1
          }
          if chunk.state == .binned {
            trimmable.formUnion(whole(range.lowerBound.bits + 48, range.upperBound.bits))
          }
        case .top:
          if arena.kind == .main {
            trimmable.formUnion(whole(range.lowerBound.bits + 33, range.upperBound.bits))
          }
        }
      }
      account.trimmableBytes = UInt64(trimmable.intersection(resident).count) * page
      account.pinnedBytes = idle.filter { live.contains($0.key) && resident.contains($0.key) }
        .reduce(0) { $0 + $1.value }
      return account
    }
    return (arenas, mmapped)
  }

  @Test("accounts of random heaps equal those of a byte-by-byte model")
  func againstModel() {
    var random = SystemRandomNumberGenerator()
    var sum = ArenaPages()
    for _ in 0..<60 {
      let (snapshot, residency) = randomHeap(&random)
      let usage = PageUsage(snapshot, residency: residency)
      let expected = model(snapshot, residency)
      #expect(usage.arenas == expected.arenas)
      #expect(usage.mmapped == expected.mmapped)
      sum += usage.total
    }
    #expect(sum.residentBytes > 0 && sum.trimmableBytes > 0 && sum.pinnedBytes > 0)
  }

  @Test("a freed megabyte between two live chunks is trimmable but for its edges")
  func example() {
    var snapshot = HeapSnapshot()
    var arena = ArenaSummary(index: 0, address: RemoteAddress(0x10), kind: .main)
    func chunk(_ start: UInt64, _ size: UInt64, _ state: ChunkState) -> Chunk {
      Chunk(
        userAddress: RemoteAddress(start + 16), size: size, usableSize: size - 8, state: state,
        arena: 0)
    }
    snapshot.chunks = [
      chunk(0x10_0000, 0x20, .inUse), chunk(0x10_0020, 0x10_0000, .binned),
      chunk(0x20_0020, 0x20, .inUse),
    ]
    arena.segments = [AddressRange(RemoteAddress(0x10_0000), byteCount: 0x10_1000)]
    snapshot.arenas = [arena]
    let residency = ResidencyMap(
      pageSize: 4096,
      runs: [
        ResidencyMap.Run(
          range: arena.segments[0], isResident: [Bool](repeating: true, count: 257))
      ])
    let usage = PageUsage(snapshot, residency: residency)
    #expect(usage.total.residentBytes == 257 * 4096)
    #expect(usage.total.trimmableBytes == 255 * 4096)
    #expect(usage.total.pinnedBytes == 4096 - 0x20 + 0x20)
  }

  @Test("addresses at the end of the address space and unknown arenas change nothing")
  func extremes() {
    var snapshot = HeapSnapshot()
    var arena = ArenaSummary(index: 0, address: RemoteAddress(0x10), kind: .main)
    arena.topAddress = RemoteAddress(.max - 10)
    arena.topBytes = .max
    arena.segments = [AddressRange(RemoteAddress(.max - 4096), byteCount: .max)]
    snapshot.arenas = [arena]
    snapshot.chunks = [
      Chunk(userAddress: RemoteAddress(3), size: 0, usableSize: 0, state: .binned, arena: 0),
      Chunk(userAddress: RemoteAddress(64), size: 99, usableSize: 9, state: .inUse, arena: 42),
      Chunk(
        userAddress: RemoteAddress(.max - 8), size: .max, usableSize: 9, state: .binned, arena: 0),
    ]
    let residency = ResidencyMap(
      pageSize: 4096,
      runs: [
        ResidencyMap.Run(
          range: AddressRange(RemoteAddress(0), byteCount: 4096), isResident: [true])
      ])
    let usage = PageUsage(snapshot, residency: residency)
    #expect(usage.total == ArenaPages())
    #expect(residency.residentBytes(in: AddressRange(RemoteAddress(0), byteCount: .max)) == 4096)
  }
}
