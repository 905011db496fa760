// Where the target's pages are, as its page map says at the moment: in memory, swapped out, nowhere.

import CPtrace
import HeapModel
import RemoteMemory

#if canImport(Glibc)
  import Glibc
#endif

/// The open page map of a process.
struct TargetPages: ~Copyable {
  /// How many pages are looked up at once where any number may be asked for.
  private static let block = 1 << 15

  /// The open file, or minus the errno of opening it.
  private let file: Int32
  private var entries = [UInt64](repeating: 0, count: 256)
  /// The page size of this machine, for looking up what is about to be read.
  private let pageSize: UInt64
  /// Whether any page of this machine or of the target was swapped out when the file was opened.
  private let usesSwap: Bool
  /// Whether the target has pages that are swapped out, as far as was seen up to now.
  ///
  /// While it has none, reading needs no look at the page map.
  private(set) var hasSwapped: Bool
  /// Memory of which all pages were seen to be there, ascending.
  private var resident: [AddressRange] = []
  /// How many pieces of such memory are remembered: a MiB of them.
  private static let residentLimit = 1 << 16
  /// How many pages are looked up for that: 64 GiB of 4-KiB pages, for which it takes half a second.
  private static let rememberedPages = 1 << 24

  init(pid: Int32, proc: ProcFileSystem) {
    file = unsafe cpt_open(proc.path(pid, "pagemap"))
    pageSize = UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE))))
    let status = (try? proc.text(proc.path(pid, "status"))).flatMap(ProcessStatus.init(parsing:))
    hasSwapped = (status?.memory.swapped ?? 0) > 0
    usesSwap = hasSwapped || Self.isSwapInUse(proc)
  }

  deinit {
    if file >= 0 { close(file) }
  }

  private static func isSwapInUse(_ proc: ProcFileSystem) -> Bool {
    guard let text = try? proc.text("\(proc.root)/meminfo"),
      let total = MemoryHeadroom.number(of: "SwapTotal:", in: text),
      let free = MemoryHeadroom.number(of: "SwapFree:", in: text)
    else { return false }
    return free < total
  }

  /// What an entry says.
  ///
  /// Bit 62 also marks what is only being moved (for compaction or NUMA), pages on a graphics device,
  /// and others: reading them is nothing that swaps in. They are told by the type in the lowest five
  /// bits, where the kernel's own types follow those of swap areas, of which there are at most 23; to
  /// those without CAP_SYS_ADMIN it is given as 0. So without any swap in use, nothing is swapped.
  private func state(of entry: UInt64) -> PageState {
    if entry & PageMap.present != 0 { return .resident }
    if entry & PageMap.replaced == 0 { return .untouched }
    return usesSwap && entry & 31 < 23 ? .swapped : .resident
  }

  /// The states of `count` pages, nil if they cannot be told.
  mutating func states(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> [PageState]? {
    guard read(from: address, count: count, pageSize: pageSize) else { return nil }
    let states = entries[..<count].map { state(of: $0) }
    if usesSwap, !hasSwapped { hasSwapped = states.contains(.swapped) }
    return states
  }

  /// See `LiveMemoryReader.rememberResident`.
  mutating func rememberResident(_ ranges: [AddressRange], pageSize: UInt64) {
    resident = []
    guard !usesSwap, pageSize > 0 else { return }
    var pagesLeft = Self.rememberedPages
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      var place = range.lowerBound.alignedDown(to: pageSize)
      while place < range.upperBound, resident.count < Self.residentLimit, pagesLeft > 0 {
        let left = (range.upperBound.bits &- place.bits) / pageSize
        let count = max(1, min(Self.block, Int(clamping: left)))
        pagesLeft -= count
        guard read(from: place, count: count, pageSize: pageSize) else { return }
        noteResident(from: place, count: count, pageSize: pageSize)
        guard let next = place.advanced(by: UInt64(count) &* pageSize) else { return }
        place = next
      }
    }
  }

  /// Appends what of `count` pages is in memory, joined with what was before.
  private mutating func noteResident(from address: RemoteAddress, count: Int, pageSize: UInt64) {
    var index = 0
    while index < count {
      guard entries[index] & PageMap.present != 0 else {
        index += 1
        continue
      }
      let first = index
      while index < count, entries[index] & PageMap.present != 0 { index += 1 }
      let start = RemoteAddress(address.bits &+ UInt64(first) &* pageSize)
      let run = AddressRange(start, byteCount: UInt64(index - first) &* pageSize)
      if let last = resident.last, last.upperBound == run.lowerBound {
        resident[resident.count - 1] = AddressRange(last.lowerBound, run.upperBound)
      } else if resident.count < Self.residentLimit {
        resident.append(run)
      }
    }
  }

  /// Whether the pages from `address` to `end` are among those that are remembered.
  private func isRemembered(from address: RemoteAddress, to end: UInt64) -> Bool {
    var low = 0
    var high = resident.count
    while low < high {
      let middle = (low + high) / 2
      if resident[middle].lowerBound <= address { low = middle + 1 } else { high = middle }
    }
    return low > 0 && resident[low - 1].contains(address)
      && resident[low - 1].upperBound.bits >= end
  }

  /// How many pages are in memory up to the first that is not, nil if that cannot be told.
  mutating func residentPrefix(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> ResidentPrefix? {
    if !resident.isEmpty {
      let (end, overflow) = address.bits.addingReportingOverflow(UInt64(count) &* pageSize)
      if !overflow, isRemembered(from: address, to: end) {
        return ResidentPrefix(count: count, next: nil)
      }
    }
    guard read(from: address, count: count, pageSize: pageSize) else { return nil }
    var index = 0
    while index < count {
      if entries[index] & PageMap.present == 0 {
        let next = state(of: entries[index])
        if next == .swapped { hasSwapped = true }
        if next != .resident { return ResidentPrefix(count: index, next: next) }
      }
      index += 1
    }
    return ResidentPrefix(count: count, next: nil)
  }

  /// How many of `count` bytes from `address` on lie before a page that is swapped out.
  mutating func lengthBeforeSwapped(_ address: RemoteAddress, _ count: Int) -> Int {
    var place = address.alignedDown(to: pageSize)
    let (end, overflow) = address.bits.addingReportingOverflow(UInt64(count))
    guard count > 0, !overflow else { return count }
    while place.bits < end {
      let left = Int(clamping: (end &- place.bits &+ pageSize &- 1) / pageSize)
      let pages = min(left, Self.block)
      guard read(from: place, count: pages, pageSize: pageSize) else { return count }
      if let index = entries[..<pages].firstIndex(where: { state(of: $0) == .swapped }) {
        let swapped = place.bits &+ UInt64(index) &* pageSize
        return swapped <= address.bits ? 0 : Int(clamping: swapped &- address.bits)
      }
      guard let next = place.advanced(by: UInt64(pages) &* pageSize) else { break }
      place = next
    }
    return count
  }

  /// The page that was looked up last: places that are looked up one after the other are often on one.
  struct Lookup {
    fileprivate var page: UInt64 = .max
    fileprivate var isSwapped = false
  }

  /// Whether any of `count` bytes from `address` on is on a page that is swapped out.
  mutating func isSwapped(_ address: RemoteAddress, _ count: Int, _ lookup: inout Lookup) -> Bool {
    let page = address.bits / pageSize
    let (last, overflow) = address.bits.addingReportingOverflow(UInt64(max(1, count) - 1))
    guard !overflow, last / pageSize == page else {
      return lengthBeforeSwapped(address, count) < count
    }
    if lookup.page != page {
      lookup.page = page
      lookup.isSwapped = lengthBeforeSwapped(address, count) < count
    }
    return lookup.isSwapped
  }

  /// See `LiveMemoryReader.isAddressSpaceInUse`.
  func isAddressSpaceInUse() -> Bool? {
    guard file >= 0 else { return nil }
    var entry: UInt64 = 0
    return unsafe withUnsafeMutableBytes(of: &entry) { bytes in
      unsafe cpt_pread(file, bytes.baseAddress, bytes.count, 0)
    } > 0
  }

  /// Reads the entries of `count` pages into the front of `entries`.
  private mutating func read(from address: RemoteAddress, count: Int, pageSize: UInt64) -> Bool {
    guard file >= 0, pageSize > 0, count > 0, address.bits <= Int64.max else { return false }
    if entries.count < count {
      entries += [UInt64](repeating: 0, count: count - entries.count)
    }
    let offset = Int64(address.bits / pageSize) * 8
    let read = unsafe entries.withUnsafeMutableBytes { bytes in
      unsafe cpt_pread(file, bytes.baseAddress, count * 8, offset)
    }
    return read == count * 8
  }
}
