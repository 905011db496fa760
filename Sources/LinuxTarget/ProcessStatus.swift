// What /proc/PID/status, stat and cmdline say: small files that are read once.

package import HeapModel

/// The real, effective, saved and file system id of a process, for users or for groups.
package struct IDs: Hashable, Sendable {
  /// The id of who started it.
  package var real: UInt32
  /// The id that it acts with.
  package var effective: UInt32
  /// The id that it may take back.
  package var saved: UInt32

  /// Makes a set of ids.
  package init(real: UInt32, effective: UInt32, saved: UInt32) {
    self.real = real
    self.effective = effective
    self.saved = saved
  }
}

/// What restricts the system calls of a thread: the field Seccomp of `/proc/PID/status`.
package enum SeccompMode: Int, Hashable, Sendable {
  /// Nothing.
  case disabled = 0
  /// Only read, write, _exit and sigreturn; anything else kills it.
  case strict = 1
  /// A program decides on each call.
  case filter = 2
}

/// The contents of `/proc/PID/status` that matter here.
package struct ProcessStatus: Hashable, Sendable {
  /// The letter of its state: R, S, D, T, t, Z, X, I.
  package var state: Character
  /// The process that it is a thread of.
  package var threadGroup: Int32
  /// Its own id.
  package var pid: Int32
  /// Its parent.
  package var parent: Int32
  /// The process that traces it, 0 if none does.
  package var tracer: Int32
  /// Its users.
  package var users: IDs
  /// Its groups.
  package var groups: IDs
  /// Its ids from our PID namespace inwards; the last is the one that it knows itself.
  package var namespacedPIDs: [Int32]
  /// How many threads its process has.
  package var threads: Int
  /// The capabilities that it may use.
  package var permitted: UInt64
  /// The capabilities in effect.
  package var effective: UInt64
  /// The capabilities that it could ever get.
  package var bounding: UInt64
  /// What restricts its system calls (Seccomp), nil before Linux 3.8 and for a mode that is newer
  /// than this.
  package var seccomp: SeccompMode?
  /// Its memory, all nil for what has none: a thread of the kernel, or a process that has ended.
  package var memory: MemoryFigures
  /// The signals that wait for it or for its process, bit 0 being signal 1.
  package var pendingSignals: UInt64

  /// Reads the text, nil if one of the fields that every kernel writes is missing.
  package init?(parsing text: String) {
    var values: [Substring: [Substring]] = [:]
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...]
      values[line[..<colon]] = value.split { $0 == "\t" || $0 == " " }
    }
    func number<Number: FixedWidthInteger>(_ key: Substring, radix: Int = 10) -> Number? {
      values[key]?.first.flatMap { Number($0, radix: radix) }
    }
    func ids(_ key: Substring) -> IDs? {
      guard let fields = values[key]?.compactMap({ UInt32($0) }), fields.count >= 3 else {
        return nil
      }
      return IDs(real: fields[0], effective: fields[1], saved: fields[2])
    }
    guard let state = values["State"]?.first?.first, let group: Int32 = number("Tgid"),
      let pid: Int32 = number("Pid"), let parent: Int32 = number("PPid"), let users = ids("Uid"),
      let groups = ids("Gid")
    else { return nil }
    self.state = state
    threadGroup = group
    self.pid = pid
    self.parent = parent
    tracer = number("TracerPid") ?? 0
    self.users = users
    self.groups = groups
    // Missing before Linux 4.1.
    namespacedPIDs = values["NSpid"]?.compactMap { Int32($0) } ?? [pid]
    threads = number("Threads") ?? 1
    permitted = number("CapPrm", radix: 16) ?? 0
    effective = number("CapEff", radix: 16) ?? 0
    bounding = number("CapBnd", radix: 16) ?? 0
    seccomp = number("Seccomp").flatMap(SeccompMode.init)
    func bytes(_ key: Substring) -> UInt64? {
      let kibibytes: UInt64? = number(key)
      return kibibytes.map { $0.multipliedReportingOverflow(by: 1024) }
        .flatMap { $0.overflow ? nil : $0.partialValue }
    }
    memory = MemoryFigures(
      resident: bytes("VmRSS"), anonymous: bytes("RssAnon"), file: bytes("RssFile"),
      swapped: bytes("VmSwap"))
    pendingSignals = (number("SigPnd", radix: 16) ?? 0) | (number("ShdPnd", radix: 16) ?? 0)
  }

  /// Whether it has ended.
  package var hasEnded: Bool { state == "Z" || state == "X" }
}

