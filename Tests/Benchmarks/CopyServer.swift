// The raw copy that everything is compared with, in a process of its own.
//
// wait4 counts what a parent has had resident as its child's, so the program that measures the tool's
// peak memory must never hold a copy of the heap itself.

import CPtrace
import Glibc

/// Copies a range of another process's memory whenever it is asked to, and says how long it took.
struct CopyServer {
  /// The hidden first argument; then follow pid, the range's start and length, and bytes to copy.
  static let verb = "--serve-copies"

  /// What it can be asked to do.
  enum Question: String {
    /// Copy all bytes, in as few calls as possible, into memory that holds all of them.
    case raw
    /// Copy all bytes in pieces of 512 KiB, each over the one before.
    case pieces
    /// Go from chunk to chunk through what the last raw copy brought.
    case walk
  }

  private static let pieceLength = 512 << 10

  private let pid: Int32
  private let start: UInt64
  private let rangeLength: Int
  private let byteCount: Int
  private let buffer: UnsafeMutableRawPointer

  /// Says ready and answers lines with `NANOSECONDS CHUNKS` until there are no more; returns the exit
  /// code.
  static func serve(_ arguments: [String]) -> Int32 {
    let numbers = arguments.compactMap { Int($0) }
    guard numbers.count == 4, numbers.allSatisfy({ $0 > 0 }),
      let server = CopyServer(
        pid: Int32(clamping: numbers[0]), start: UInt64(numbers[1]), rangeLength: numbers[2],
        byteCount: numbers[3])
    else {
      writeError("\(verb) cannot serve \(arguments)")
      return 64
    }
    print("ready")
    fflush(nil)
    while let line = readLine(), let question = Question(rawValue: line) {
      let begin = cpt_now()
      let count = server.answer(question)
      let end = cpt_now()
      guard let count else {
        writeError("process \(server.pid) could not be read: errno \(errno)")
        return 1
      }
      print("\(end - begin) \(count)")
      fflush(nil)
    }
    return 0
  }

  /// Allocates the memory and touches it; nil if there is none.
  private init?(pid: Int32, start: UInt64, rangeLength: Int, byteCount: Int) {
    guard
      let buffer = mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      buffer != MAP_FAILED
    else { return nil }
    memset(buffer, 0xa5, byteCount)
    self.pid = pid
    self.start = start
    self.rangeLength = rangeLength
    self.byteCount = byteCount
    self.buffer = buffer
  }

  /// Does what is asked and returns the number of chunks seen, 0 if none were looked for; nil with
  /// errno set if the memory could not be read.
  private func answer(_ question: Question) -> Int? {
    switch question {
    case .raw: copy(pieceLength: rangeLength, reusing: false) ? 0 : nil
    case .pieces: copy(pieceLength: Self.pieceLength, reusing: true) ? 0 : nil
    case .walk: chunkCount()
    }
  }

  /// Copies `byteCount` bytes, from the range's start again where the tool copied more than the range.
  private func copy(pieceLength: Int, reusing: Bool) -> Bool {
    var done = 0
    while done < byteCount {
      let place = done % rangeLength
      let wanted = min(pieceLength, rangeLength - place, byteCount - done)
      let count = cpt_read_memory(
        pid, start + UInt64(place), reusing ? buffer : buffer + done, wanted)
      guard count == wanted else {
        errno = count < 0 ? Int32(-count) : EFAULT
        return false
      }
      done += wanted
    }
    return true
  }

  /// Follows the sizes, of which each chunk's second word is one, from the range's first chunk to its
  /// end: the least that any walk has to do.
  private func chunkCount() -> Int {
    let length = min(rangeLength, byteCount)
    var offset = 0
    var count = 0
    while offset <= length - 16 {
      let size = buffer.load(fromByteOffset: offset + 8, as: UInt64.self) & ~7
      guard size >= 32, size <= UInt64(length - offset) else { break }
      offset += Int(size)
      count += 1
    }
    return count
  }
}
