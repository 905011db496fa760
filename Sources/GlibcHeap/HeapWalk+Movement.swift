// Who was changing the heap when it was stopped, and what they had in their hands.

package import HeapModel
package import RemoteMemory

extension HeapWalk {
  /// How many words of its stack a thread keeps what it was called with: enough for the frames of a
  /// system call's wrapper and of what malloc calls it through (`sbrk` and its hook).
  private static var callWords: Int { 16 }

  /// Whether no thread is inside malloc and no arena is locked, so that nothing of the heap is on its
  /// way from one list to another.
  ///
  /// With one thread, malloc takes no lock (glibc 2.27 on), so that the program counters count, and the
  /// return addresses of threads that are elsewhere in libc: in a system call or a copy that malloc
  /// makes. `arenas` are those that an earlier look found.
  ///
  /// - Throws: the reader's faults other than `unmapped`.
  package static func isQuiet(
    _ instances: [MallocInstance], arenas: [RemoteAddress], threads: [ThreadState],
    reader: any MemoryReader
  ) throws(ReadFault) -> Bool {
    for instance in instances {
      if try !threadsInside(instance, threads: threads, reader: reader).isEmpty { return false }
    }
    let mutexes = try reader.gather(at: arenas, wordsEach: 1)
    // The mutex is the first half of the first word.
    return !arenas.indices.contains { (mutexes[$0, 0] ?? 0) & 0xffff_ffff != 0 }
  }

  /// The threads that are inside malloc, or in something that it has called.
  static func threadsInside(
    _ instance: MallocInstance, threads: [ThreadState], reader: any MemoryReader
  ) throws(ReadFault) -> [ThreadState] {
    guard let code = instance.code else { return [] }
    var inside = threads.filter { code.contains($0.programCounter) }
    let nearby = threads.filter {
      instance.imageRange.contains($0.programCounter) && !code.contains($0.programCounter)
        && instance.mayHaveMade($0.systemCall)
    }
    let stacks = try reader.gather(at: nearby.map(\.stackPointer), wordsEach: callWords)
    for (index, thread) in nearby.enumerated() {
      let isCalled = (0..<callWords).contains { word in
        stacks[index, word].map { code.contains(RemoteAddress($0)) } ?? false
      }
      if isCalled { inside.append(thread) }
    }
    return inside
  }

  /// Names who was changing the heap when it was stopped: what such a thread has in its hands is in no
  /// list.
  mutating func reportMovement(_ arenas: [Arena]) throws(ReadFault) {
    guard pacing?.stopsTarget != false else { return }
    let inside =
      progress.moment == 0
      ? try Self.threadsInside(instance, threads: threads, reader: reader)
      : threads.filter { instance.code?.contains($0.programCounter) == true }
    if !inside.isEmpty || arenas.contains(where: \.isLocked) { progress.busyMoments += 1 }
    // Of later stops, their number is told in the end.
    guard progress.moment == 0 else { return }
    isAnyInside = !inside.isEmpty
    for thread in inside {
      log.add(
        .inTransit, at: nil,
        "thread \(thread.tid) was stopped inside malloc: up to two chunks that it was moving are "
          + "counted as in use")
    }
    for (index, arena) in arenas.enumerated() where arena.isLocked {
      log.add(
        .inTransit, at: arena.address.bits,
        "arena \(copies.firstArena + index) was locked: a thread was changing it, and what it had in its hands counts as "
          + "in use")
    }
  }

  /// What the threads that were inside malloc have in their registers and in the last 512 bytes of
  /// their stacks.
  func heldWords() throws(ReadFault) -> Set<UInt64> {
    let inside = threads.filter { instance.code?.contains($0.programCounter) == true }
    let stacks = try reader.gather(at: inside.map(\.stackPointer), wordsEach: 64)
    return Set((inside.flatMap(\.registers) + stacks.words).map(instance.machine.untagged))
  }
}

extension MallocInstance {
  /// Whether malloc can have made the system call that a thread is in.
  ///
  /// A thread that waits elsewhere may have return addresses into malloc left over on its stack, where
  /// the frames of its calls do not write: in 2.41, those of a thread that waits for a condition do.
  fileprivate func mayHaveMade(_ call: ThreadState.SystemCall?) -> Bool {
    switch call {
    case .other: return false
    case nil, .memory, .futex(nil): return true
    case .futex(let address?):
      // The main arena's lock, those of the arenas' lists, at most 0x6830 bytes behind it in Debian's
      // 2.31, 2.36, 2.41, 2.43 and 2.44, and the locks of thread arenas.
      return AddressRange(mainArena, byteCount: 0x8000).contains(address)
        || address.bits & (1 << 20 - 1) == UInt64(heapInfoLayout.byteCount)
    }
  }
}
