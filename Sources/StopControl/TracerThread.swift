// A thread of our own for a stop: when it ends, the kernel lets go of all that it was attached to,
// even of threads that cannot be detached because they have not stopped.

#if canImport(Glibc)
  import Glibc
#endif

/// Runs work that stops a process on a thread that ends with it.
package enum TracerThread {
  /// Runs `body` on a new thread and waits for it; on the calling thread if none can be had.
  package static func run<Success, Failure: Error>(
    _ body: () throws(Failure) -> Success
  ) throws(Failure) -> Success {
    var result: Result<Success, Failure>?
    withoutActuallyEscaping(body) { body in
      let work = Work {
        do throws(Failure) {
          result = .success(try body())
        } catch {
          result = .failure(error)
        }
      }
      let argument = unsafe Unmanaged.passUnretained(work).toOpaque()
      var thread = pthread_t()
      let failure = unsafe pthread_create(
        &thread, nil,
        { argument in
          if let argument = unsafe argument {
            unsafe Unmanaged<Work>.fromOpaque(argument).takeUnretainedValue().perform()
          }
          return nil
        }, argument)
      if failure == 0 {
        pthread_join(thread, nil)
      } else {
        work.perform()
      }
    }
    guard let result else { preconditionFailure("the thread has run the body") }
    return try result.get()
  }

  /// A closure that a C function can be handed.
  private final class Work {
    let perform: () -> Void

    init(perform: @escaping () -> Void) {
      self.perform = perform
    }
  }
}
