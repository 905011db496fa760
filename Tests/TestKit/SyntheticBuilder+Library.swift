// Writes glibc's own variables in a synthetic process: the parameters and the thread-local ones.

import HeapModel

extension SyntheticBuilder {
  /// Writes the parameter block and the count of arenas.
  mutating func writeParameters() {
    let fields = shape.parameterFields
    let base = library.parameters
    let bytes = mmappedMappings.reduce(0) { $0 + $1.byteCount } + mmappedDrift
    let count = UInt32(mmapped.count)
    memory.store(count, at: base + fields.mmapCount)
    // Each of those that were there once had at least a page.
    let more = random.below(4)
    memory.store(count + UInt32(more), at: base + fields.mmapCount + 8)
    memory.store(
      words: [bytes, bytes + plan.pageSize * (more + random.below(9))], at: base + fields.mmappedMem
    )
    memory.store(sbrkBase, at: base + fields.sbrkBase)
    if plan.hugePageSize > 0, let place = fields.hugePageSize {
      memory.store(plan.hugePageSize, at: base + place)
    }
    if random.chance(30) {
      // The threshold grew when a mmapped chunk was freed.
      memory.store(words: [0x84000, 0x20000, 0x42000], at: base)
      memory.store(1 as UInt32, at: base + fields.mmapCount + 12)
    }
    if let tcache = fields.tcache {
      memory.store(plan.fill, at: base + tcache + 16)
      if plan.cachesLargeChunks { memory.store(1 << 22 as UInt64, at: base + tcache + 8) }
    }
    memory.store(UInt64(arenas.count), at: library.arenaCount)
  }

  /// Writes each thread's block of thread-local variables.
  mutating func writeThreadLocals() {
    for (index, thread) in threads.enumerated() {
      let pointer = thread.threadPointer.bits
      if plan.machine == .amd64 {
        memory.store(words: [pointer, pointers.first ?? 0, pointer], at: pointer)
      } else {
        memory.store(words: [pointers.first ?? 0, 0], at: pointer)
      }
      let block = pointer &+ UInt64(bitPattern: library.threadLocalDistance)
      let other: [UInt64] = [
        0, 2, library.textAddress + 0x240, library.mainArena - 64, pointer,
        thread.stackPointer.bits,
      ]
      memory.store(
        words: (0..<SyntheticLibrary.threadLocalSize / 8).map { _ in random.pick(other) }, at: block
      )
      memory.store(arenaPointer(of: index), at: block + library.threadArenaOffset)
      if shape.tcache != .none {
        let own = tcaches.first { $0.thread == index }?.structure
        memory.store(
          own ?? (shape.isAtLeast243 ? library.emptyTcache : 0), at: block + library.tcacheOffset)
      }
    }
  }

  private func arenaPointer(of thread: Int) -> UInt64 {
    guard let arena = plan.threads[thread].arena else { return 0 }
    if plan.main == .unused, !shape.linksBinsEarly { return 0 }
    return arenas[arena].address
  }
}
