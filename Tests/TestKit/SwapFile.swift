// Swap space of a test's own.

package import Glibc

/// A file to which the kernel swaps, taken back with this value's end, or that of the whole test run.
///
/// It is the whole machine's for that time, but only what is told to (MADV_PAGEOUT) goes there on a
/// machine that has memory to spare.
package final class SwapFile {
  private let directory: TemporaryDirectory
  private let keeper: ChildProcess

  /// Why there can be none, nil if there can: as a test's reason not to run.
  package static let obstacle: String? = {
    do {
      _ = try SwapFile(mebibytes: 1)
      return nil
    } catch {
      return "swapping to a file is not possible here: \(error)"
    }
  }()

  /// Makes the file and turns it on.
  ///
  /// - Throws: `TestKitError`, with what the kernel said.
  package init(mebibytes: Int = 64) throws(TestKitError) {
    directory = try TemporaryDirectory()
    keeper = try ChildProcess(
      ChildProcess.Launch(
        try CompiledProgram.path("SwapFile.c"), [directory.file("swap"), String(mebibytes)]))
    let answer = try keeper.readLine(
      by: Deadline(in: TargetProgram.patience), waitingFor: "swap space")
    guard answer == "on" else { throw .malformed(what: "swap space", text: answer) }
  }

  deinit {
    // It brings back what is there first. If that takes longer, it is not killed for it: see close.
    keeper.closeInput()
    _ = try? keeper.waitForEnd(by: Deadline(in: TargetProgram.patience))
  }
}

/// How many pages of a process's private writable memory its page map calls swapped out.
///
/// - Throws: `TestKitError` if its files cannot be read.
package func swappedPages(of pid: pid_t) throws(TestKitError) -> Int {
  let maps = String(decoding: try contents(ofFile: "/proc/\(pid)/maps"), as: UTF8.self)
  let path = "/proc/\(pid)/pagemap"
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw .system(call: "open", subject: path, errno: errno) }
  defer { close(file) }
  var count = 0
  for line in maps.split(separator: "\n") {
    let fields = line.split(separator: " ")
    guard fields.count >= 5, fields[1].hasPrefix("rw-p") else { continue }
    let bounds = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    guard bounds.count == 2 else { throw .malformed(what: "a mapping", text: String(line)) }
    var entries = [UInt64](repeating: 0, count: Int((bounds[1] - bounds[0]) / 4096))
    let byteCount = entries.count * 8
    guard pread(file, &entries, byteCount, off_t(bounds[0] / 4096 * 8)) == byteCount else {
      throw .system(call: "pread", subject: path, errno: errno)
    }
    count += entries.count { $0 & 1 << 62 != 0 }
  }
  return count
}
