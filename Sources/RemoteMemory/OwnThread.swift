// A thread of the operating system, for what a task may not do.

import Glibc

/// A thread that runs one closure.
///
/// Tasks may be moved from thread to thread, but the kernel ties attaching and scheduling to one.
package final class OwnThread: Sendable {
  private let handle: pthread_t

  /// Starts a thread that runs `body`; nil if none can be had.
  ///
  /// `body` is not asked to be sendable: who starts it sees to it that what both threads use is made for that,
  /// and joins it before what it uses goes.
  package init?(_ body: @escaping () -> Void) {
    let work = unsafe Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let failure = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
        }
        return nil
      }, work.toOpaque())
    guard failure == 0 else {
      unsafe work.release()
      return nil
    }
    handle = thread
  }

  /// Waits for its end; to be called once, and not after `detach`.
  package func join() {
    pthread_join(handle, nil)
  }

  /// Leaves it alone: nobody waits for its end.
  package func detach() {
    pthread_detach(handle)
  }

  /// A closure that a C function can be handed.
  private final class Work {
    let body: () -> Void

    init(_ body: @escaping () -> Void) {
      self.body = body
    }
  }
}