/// How much memory a process has, in bytes, as `/proc/PID/status` says in KiB (proc(5)).
///
/// Since Linux 6.2 the kernel keeps them as one counter for each processor, and what it says may lag
/// behind by some dozen pages for each: small values may even be given as 0.
package struct MemoryFigures: Hashable, Sendable {
  /// In memory, of whatever kind (VmRSS).
  package var resident: UInt64?
  /// Anonymous and in memory (RssAnon), nil before Linux 4.5.
  package var anonymous: UInt64?
  /// Of files and in memory (RssFile), nil before Linux 4.5.
  package var file: UInt64?
  /// Anonymous and swapped out (VmSwap), also into compressed memory; without shared memory.
  package var swapped: UInt64?

  /// Makes figures.
  package init(
    resident: UInt64? = nil, anonymous: UInt64? = nil, file: UInt64? = nil, swapped: UInt64? = nil
  ) {
    self.resident = resident
    self.anonymous = anonymous
    self.file = file
    self.swapped = swapped
  }
}

/// The contents of `/proc/PID/stat` that matter here.
package struct ProcessStat: Hashable, Sendable {
  /// The letter of its state.
  package var state: Character
  /// Its parent.
  package var parent: Int32
  /// The signal that tells its parent of its end, 0 for none, nil if the kernel does not tell.
  package var exitSignal: Int32?
  /// Whether it is a thread of the kernel.
  package var isKernelThread: Bool
  /// When it started, in clock ticks since the machine did: with its id its identity.
  package var startTime: UInt64
  /// Where its program break began, nil if we may not know.
  package var startBreak: RemoteAddress?

  /// Reads the text, nil if it is not such a line.
  package init?(parsing text: String) {
    // The name is in parentheses and can hold any of ") (" itself.
    guard let nameEnd = text.utf8.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = text[nameEnd...].dropFirst().split { $0 == " " || $0 == "\n" }
    // The first of them is field number 3 in proc(5).
    func field(_ number: Int) -> UInt64? {
      fields.indices.contains(number - 3) ? UInt64(fields[number - 3]) : nil
    }
    guard let state = fields.first?.first, let flags = field(9), let start = field(22),
      let parent = field(4).flatMap({ Int32(exactly: $0) })
    else { return nil }
    self.state = state
    self.parent = parent
    exitSignal = field(38).flatMap { Int32(exactly: $0) }
    // PF_KTHREAD of include/linux/sched.h, unchanged since Linux 2.6.17.
    isKernelThread = flags & 0x0020_0000 != 0
    startTime = start
    // Written as 0 for those who may not attach; a process that cannot have a break has 0 too.
    startBreak = field(47).flatMap { $0 == 0 ? nil : RemoteAddress($0) }
  }
}

/// The parsers of files without any structure of their own.
package enum ProcText {
  /// Reads `/proc/PID/cmdline`: arguments that end with a zero byte each.
  package static func arguments(_ bytes: [UInt8]) -> [String] {
    var pieces = bytes.split(separator: 0, omittingEmptySubsequences: false)
    if pieces.last?.isEmpty == true { pieces.removeLast() }
    return pieces.map { String(decoding: $0, as: UTF8.self) }
  }

  /// A link to a file without the mark of a deleted one, and whether it bore it.
  package static func withoutDeletedMark(_ path: String) -> (path: String, isDeleted: Bool) {
    let mark = " (deleted)"
    guard path.hasPrefix("/"), path.hasSuffix(mark) else { return (path, false) }
    return (String(path.dropLast(mark.count)), true)
  }
}
