// Pages of our own memory that are made before they are needed, on two threads.

import Glibc
import Synchronization

/// Has the kernel make the pages of memory of ours, on a second thread, while the first does other things.
package final class PagePreparation: Sendable {
  private let work: Work
  /// Nil once it was waited for.
  private let thread: Mutex<OwnThread?>

  /// Starts to make the pages of `extents`, which stay allocated until this has gone.
  ///
  /// With `areUnused`, nothing may be put there before `finish` was called. Else, what they hold stays as it is, but
  /// kernels before 5.14 cannot do that: there, each page is made when it is first used.
  package init(_ extents: [Range<UInt>], areUnused: Bool) {
    let work = Work(extents, areUnused: areUnused)
    self.work = work
    thread = Mutex(OwnThread { while work.makePiece() {} })
  }

  /// Makes what is not made yet, together with the second thread.
  package func finish() {
    while work.makePiece() {}
    join()
  }

  deinit {
    work.cancel()
    join()
  }

  /// Sleeps until the second thread has ended: it may need this one's processor.
  private func join() {
    thread.withLock { $0.take() }?.join()
  }

  /// The pieces, of which either thread takes the next.
  private final class Work: Sendable {
    /// madvise's MADV_POPULATE_WRITE (Linux 5.14), which glibc's headers have from 2.35 on.
    private static let populateForWriting: Int32 = 23

    private let pieces: [Range<UInt>]
    private let areUnused: Bool
    private let taken = Atomic<Int>(0)

    init(_ extents: [Range<UInt>], areUnused: Bool) {
      self.areUnused = areUnused
      let (page, size) = (UInt(getpagesize()), UInt(MemoryBlock.hugePageSize))
      var pieces: [Range<UInt>] = []
      for extent in extents {
        // Whole pages only, and no huge page is made by both threads.
        var start = (extent.lowerBound + page - 1) & ~(page - 1)
        let last = extent.upperBound & ~(page - 1)
        while start < last {
          let end = min((start / size + 1) * size, last)
          pieces.append(start..<end)
          start = end
        }
      }
      self.pieces = pieces
    }

    /// Makes the next piece, and returns whether there was one.
    func makePiece() -> Bool {
      let index = taken.add(1, ordering: .relaxed).oldValue
      guard index < pieces.count else { return false }
      let piece = pieces[index]
      if let start = unsafe UnsafeMutableRawPointer(bitPattern: piece.lowerBound) {
        unsafe make(start, byteCount: piece.count)
      }
      return true
    }

    private func make(_ start: UnsafeMutableRawPointer, byteCount: Int) {
      guard areUnused else {
        _ = unsafe madvise(start, byteCount, Self.populateForWriting)
        return
      }
      // Meanwhile the other thread may map memory, which it would have to wait for with madvise.
      for offset in stride(from: 0, to: byteCount, by: 4096) {
        unsafe start.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
      }
    }

    /// Leaves all pieces that nobody has taken.
    func cancel() { taken.store(pieces.count, ordering: .relaxed) }
  }
}
