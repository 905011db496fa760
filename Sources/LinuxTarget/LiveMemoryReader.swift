// Reading a live process's memory: process_vm_readv, or /proc/PID/mem where that is refused.

import CPtrace
package import HeapModel
package import RemoteMemory

#if canImport(Glibc)
  import Glibc
#endif

/// The memory of a live process.
///
/// A class, because reading counts bytes and may find out that one of the two ways is refused.
package final class LiveMemoryReader: MemoryReader {
  /// A way to read another process's memory.
  package enum Strategy: Sendable, CaseIterable {
    /// The system call `process_vm_readv`; reads only pages that the target itself may read.
    case processVM
    /// The file `/proc/PID/mem`; reads pages that the target may not read, too.
    case memoryFile

    fileprivate var other: Strategy { self == .processVM ? .memoryFile : .processVM }
  }

  /// The largest piece that is read at once, so that an interruption is noticed within some ms.
  private static let largestPiece = 16 << 20

  private let pid: Int32
  /// The open file, or minus the errno of opening it.
  private let memoryFile: Int32
  private var pages: TargetPages
  private let mayChange: Bool
  private var hasChanged = false
  /// The way that is used at the moment.
  package private(set) var strategy: Strategy
  /// How many bytes were copied from the target up to now.
  package var copiedBytes: UInt64 { ownCopiedBytes &+ (assistant?.copiedBytes ?? 0) }
  private var ownCopiedBytes: UInt64 = 0
  /// Whether pages that are swapped out are read, too.
  ///
  /// If not, reading ends before them as before memory that is not mapped. Reading one brings it back
  /// into the target's memory. It took 45 to 65 us a page (a virtual disk, one page here and there) up to
  /// 1 ms, against 3 us for one that is in memory; a rotating disk takes some 10 ms.
  package var readsSwapped = false

  /// Opens the memory of the process or thread `pid`, by one way only if `forced` says which.
  ///
  /// It does not fail: what is refused shows when reading.
  package init(
    pid: Int32, proc: ProcFileSystem = ProcFileSystem(), forced: Strategy? = nil
  ) {
    self.pid = pid
    let result = unsafe cpt_open(proc.path(pid, "mem"))
    // The file of a process that has gone is missing; there is no other reason for that.
    memoryFile = result == -ENOENT ? -ESRCH : result
    pages = TargetPages(pid: pid, proc: proc)
    mayChange = forced == nil
    strategy = forced ?? .processVM
  }

  /// What copies on another thread, if it was started.
  private var assistant: CopyAssistant?

  /// Has a second thread copy what will be read next, if there is a processor for it and we may take
  /// precedence over others; returns whether it does.
  @discardableResult
  package func startAssistant() -> Bool {
    if strategy == .processVM, assistant == nil { assistant = CopyAssistant(pid: pid) }
    return assistant != nil
  }

  package var readAhead: (any ReadAhead)? {
    // An interruption is noticed by reading alone.
    guard strategy == .processVM, !pages.hasSwapped || readsSwapped, cpt_interrupted() == 0 else {
      return nil
    }
    return assistant
  }

  deinit {
    assistant?.end()
    if memoryFile >= 0 { close(memoryFile) }
  }

  /// Opens the memory of an inspected process.
  package convenience init(_ process: LinuxProcess, forced: Strategy? = nil) {
    self.init(pid: process.memoryID, proc: process.proc, forced: forced)
  }

  package func read(
    at address: RemoteAddress, into bytes: inout MutableRawSpan
  ) throws(ReadFault) -> Int {
    var wanted = bytes.byteCount
    if pages.hasSwapped, !readsSwapped { wanted = pages.lengthBeforeSwapped(address, wanted) }
    let filled = try unsafe bytes.withUnsafeMutableBytes {
      (buffer) throws(ReadFault) -> Int in
      var filled = 0
      while filled < wanted {
        let piece = unsafe UnsafeMutableRawBufferPointer(
          rebasing: buffer[filled..<min(wanted, filled + Self.largestPiece)])
        // Beyond 2^63 lies no user memory, and no offset that pread takes.
        guard let place = address.advanced(by: UInt64(filled)), place.bits <= Int64.max else {
          break
        }
        let count = try unsafe transfer(from: place, to: piece)
        if count == 0 { break }
        filled += count
      }
      return filled
    }
    if filled == 0, bytes.byteCount > 0 { throw .unmapped(address) }
    return filled
  }

  package func gather(
    at addresses: [RemoteAddress], wordsEach: Int
  ) throws(ReadFault) -> GatheredWords {
    precondition(wordsEach > 0, "a place has at least one word")
    guard pages.hasSwapped, !readsSwapped else {
      return try gatherAll(at: addresses, wordsEach: wordsEach)
    }
    var lookup = TargetPages.Lookup()
    let open = addresses.indices.filter {
      !pages.isSwapped(addresses[$0], wordsEach * 8, &lookup)
    }
    if open.count == addresses.count {
      return try gatherAll(at: addresses, wordsEach: wordsEach)
    }
    let gathered = try gatherAll(at: open.map { addresses[$0] }, wordsEach: wordsEach)
    var words = [UInt64](repeating: 0, count: addresses.count * wordsEach)
    var isReadable = [Bool](repeating: false, count: addresses.count)
    for (place, index) in open.enumerated() where gathered.isReadable[place] {
      isReadable[index] = true
      for word in 0..<wordsEach {
        words[index * wordsEach + word] = gathered.words[place * wordsEach + word]
      }
    }
    return GatheredWords(wordsEach: wordsEach, words: words, isReadable: isReadable)
  }

  /// Gathers without regard to where the pages are.
  private func gatherAll(
    at addresses: [RemoteAddress], wordsEach: Int
  ) throws(ReadFault) -> GatheredWords {
    var words = [UInt64](repeating: 0, count: addresses.count * wordsEach)
    var isReadable = [Bool](repeating: false, count: addresses.count)
    let bits = addresses.map(\.bits)
    let bytesEach = wordsEach * 8
    var place = 0
    while place < bits.count {
      let batch = min(bits.count - place, Int(cpt_gather_limit))
      let count: Int
      if strategy == .processVM {
        count = try gatherBatch(bits, place, batch, wordsEach, &words)
      } else {
        count = try readPlace(addresses[place], place * wordsEach, wordsEach, &words)
      }
      let complete = count / bytesEach
      for index in place..<place + complete { isReadable[index] = true }
      // Of a place that could not be read to its end, nothing is kept.
      let started = place + complete
      if count % bytesEach > 0 {
        for word in started * wordsEach..<(started + 1) * wordsEach { words[word] = 0 }
      }
      // The place after the last complete one is at fault for certain only if it was the first
      // of this call or was begun.
      place = started + (complete == 0 || count % bytesEach > 0 ? 1 : 0)
    }
    return GatheredWords(wordsEach: wordsEach, words: words, isReadable: isReadable)
  }

  /// Whether the address space that this reader opened is still in use: no more when its process has
  /// ended or called exec.
  ///
  /// One system call, about a microsecond, and exact with or without address randomisation: an open page
  /// map belongs to an address space, not to a process, and reads as empty when that has gone (not
  /// documented in proc(5), but tested). Only where another process shares the address space (a target
  /// that is in a vfork and then calls exec) it lives on although the target has left it. Nil if the
  /// page map could not be opened.
  package func isAddressSpaceInUse() -> Bool? { pages.isAddressSpaceInUse() }

  /// Looks up which pages of `ranges` are in memory, and has `residentPrefix` remember those that are.
  ///
  /// Looking them up again would take 5 % of the time of a stop. A page that the target gives back
  /// meanwhile reads as zeros, at the cost of an entry in its page tables. Where swap is used, nothing is
  /// remembered: reading what was swapped out meanwhile would bring it back.
  package func rememberResident(_ ranges: [AddressRange], pageSize: UInt64) {
    pages.rememberResident(ranges, pageSize: pageSize)
  }

  package func pageStates(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> [PageState]? {
    pages.states(from: address, count: count, pageSize: pageSize)
  }

  package func residentPrefix(
    from address: RemoteAddress, count: Int, pageSize: UInt64
  ) -> ResidentPrefix? {
    pages.residentPrefix(from: address, count: count, pageSize: pageSize)
  }

  /// Copies a run of places in one system call and returns the number of bytes.
  private func gatherBatch(
    _ addresses: [UInt64], _ place: Int, _ batch: Int, _ wordsEach: Int, _ words: inout [UInt64]
  ) throws(ReadFault) -> Int {
    while true {
      try checkInterruption()
      let count = unsafe addresses.withUnsafeBufferPointer { addresses in
        unsafe words.withUnsafeMutableBufferPointer { words in
          let from = unsafe UnsafeBufferPointer(rebasing: addresses[place..<place + batch])
          let to = unsafe UnsafeMutableBufferPointer(rebasing: words[(place * wordsEach)...])
          return unsafe cpt_gather_memory(
            pid, from.baseAddress, batch, wordsEach * 8, to.baseAddress)
        }
      }
      if let copied = try outcome(count) { return copied }
      // Another way from now on; the rest is read place by place.
      if strategy != .processVM {
        return try readPlace(
          RemoteAddress(addresses[place]), place * wordsEach, wordsEach, &words)
      }
    }
  }

  /// Copies one place and returns the number of bytes.
  private func readPlace(
    _ address: RemoteAddress, _ first: Int, _ count: Int, _ words: inout [UInt64]
  ) throws(ReadFault) -> Int {
    guard address.bits <= Int64.max else { return 0 }
    return try unsafe words.withUnsafeMutableBufferPointer {
      (words) throws(ReadFault) -> Int in
      let piece = unsafe UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(rebasing: words[first..<first + count]))
      return try unsafe transfer(from: address, to: piece)
    }
  }

  /// Copies up to a whole piece and returns how many bytes, 0 if not even the first can be read.
  private func transfer(
    from address: RemoteAddress, to piece: UnsafeMutableRawBufferPointer
  ) throws(ReadFault) -> Int {
    while true {
      try checkInterruption()
      let count: Int64
      switch strategy {
      case .processVM:
        count = unsafe cpt_read_memory(pid, address.bits, piece.baseAddress, piece.count)
      case .memoryFile:
        count = unsafe readFile(at: address, to: piece)
      }
      if let copied = try outcome(count) { return copied }
    }
  }

  private func readFile(
    at address: RemoteAddress, to piece: UnsafeMutableRawBufferPointer
  ) -> Int64 {
    guard memoryFile >= 0 else { return Int64(memoryFile) }
    let count = unsafe cpt_pread(
      memoryFile, piece.baseAddress, piece.count, Int64(address.bits))
    // The end of the file at any place: the address space has gone with its last thread.
    return count == 0 ? -Int64(ESRCH) : count
  }

  /// What a system call's result means: bytes, or nil to try again by the way that is set now.
  private func outcome(_ count: Int64) throws(ReadFault) -> Int? {
    guard count < 0 else {
      ownCopiedBytes &+= UInt64(count)
      return Int(count)
    }
    let number = Int32(-count)
    switch number {
    case EFAULT, EIO:
      return 0
    case ESRCH:
      throw .targetGone
    case EINTR:
      return nil
    case EPERM, EACCES, ENOSYS:
      guard mayChange, !hasChanged, strategy == .memoryFile || memoryFile >= 0 else {
        throw .refused(errno: number)
      }
      hasChanged = true
      strategy = strategy.other
      return nil
    default:
      throw .refused(errno: number)
    }
  }

  private func checkInterruption() throws(ReadFault) {
    if cpt_interrupted() != 0 { throw .interrupted }
  }
}
