// How far an arena reaches that grows while it is walked, without reading all mappings in a stop.

import HeapModel
import RemoteMemory

extension HeapWalk {
  /// How much more is walked than one and a half times of what an arena had when the walk began: one that
  /// grows faster than it is read must not be read for ever.
  static var endlessBytes: UInt64 { 256 << 20 }

  /// Whether the present arena has grown so fast that its walk should end.
  var isEndless: Bool {
    pacing != nil && scan.inUse.bytes &+ scan.free.bytes &+ scan.cached.bytes > walkedLimit
  }

  /// How much an arena is believed to have grown without a look at the mappings: as much as a heap holds.
  private static var believedGrowth: UInt64 { HeapInfoLayout.defaultHeapMaximum }
  /// How often at least a target that runs is looked at before its mappings are read again: otherwise it
  /// could grow faster than it is read.
  private static var looksBetweenMappings: Int { 64 }

  /// Has `data` reach as far as `arena`, which may have grown since the mappings were read.
  ///
  /// Reading them anew in a stop takes 0.6 us for each, of which some processes have tens of thousands.
  mutating func followGrowth(of arena: Arena) throws(ReadFault) {
    guard let pacing else { return }
    var isDoubtful = false
    for range in memory(of: arena) {
      let end = range.upperBound.alignedUp(to: options.pageSize).bits
      guard data.range(containing: end &- 1) == nil else { continue }
      let from = max(range.lowerBound.bits, data.end(before: end) ?? 0)
      if end &- from <= Self.believedGrowth, try ends(range, in: arena) {
        data.add(AddressRange(RemoteAddress(from), RemoteAddress(end)))
        doubtThreadCaches()
      } else {
        isDoubtful = true
      }
    }
    if !arena.isContiguous, arena.address == instance.mainArena, !arena.hasNoMemory {
      isDoubtful = isDoubtful || data.range(containing: arena.top.bits) == nil
    }
    let since = progress.moment - (growthMoment ?? -Self.looksBetweenMappings)
    guard isDoubtful, since >= (isLive ? Self.looksBetweenMappings : 1) else { return }
    growthMoment = progress.moment
    data = DataRanges(try pacing.mappings())
    doubtThreadCaches()
  }

  /// The memory of which an arena itself says that it is its own.
  private func memory(of arena: Arena) -> [AddressRange] {
    if arena.address != instance.mainArena { return (heaps[arena.address] ?? []).map(\.range) }
    guard arena.isContiguous, !arena.hasNoMemory, let start = mainStart else { return [] }
    let (end, overflow) = parameters.sbrkBase.addingReportingOverflow(arena.systemBytes)
    guard !overflow, start < end, end < 1 << 56 else { return [] }
    return [AddressRange(RemoteAddress(start), RemoteAddress(end))]
  }

  /// Whether `range` is mapped up to its end, and ends where the arena's top chunk does, if that is in it.
  private func ends(_ range: AddressRange, in arena: Arena) throws(ReadFault) -> Bool {
    let end = range.upperBound
    guard range.contains(arena.top) else {
      // Others are full up to their last words.
      return try reader.word(at: RemoteAddress((end.bits &- 8) & ~7)) != nil
    }
    // What is behind top's header may never have been touched, and is to stay so.
    guard let field = try reader.word(at: RemoteAddress(arena.top.bits &+ 8)) else { return false }
    return arena.top.bits &+ field & ~7 == end.bits
  }

  /// Whether a pointer to a chunk's user bytes could be `address`.
  ///
  /// The mappings were read just before the first stop: if that says no, they are read once more.
  mutating func canHoldUserPointer(_ address: UInt64) throws(ReadFault) -> Bool {
    if data.canHoldUserPointer(address) { return true }
    guard let pacing, !isLive, address & 15 == 0, progress.moment == 0, !hasDoubtedData else {
      return false
    }
    hasDoubtedData = true
    data = DataRanges(try pacing.mappings())
    return data.canHoldUserPointer(address)
  }
}
