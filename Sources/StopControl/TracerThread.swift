// A thread of our own for a stop: when it ends, the kernel lets go of all that it was attached to,
// even of threads that cannot be detached because they have not stopped.

import RemoteMemory

/// Runs work that stops a process on a thread that ends with it.
package enum TracerThread {
  /// Runs `body` on a new thread and waits for it; on the calling thread if none can be had.
  package static func run<Success, Failure: Error>(
    _ body: () throws(Failure) -> Success
  ) throws(Failure) -> Success {
    var result: Result<Success, Failure>?
    withoutActuallyEscaping(body) { body in
      let work = {
        do throws(Failure) {
          result = .success(try body())
        } catch {
          result = .failure(error)
        }
      }
      if let thread = OwnThread(work) { thread.join() } else { work() }
    }
    guard let result else { preconditionFailure("the thread has run the body") }
    return try result.get()
  }
}
