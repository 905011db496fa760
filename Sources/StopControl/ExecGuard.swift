// The way out of a deadlock between attaching and exec.
//
// When a thread calls exec, the kernel kills the others, and exec waits until each of those that
// are traced has been waited for by its tracer. All that time it holds a lock which attaching to
// one more thread of the process needs. So a tracer with one thread at a time in its hands, which
// is caught by an exec half way through a process's threads, waits for exec, and exec for it, for
// ever (seen here on Linux 6.18, more often than not in 200 programs of 40 threads that call exec).
// But the kernel lets any thread of ours wait for the dead: hence a second one that does nothing
// else.

import CPtrace
import LinuxTarget
import RemoteMemory

#if canImport(Glibc)
  import Glibc
#endif

/// A thread of ours that waits for the ended threads of a process that is being attached to.
struct ExecGuard: ~Copyable {
  /// How long an attachment takes at most before the guard looks for ended threads.
  private static let interval: Int32 = 2

  /// What the thread works with; it outlives the thread.
  private final class Watch {
    let pid: Int32
    let taskPath: String
    let dismissal: Int32

    init(pid: Int32, taskPath: String, dismissal: Int32) {
      self.pid = pid
      self.taskPath = taskPath
      self.dismissal = dismissal
    }

    /// Looks for ended threads again and again, until dismissed.
    func run() {
      guard let tasks = try? OwnedDescriptor(opening: taskPath) else { return }
      var listed = [Int32](repeating: 0, count: 256)
      while true {
        var dismissed = pollfd(fd: dismissal, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&dismissed, 1, ExecGuard.interval) > 0 { return }
        guard let count = try? tasks.listNumbers(into: &listed, path: taskPath) else { return }
        // Exec does not wait for the first thread, whose end is the process's to its parent.
        for tid in listed[..<count] where tid != pid { _ = cpt_reap(tid) }
      }
    }
  }

  private let watch: Watch
  private let thread: OwnThread?

  /// Starts to watch over attaching to `pid`; without a thread to be had, there is no watching.
  init(pid: Int32, taskPath: String) {
    let dismissal = cpt_make_event()
    watch = Watch(pid: pid, taskPath: taskPath, dismissal: dismissal)
    guard dismissal >= 0 else {
      thread = nil
      return
    }
    thread = OwnThread { [watch] in watch.run() }
  }

  deinit {
    dismiss()
    thread?.join()
    if watch.dismissal >= 0 { close(watch.dismissal) }
  }

  /// Ends the watching without waiting for the thread's end.
  func dismiss() {
    if thread != nil { _ = cpt_raise_event(watch.dismissal) }
  }
}
