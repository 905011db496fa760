// Which of a process's threads can make a system call for us without coming to harm.

import CPtrace
import HeapModel
import LinuxTarget

extension CallingThread {
  /// How well a thread is suited, the best first.
  enum Rank: Int, Comparable {
    /// It sleeps on a futex: should we be killed half way, it takes the odd result for a reason to
    /// look again.
    case sleepsOnFutex
    /// It sleeps in another system call.
    case sleeps
    /// It computes: every register may matter.
    case computes
    /// It sleeps with a signal mask for that time only.
    case sleepsWithOtherMask

    static func < (one: Rank, other: Rank) -> Bool { one.rawValue < other.rawValue }
  }

  /// How well this one is suited.
  var rank: Rank {
    if place.system_call < 0 { return .computes }
    if place.swaps_mask != 0 { return .sleepsWithOtherMask }
    return place.is_futex_wait != 0 ? .sleepsOnFutex : .sleeps
  }

  /// An instruction for its calls: its own, else the one at `fallback`, nil if neither is one.
  func instruction(fallback: UInt64?) -> UInt64? {
    let own = place.system_call >= 0 ? place.instruction : nil
    return [own, fallback].lazy.compactMap { $0 }.first { cpt_is_call_instruction(tid, $0) != 0 }
  }

  /// What stands in the way of its making system calls, nil if nothing does; with `forBirth`, of
  /// making a process.
  mutating func obstacle(in process: LinuxProcess, forBirth: Bool) -> CloneError.Obstacle? {
    if place.is_64_bit == 0 { return .thirtyTwoBit }
    if cpt_diverts_calls(tid) != 0 { return .divertsCalls }
    if place.system_call < 0, cpt_may_be_in_sequence(tid) != 0 { return .restartableSequence }
    if place.swaps_mask != 0, !Self.keepsMasks(proc) { return .otherMask }
    let directory = proc.path(process.pid, "task/\(tid)")
    guard let text = try? proc.text(directory + "/status"),
      let status = ProcessStatus(parsing: text)
    else { return .unreadable }
    if status.seccomp != .disabled { return .filtered }
    hasPendingSignal = status.pendingSignals != 0
    guard forBirth else { return nil }
    if changesNamespace(directory, "pid") { return .newPIDNamespace }
    return changesNamespace(directory, "time") ? .newTimeNamespace : nil
  }

  /// Whether its next child would be in another namespace of a kind than itself.
  ///
  /// That child, should it be the first one there, begins the namespace, and with it the namespace
  /// would end.
  private func changesNamespace(_ directory: String, _ kind: String) -> Bool {
    // Kernels that do not know the difference have no such file.
    let name = "ns/\(kind)_for_children"
    guard (try? proc.link("\(proc.root)/self/\(name)")) != nil else { return false }
    guard let own = try? proc.link("\(directory)/ns/\(kind)") else { return true }
    return (try? proc.link("\(directory)/\(name)")) != own
  }

  /// Whether the kernel lets a tracer keep the mask that a thread goes back to after its wait: since
  /// Linux 5.1.
  private static func keepsMasks(_ proc: ProcFileSystem) -> Bool {
    let release = (try? proc.text("\(proc.root)/sys/kernel/osrelease")) ?? ""
    let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).map { Int($0) ?? 0 }
    return numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 1)
  }
}

/// The search for an instruction that makes a system call, for threads that are in none.
enum CallInstruction {
  /// How much is read of a process's code at most: that of any libc, several times over.
  private static let searchLimit = 32 << 20
  private static let pieceSize = 1 << 16

  /// Finds one in the executable mappings of a running process; the kernel's own first, which is small
  /// and has one.
  static func find(in process: LinuxProcess) -> UInt64? {
    let code = ((try? process.mappings()) ?? []).filter { $0.isExecutable && $0.isReadable }
    let (first, others) = (code.filter { $0.name == "[vdso]" }, code.filter { $0.name != "[vdso]" })
    var piece = [UInt8](repeating: 0, count: pieceSize)
    var rest = searchLimit
    for mapping in first + others {
      var place = mapping.range.lowerBound.bits
      while place < mapping.range.upperBound.bits, rest > 0 {
        let wanted = min(UInt64(pieceSize), mapping.range.upperBound.bits - place)
        let count = unsafe piece.withUnsafeMutableBytes { bytes in
          unsafe cpt_read_memory(process.memoryID, place, bytes.baseAddress, Int(wanted))
        }
        guard count > 1 else { break }
        if let index = (0..<Int(count) - 1).first(where: { piece[$0] == 0x0f && piece[$0 + 1] == 5 }
        ) {
          return place + UInt64(index)
        }
        place += UInt64(count)
        rest -= Int(count)
      }
    }
    return nil
  }
}
