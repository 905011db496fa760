// A second thread that copies the target's memory: while the target stands still, its processors are
// idle, and the copy is what a stop takes most of its time for.

import CPtrace
import HeapModel
import RemoteMemory
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Copies pieces of one job at a time, together with the thread that wants them.
///
/// Either thread takes the next piece that nobody has taken, so that the one that wants the memory never
/// waits for more than one piece. The number of the job is part of what is taken by, so that a late
/// thread cannot take a piece of another job.
final class CopyAssistant: ReadAhead {
  /// How much is copied by one call: enough to make the call's own time small.
  private static let pieceLength = 64 << 10
  /// How often the assistant looks for a job before it sleeps: about 100 us.
  private static let patience = 4_000
  /// The part of a ticket that counts pieces; the rest is the job's number.
  private static let pieceMask: UInt64 = 0xffff_ffff

  private let pid: Int32
  private let address = Atomic<UInt64>(0)
  private let destination = Atomic<UInt>(0)
  private let count = Atomic<Int>(0)
  /// The present job's number, and the first piece of it that nobody has taken.
  private let ticket = Atomic<UInt64>(pieceMask)
  /// How many pieces were copied, and how many bytes before the first that could not be read.
  private let copied = Atomic<Int>(0)
  private let readable = Atomic<Int>(.max)
  private let isAsleep = Atomic<Bool>(false)
  private let isEnding = Atomic<Bool>(false)
  private let wakeUp: Int32
  private var thread: OwnThread?
  private var hasJob = false
  /// How many bytes were copied and not cancelled.
  private(set) var copiedBytes: UInt64 = 0

  /// Starts the thread; nil if there is one processor only for us, or if the thread may not take
  /// precedence over others: then it would have to be waited for.
  init?(pid: Int32) {
    guard cpt_processor_count() > 1 else { return nil }
    self.pid = pid
    wakeUp = cpt_make_event()
    guard wakeUp >= 0 else { return nil }
    // Tried on this thread, and taken back.
    guard cpt_hurry(1) == 0 else {
      close(wakeUp)
      return nil
    }
    _ = cpt_hurry(0)
    // Without keeping it alive: it ends the thread.
    thread = OwnThread { [unowned self] in work() }
    if thread == nil {
      close(wakeUp)
      return nil
    }
  }

  /// Ends the thread; to be called once, before the last reference goes.
  func end() {
    isEnding.store(true, ordering: .releasing)
    _ = cpt_raise_event(wakeUp)
    thread?.join()
    close(wakeUp)
  }

  func begin(
    at address: RemoteAddress, count: Int, into buffer: inout PageBuffer, offset: Int
  ) {
    precondition(!hasJob, "a reading is finished or cancelled before the next")
    hasJob = true
    // Whoever sees one of these sees that the job before has ended.
    self.address.store(address.bits, ordering: .releasing)
    let start = unsafe buffer.withPrefix(offset + count) { UInt(bitPattern: $0.baseAddress) }
    destination.store(start + UInt(offset), ordering: .releasing)
    self.count.store(count, ordering: .releasing)
    copied.store(0, ordering: .relaxed)
    readable.store(.max, ordering: .relaxed)
    let job = (ticket.load(ordering: .relaxed) >> 32) &+ 1
    ticket.store(job << 32, ordering: .sequentiallyConsistent)
    if isAsleep.load(ordering: .sequentiallyConsistent) { _ = cpt_raise_event(wakeUp) }
  }

  func finish() -> Int {
    guard hasJob else { return 0 }
    while copyPiece() {}
    waitForPieces(pieceCount)
    hasJob = false
    // Before the next job's place and length are told, nobody may find a piece by them.
    ticket.store(ticket.load(ordering: .relaxed) | Self.pieceMask, ordering: .releasing)
    let result = min(count.load(ordering: .relaxed), readable.load(ordering: .relaxed))
    copiedBytes &+= UInt64(result)
    return result
  }

  func cancel() {
    guard hasJob else { return }
    let job = ticket.load(ordering: .relaxed) & ~Self.pieceMask
    let old = ticket.exchange(job | Self.pieceMask, ordering: .acquiringAndReleasing)
    waitForPieces(min(pieceCount, Int(old & Self.pieceMask)))
    hasJob = false
  }

  private var pieceCount: Int {
    (count.load(ordering: .relaxed) + Self.pieceLength - 1) / Self.pieceLength
  }

  private func waitForPieces(_ number: Int) {
    var looks = 0
    while copied.load(ordering: .acquiring) < number {
      looks += 1
      // Should both threads have come to share a processor, the other gets its turn by this.
      if looks % 1000 == 0 { cpt_pause(0) }
    }
  }

  /// Copies the next piece, and returns whether there was one.
  private func copyPiece() -> Bool {
    let taken = ticket.load(ordering: .acquiring)
    let piece = Int(taken & Self.pieceMask)
    let start = piece * Self.pieceLength
    let count = count.load(ordering: .acquiring)
    let address = address.load(ordering: .acquiring)
    let destination = destination.load(ordering: .acquiring)
    guard start < count else { return false }
    // What was loaded belongs to the job of the ticket if nobody has changed that meanwhile.
    guard
      ticket.compareExchange(
        expected: taken, desired: taken &+ 1, ordering: .acquiringAndReleasing
      ).exchanged
    else { return true }
    let length = min(Self.pieceLength, count - start)
    let place = unsafe UnsafeMutableRawPointer(bitPattern: destination + UInt(start))
    let result = unsafe cpt_read_memory(pid, address &+ UInt64(start), place, length)
    if result < length { lower(readable, to: start + max(0, Int(result))) }
    copied.add(1, ordering: .releasing)
    return true
  }

  private func lower(_ value: borrowing Atomic<Int>, to limit: Int) {
    _ = value.min(limit, ordering: .relaxed)
  }

  /// What the thread does: copies as long as there is something to copy, and sleeps else.
  private func work() {
    _ = cpt_hurry(1)
    var idle = 0
    while !isEnding.load(ordering: .acquiring) {
      if copyPiece() {
        idle = 0
        continue
      }
      idle += 1
      if idle < Self.patience { continue }
      isAsleep.store(true, ordering: .sequentiallyConsistent)
      // A job may have come just before.
      let next = ticket.load(ordering: .sequentiallyConsistent) & Self.pieceMask
      if next != 0 { cpt_wait_event(wakeUp) }
      isAsleep.store(false, ordering: .sequentiallyConsistent)
      idle = 0
    }
  }
}
