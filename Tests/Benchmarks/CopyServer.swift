// The raw copy that everything is compared with, in a process of its own.
//
// wait4 counts what a parent has had resident as its child's, so the program that measures the tool's
// peak memory must never hold a copy of the heap itself.

import CPtrace
import Glibc
import TestKit

/// Copies ranges of another process's memory whenever it is asked to, and says how long it took.
struct CopyServer {
  /// The hidden first argument; then follow the pid, the buffer's length, and each range's start and
  /// length.
  static let verb = "--serve-copies"

  /// What it can be asked to do, followed by the number of bytes.
  enum Question: String {
    /// Copy in as few calls as possible, into memory that holds all.
    case raw
    /// Copy in pieces of 512 KiB, each over the one before.
    case pieces
  }

  private static let pieceLength = 512 << 10

  private let pid: Int32
  private let ranges: [Range<UInt64>]
  private let buffer: UnsafeMutableRawBufferPointer

  /// Says ready and answers lines with nanoseconds until there are no more; returns the exit code.
  static func serve(_ arguments: [String]) -> Int32 {
    let numbers = arguments.compactMap { Int($0) }
    guard numbers.count == arguments.count, numbers.count >= 4, numbers.count % 2 == 0,
      numbers.allSatisfy({ $0 > 0 }), let server = CopyServer(numbers)
    else {
      writeError("\(verb) cannot serve \(arguments)")
      return 64
    }
    print("ready")
    fflush(nil)
    while let words = readLine()?.split(separator: " "), words.count == 2,
      let question = Question(rawValue: String(words[0])), let byteCount = Int(words[1])
    {
      let begin = cpt_now()
      let isCopied = server.copy(byteCount, reusing: question == .pieces)
      let end = cpt_now()
      guard isCopied else {
        writeError("process \(server.pid) could not be read: errno \(errno)")
        return 1
      }
      print(end - begin)
      fflush(nil)
    }
    return 0
  }

  /// Allocates the buffer and touches it; nil if there is no memory.
  private init?(_ numbers: [Int]) {
    let length = numbers[1]
    guard
      let memory = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      memory != MAP_FAILED
    else { return nil }
    memset(memory, 0xa5, length)
    buffer = UnsafeMutableRawBufferPointer(start: memory, count: length)
    pid = Int32(clamping: numbers[0])
    ranges = stride(from: 2, to: numbers.count, by: 2).map { index in
      UInt64(numbers[index])..<UInt64(numbers[index]) + UInt64(numbers[index + 1])
    }
  }

  /// Copies `byteCount` bytes, from the first range again where the tool copied more than there are.
  ///
  /// Returns false with errno set if the memory could not be read.
  private func copy(_ byteCount: Int, reusing: Bool) -> Bool {
    var rest = byteCount
    var filled = 0
    while rest > 0 {
      for range in ranges where rest > 0 {
        var address = range.lowerBound
        while address < range.upperBound, rest > 0 {
          if reusing || filled == buffer.count { filled = 0 }
          let room = reusing ? min(Self.pieceLength, buffer.count) : buffer.count - filled
          let wanted = min(room, Int(range.upperBound - address), rest)
          let count = cpt_read_memory(pid, address, buffer.baseAddress.map { $0 + filled }, wanted)
          guard count == wanted else {
            errno = count < 0 ? Int32(-count) : EFAULT
            return false
          }
          address += UInt64(wanted)
          filled += wanted
          rest -= wanted
        }
      }
    }
    return true
  }
}

extension TargetProgram {
  /// Has a copy server copy, and returns the milliseconds.
  ///
  /// - Throws: `TestKitError`.
  func copy(_ question: CopyServer.Question, _ byteCount: UInt64) throws(TestKitError) -> Double {
    let answer = try ask("\(question.rawValue) \(byteCount)")
    guard let nanoseconds = Double(answer) else {
      throw .malformed(what: "a copy server's answer", text: answer)
    }
    return nanoseconds / 1_000_000
  }
}
