// Reading what comes next on another thread, while what is here is looked at.

package import HeapModel

/// Reads one piece of a target's memory at a time on another thread.
///
/// Its functions are called from one thread. The memory that is read into must live until the reading is
/// finished or cancelled.
package protocol ReadAhead: AnyObject {
  /// Begins to read `count` bytes from `address` on into `buffer`, from its byte `offset` on.
  func begin(at address: RemoteAddress, count: Int, into buffer: inout PageBuffer, offset: Int)

  /// Helps to read what is left, and returns how many bytes were read before the first that cannot be.
  func finish() -> Int

  /// Ends the reading; what was read is worth nothing.
  func cancel()
}
