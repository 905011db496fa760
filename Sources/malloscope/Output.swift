// Where the data goes: standard output or a file of the user's.

import CPtrace
import Glibc
import Reports

/// A descriptor that a report is written to, opened before the target is touched.
struct Output: ~Copyable, ByteSink {
  private let descriptor: Int32
  /// The path of a file that we made, nil for standard output.
  private let path: String?
  private let wasMadeByUs: Bool
  /// Whether what the file held before is still in it: it is kept until there is something to write.
  private var holdsOldContents = true

  /// Standard output, or the file at `path`, which must not exist unless `force` is set.
  ///
  /// - Throws: a failure with the reason.
  init(path: String?, force: Bool) throws(Failure) {
    guard let path else {
      descriptor = 1
      self.path = nil
      wasMadeByUs = false
      return
    }
    var flags = O_WRONLY | O_CREAT | O_CLOEXEC
    if !force { flags |= O_EXCL }
    let existed = access(path, F_OK) == 0
    let number = open(path, flags, 0o666)
    guard number >= 0 else {
      if errno == EEXIST {
        throw Failure(
          code: .inputOutput, fact: "cannot write \(path): it exists",
          hints: ["add --force to overwrite it"])
      }
      if errno == EINTR, cpt_interrupted() != 0 { throw Failure.interrupted }
      throw Failure(code: .inputOutput, fact: "cannot write \(path): \(Self.text(errno))")
    }
    descriptor = number
    self.path = path
    wasMadeByUs = !existed
  }

  /// Writes all of `bytes`.
  ///
  /// - Throws: a failure with the reason; a reader that has closed the pipe ends the process by
  ///   SIGPIPE, as it should.
  mutating func write(_ bytes: Span<UInt8>) throws(Failure) {
    dropOldContents()
    var written = 0
    while written < bytes.count {
      let rest = bytes.extracting(written...)
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw failed(errno)
      }
      written += count
    }
  }

  /// Closes the file and hears what the kernel still has to say of it.
  ///
  /// - Throws: a failure if the data did not reach it.
  consuming func close() throws(Failure) {
    guard path != nil else { return }
    dropOldContents()
    if Glibc.close(descriptor) != 0 { throw failed(errno) }
  }

  private mutating func dropOldContents() {
    guard holdsOldContents, path != nil else { return }
    holdsOldContents = false
    // A pipe or a device has none and says so.
    _ = ftruncate(descriptor, 0)
  }

  /// Removes the file again: there is nothing to write.
  consuming func discard() {
    guard let path else { return }
    _ = Glibc.close(descriptor)
    if wasMadeByUs { unlink(path) }
  }

  private func failed(_ number: Int32) -> Failure {
    if number == EPIPE {
      // The reader has gone, and whoever started us ignores SIGPIPE: end as without that.
      signal(SIGPIPE, SIG_DFL)
      raise(SIGPIPE)
    }
    if let path, wasMadeByUs { unlink(path) }
    return Failure(
      code: .inputOutput,
      fact: "cannot write \(path ?? "standard output"): \(Self.text(number))")
  }

  private static func text(_ number: Int32) -> String {
    guard let text = unsafe strerror(number) else { return "errno \(number)" }
    return unsafe String(cString: text)
  }
}
