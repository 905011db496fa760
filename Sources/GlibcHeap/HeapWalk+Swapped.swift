// What is swapped out and stays so: the walk passes over it and says what it could not see.
//
// Bringing one page back takes 45 to 65 us on a fast virtual disk, some 10 ms on a rotating one, against
// 3 us for reading a page that is in memory; the target stands still meanwhile, and has more memory
// afterwards than before, in a control group that may have no room for it. Where chunks are small,
// every page would have to come back. So none does.

package import HeapModel
package import RemoteMemory

extension HeapWalk {
  /// Reads malloc's own structures once, so that what a walk cannot do without is in memory: its
  /// parameters, the arenas, the beginnings of their heaps (where most threads' caches are, too).
  ///
  /// To be called while the target runs, with a reader that reads what is swapped out; it may bring back
  /// two pages, and one for each heap of a thread arena.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  package static func bringBackStructures(
    of instance: MallocInstance, reader: any MemoryReader, mappings: [MemoryMapping],
    options: WalkOptions
  ) throws(ReadFault) {
    guard let parameters = try Parameters(of: instance, reader: reader) else { return }
    var walk = HeapWalk(
      instance: instance, reader: reader, data: DataRanges(mappings), threads: [], options: options,
      hints: HeapHints(), parameters: parameters, buffers: WalkBuffers(), pacing: nil)
    let arenas = try walk.readRing()
    try walk.locateMemory(of: arenas)
    if let start = walk.mainStart { _ = try reader.word(at: RemoteAddress(start)) }
  }

  /// The arena that is being walked.
  var presentArena: FindingLog.SwappedPart { .arena(Int(scan.ground.arena)) }

  /// Whether the page of `address` is swapped out; false if that cannot be told.
  func isSwappedOut(_ address: UInt64) -> Bool { pageState(of: address) == .swapped }

  /// Whether the page of `address` may ever have been touched; true if that cannot be told.
  func isTouched(_ address: UInt64) -> Bool { pageState(of: address) != .untouched }

  private func pageState(of address: UInt64) -> PageState? {
    let page = RemoteAddress(address).alignedDown(to: window.pageSize)
    return reader.pageStates(from: page, count: 1, pageSize: window.pageSize)?.first
  }

  /// Notes it if the header at `address` was read, but not the links behind it, because those are on a
  /// page that is swapped out.
  mutating func noteSwappedLinks(of address: UInt64) {
    if window.holds(address, 16), !window.holds(address, 32), window.isSwappedOut(address &+ 31) {
      log.noteSwapped(presentArena)
    }
  }
}
