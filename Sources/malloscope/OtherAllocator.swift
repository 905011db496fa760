// A process whose program uses another malloc than glibc's, or one beside it.

import GlibcHeap
import HeapModel
import LinuxTarget
import RemoteMemory
import Reports
import Symbols

/// What glibc's own malloc holds in a process that has another one.
struct GlibcShare {
  /// How much must be in use for its heap to be worth showing, in bytes, and at least one in how many bytes
  /// of the process's anonymous memory.
  private static let leastInUse: UInt64 = 1 << 20
  private static let leastPart: UInt64 = 100

  /// How many arenas there are.
  var arenas = 0
  /// What they and the mmapped chunks have from the kernel, in bytes.
  var heapBytes: UInt64 = 0
  /// What of it is in use, in bytes; what they have in all if that was not asked for.
  var inUseBytes: UInt64 = 0

  /// Looks without stopping the process; only to tell what is in use, `countsInUse`, is the heap walked.
  init(
    of instances: [MallocInstance], in process: LinuxProcess, _ mappings: [MemoryMapping],
    countsInUse: Bool
  ) throws(Failure) {
    // One that leaves alone what is swapped out.
    let reader = LiveMemoryReader(process)
    let options = WalkOptions(pageSize: process.pageSize)
    let hints = try readFailure(process) { () throws(ReadFault) in
      try HeapWalk.survey(of: instances, reader: reader, mappings: mappings, options: options)
    }
    heapBytes = HeapHints.joined(hints).heapBytes
    arenas = hints.reduce(0) { $0 + $1.arenas.count }
    inUseBytes = heapBytes
    guard countsInUse, heapBytes > 0 else { return }
    var heap = try readFailure(process) { () throws(ReadFault) in
      try HeapWalk.collect(
        of: instances, reader: reader, data: DataRanges(mappings), threads: [], options: options,
        hints: hints, buffers: WalkBuffers(),
        pacing: LivePacing(process, reader: reader, allowance: nil))
    }
    inUseBytes = heap.snapshot().inUse.bytes
  }

  /// Whether so much is in use that it should be shown although the program's malloc is another.
  func isWorthShowing(beside anonymousBytes: UInt64) -> Bool {
    inUseBytes > Self.leastInUse && inUseBytes > anonymousBytes / Self.leastPart
  }
}

extension AllocatorIdentity {
  /// Its name with its file.
  var nameAndFile: String {
    (name == "unknown" ? "one that is not known" : name) + (path.map { " (\($0))" } ?? "")
  }
}

extension AllocatorReport {
  /// What is to be said of a glibc heap that is shown although it is not, or may not be, all that the
  /// program has; nil if there is nothing.
  func finding(_ share: GlibcShare?, anonymousBytes: UInt64?) -> Finding? {
    var text: String
    switch identity {
    case .glibc, .glibcDebug, .staticGlibc:
      guard let other = others.first(where: { $0.name != "glibc" }) else { return nil }
      text =
        "\(other.nameAndFile) is in the process, too, and is not what malloc leads to; what it holds is "
        + "not seen"
    case .unknownInterposer, .unrecognized:
      text =
        "malloc is provided by \(identity.path ?? "an unknown file"); what it does not pass on to glibc "
        + "is not seen"
    case .interposed, .musl, .staticWithoutGlibc, .goRuntime:
      text =
        "the program's malloc is \(identity.nameAndFile), of whose heap nothing is seen; what is shown "
        + "is glibc's own, which something in the process uses"
    }
    if let share, let anonymousBytes, anonymousBytes > share.heapBytes {
      text +=
        ": of \(Figures.rounded(bytes: anonymousBytes)) of anonymous memory, about "
        + "\(Figures.rounded(bytes: anonymousBytes - share.heapBytes)) is not glibc's"
    }
    return Finding(.allocator, at: nil, text)
  }
}

extension Failure {
  /// The process uses an allocator that is not glibc's; `share` is what glibc's holds, nil without glibc.
  init(
    _ allocator: AllocatorReport, process: LinuxProcess, memory: ProcessMemory?,
    mappings: [MemoryMapping], share: GlibcShare?
  ) {
    self.init(
      code: .unsupported,
      fact: "process \(process.pid) (\(process.command)) does not use glibc's malloc but "
        + allocator.identity.nameAndFile,
      hints: [
        "its memory by mapping: /proc/\(process.pid)/smaps; by total: VmRSS in "
          + "/proc/\(process.pid)/status"
      ])
    var sizes: [String] = []
    if let resident = memory?.residentBytes {
      sizes.append("\(Figures.rounded(bytes: resident)) resident")
    }
    if let anonymous = memory?.anonymousBytes {
      sizes.append("\(Figures.rounded(bytes: anonymous)) of it anonymous")
    }
    let mapped = mappings.reduce(0) {
      $0 &+ ($1.isPrivateAnonymousData ? $1.range.byteCount : 0)
    }
    sizes.append("\(Figures.rounded(bytes: mapped)) of private anonymous memory mapped")
    circumstances.append("still true: " + sizes.joined(separator: ", "))
    if let guest = GuestHost(process) {
      circumstances.append(guest.observation)
      hints.insert(guest.hint, at: 0)
    }
    if let line = Self.bindingLine(allocator) { circumstances.append(line) }
    if let share { circumstances.append(Self.shareLine(share)) }
  }

  private static func shareLine(_ share: GlibcShare) -> String {
    guard share.heapBytes > 0 else { return "glibc's own malloc holds nothing" }
    return "glibc's own malloc, which libraries may still use, holds "
      + "\(Figures.rounded(bytes: share.heapBytes)) in \(share.arenas) "
      + (share.arenas == 1 ? "arena" : "arenas")
      + ", \(Figures.rounded(bytes: share.inUseBytes)) of it in use"
  }

  private static func bindingLine(_ allocator: AllocatorReport) -> String? {
    guard !allocator.bindings.isEmpty else { return nil }
    guard let resolved = allocator.resolved else {
      let names = allocator.definers.map(\.fileName).joined(separator: ", ")
      return
        "malloc was not called yet by those who were asked: undecided that it leads to \(names)"
    }
    let users = allocator.bindings.filter { $0.definer == resolved }.map(\.user.fileName)
    return "malloc leads to \(resolved.fileName) from \(users.joined(separator: ", "))"
  }
}
