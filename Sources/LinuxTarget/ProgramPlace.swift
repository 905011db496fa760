// Whether a process still runs the program that it ran: where the kernel put that program tells.

import CPtrace

/// When a process started, and where exec put its program: fields of `stat` that only exec changes.
///
/// Two programs, or one that was started again, lie elsewhere because the kernel chooses at random.
/// Where it does not (`setarch -R`, `kernel.randomize_va_space`), the same program started again with
/// arguments and environment of the same length has the same values, and no other field of the file
/// tells them apart: the rest counts time and events, and begins anew only with a process. For a
/// check without that gap see `LiveMemoryReader.isAddressSpaceInUse`. The places of arguments and
/// environment are left out, because a program may move them (prctl(2), PR_SET_MM_ARG_START).
struct ProgramPlace: Hashable, Sendable {
  /// More than the file's 52 numbers and a name of 64 bytes need.
  private static let longestLine = 2048

  // Under the names and numbers of proc(5); all but the first are 0 or 1 for those who may not attach.
  private var startTime: UInt64
  private var startCode: UInt64
  private var endCode: UInt64
  private var startStack: UInt64
  private var startData: UInt64
  private var endData: UInt64
  private var startBreak: UInt64

  /// Takes the fields from a line of `stat`, nil if it is none.
  init?(parsing line: RawSpan) {
    var end = line.byteCount
    func byte(_ index: Int) -> UInt8 {
      unsafe line.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }
    // The name is in parentheses and can hold any of ") (" itself.
    while end > 0, byte(end - 1) != UInt8(ascii: ")") { end -= 1 }
    guard end > 0 else { return nil }
    var numbers: InlineArray<52, UInt64> = .init(repeating: 0)
    // The first field after the name is number 3.
    var number = 2
    var isInNumber = false
    for index in end..<line.byteCount {
      let character = byte(index)
      if character <= UInt8(ascii: " ") {
        isInNumber = false
        continue
      }
      if !isInNumber {
        number += 1
        isInNumber = true
      }
      guard number < numbers.count else { break }
      // The state's letter and the minus of some come out as nonsense, which is not asked for.
      numbers[number] = numbers[number] &* 10 &+ UInt64(character &- UInt8(ascii: "0"))
    }
    guard number >= 47 else { return nil }
    startTime = numbers[22]
    startCode = numbers[26]
    endCode = numbers[27]
    startStack = numbers[28]
    startData = numbers[45]
    endData = numbers[46]
    startBreak = numbers[47]
  }

  /// Reads the fields from the file at `path`, on the stack; nil if it cannot be read.
  init?(path: String) {
    let file = unsafe cpt_open(path)
    guard file >= 0 else { return nil }
    let descriptor = OwnedDescriptor(adopting: file)
    let place = unsafe withUnsafeTemporaryAllocation(
      byteCount: Self.longestLine, alignment: 16
    ) { buffer -> ProgramPlace? in
      let count = unsafe cpt_read(descriptor.number, buffer.baseAddress, buffer.count)
      guard count > 0 else { return nil }
      return ProgramPlace(
        parsing: unsafe RawSpan(
          _unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)])))
    }
    guard let place else { return nil }
    self = place
  }

  /// The file that is read: a thread's own, for which the kernel does not add up all threads' times as
  /// it does for the process's.
  static func path(_ pid: Int32, thread: Int32, proc: ProcFileSystem) -> String {
    proc.path(pid, "task/\(thread)/stat")
  }
}
