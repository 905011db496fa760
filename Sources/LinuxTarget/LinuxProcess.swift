// One process as /proc describes it: what is learned before it is stopped, and its mappings.

import CPtrace
package import HeapModel
import RemoteMemory

#if canImport(Glibc)
  import Glibc
#endif

/// A live 64-bit process that is not ourselves, with what was found out about it.
package struct LinuxProcess: Sendable {
  /// Where its files are.
  package let proc: ProcFileSystem
  /// The id that was asked for: differs from `pid` if that was the id of one of its threads.
  package let requestedID: Int32
  /// Its process id in our PID namespace.
  package let pid: Int32
  /// The id of a thread through which its memory can be read: `pid`, unless its first thread has
  /// ended while others live on.
  package let memoryID: Int32
  /// What its status file said.
  package let status: ProcessStatus
  /// Its command name.
  package let command: String
  /// The path of its executable as the kernel gives it, without the mark of a deleted file; empty
  /// if we may not know.
  package let executable: String
  /// Whether the executable was deleted or replaced since it was started.
  package let isExecutableDeleted: Bool
  /// When it started, in clock ticks since the machine did.
  package let startTime: UInt64
  /// Where its program break began, nil if we may not know.
  package let startBreak: RemoteAddress?
  /// Its page size in bytes: the machine's, as of all its processes.
  ///
  /// What its auxiliary vector says it
  /// could have written there itself (prctl(2), PR_SET_MM_MAP).
  package let pageSize: UInt64
  /// The container that it runs in.
  package let container: ContainerIdentity?

  /// Its process id in its own PID namespace.
  package var namespacedPid: Int32 { status.namespacedPIDs.last ?? pid }
  /// How many threads it had.
  package var threadCount: Int { status.threads }
  /// The process that traces it, 0 if none does.
  package var tracerPID: Int32 { status.tracer }

  /// Finds out what `/proc` says of the process that has, or whose thread has, the id `id`.
  ///
  /// - Throws: `TargetError` if there is no such process, or it is none that has a heap for us to
  ///   read. That it is traced by another is not an error here: see `tracerPID`.
  package static func inspect(
    _ id: Int32, proc: ProcFileSystem = ProcFileSystem()
  ) throws(TargetError) -> LinuxProcess {
    try checkNamespace(proc)
    guard id > 0 else { throw .noSuchProcess(pid: id) }
    var status = try status(of: id, proc: proc)
    let pid = status.threadGroup
    if pid != id { status = try self.status(of: pid, proc: proc) }
    if pid == proc.ownPID { throw .ourselves(pid: pid) }
    let statPath = proc.path(pid, "stat")
    guard let stat = ProcessStat(parsing: try text(of: pid, statPath, proc)) else {
      throw .malformed(path: statPath, expected: "the fields of proc(5)")
    }
    let name = proc.line(proc.path(pid, "comm")) ?? ""
    if stat.isKernelThread { throw .kernelThread(pid: pid, name: name) }
    var memoryID = pid
    if status.hasEnded {
      guard let survivor = liveThread(of: pid, proc: proc) else {
        throw .zombie(pid: pid, name: name, parent: status.parent)
      }
      memoryID = survivor
    }
    let link = (try? proc.link(proc.path(memoryID, "exe"))) ?? ""
    let (executable, isDeleted) = ProcText.withoutDeletedMark(link)
    if isThirtyTwoBit(memoryID, proc: proc) {
      throw .thirtyTwoBit(pid: pid, executable: executable)
    }
    let cgroup = (try? proc.text(proc.path(pid, "cgroup"))) ?? ""
    return LinuxProcess(
      proc: proc, requestedID: id, pid: pid, memoryID: memoryID, status: status, command: name,
      executable: executable, isExecutableDeleted: isDeleted, startTime: stat.startTime,
      startBreak: stat.startBreak, pageSize: UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE)))),
      container: ContainerParser.parse(cgroup))
  }

  /// Its mappings, ascending.
  ///
  /// - Throws: `TargetError.ended`, or `.unreadable` where attaching is not permitted either.
  package func mappings() throws(TargetError) -> [MemoryMapping] {
    var scratch = [UInt8](repeating: 0, count: 1 << 16)
    return try mappings(scratch: &scratch)
  }

  /// Its mappings, ascending, read through `scratch`, which the caller made before stopping it.
  package func mappings(scratch: inout [UInt8]) throws(TargetError) -> [MemoryMapping] {
    let path = proc.path(memoryID, "maps")
    do {
      let count = try proc.read(path, into: &scratch)
      return MapsParser.parse(scratch.span.extracting(first: count))
    } catch {
      throw whileAlive(error)
    }
  }

  /// The ids of its threads.
  package func threadIDs() throws(TargetError) -> [Int32] {
    do {
      return try proc.numbers(in: proc.path(pid, "task"))
    } catch {
      throw whileAlive(error)
    }
  }

  /// Which pages of `ranges` are in memory.
  package func residency(of ranges: [AddressRange]) throws(TargetError) -> ResidencyMap {
    do {
      return try PageMap.read(proc.path(memoryID, "pagemap"), ranges: ranges, pageSize: pageSize)
    } catch {
      throw whileAlive(error)
    }
  }

  /// Whether the process that has its id now is the one that was inspected.
  package func isStillTheSame() -> Bool {
    guard let text = try? proc.text(proc.path(pid, "stat")), let stat = ProcessStat(parsing: text)
    else { return false }
    guard stat.startTime == startTime else { return false }
    guard stat.state == "Z" || stat.state == "X" else { return true }
    // A first thread that has ended is a zombie while others live on.
    let status = (try? proc.text(proc.path(pid, "status"))).flatMap(ProcessStatus.init(parsing:))
    return (status?.threads ?? 0) > 1
  }

  // A process that ends takes its files with it, in two different ways.
  func whileAlive(_ error: TargetError) -> TargetError {
    error.meansGone ? .ended(pid: pid) : error
  }

  private static func checkNamespace(_ proc: ProcFileSystem) throws(TargetError) {
    let there: String
    do {
      there = try proc.link("\(proc.root)/self")
    } catch {
      guard case .unreadable(_, let errno) = error else { throw error }
      throw .procNotMounted(root: proc.root, errno: errno)
    }
    if there != String(proc.ownPID) {
      throw .procOfAnotherNamespace(root: proc.root, ownPID: proc.ownPID, pidThere: there)
    }
  }

  private static func text(
    of pid: Int32, _ path: String, _ proc: ProcFileSystem
  ) throws(TargetError) -> String {
    do {
      return try proc.text(path)
    } catch {
      throw error.meansGone ? .ended(pid: pid) : error
    }
  }

  private static func status(
    of id: Int32, proc: ProcFileSystem
  ) throws(TargetError) -> ProcessStatus {
    let path = proc.path(id, "status")
    let text: String
    do {
      text = try proc.text(path)
    } catch {
      if let hiding = proc.hiding(id, behind: error) { throw .hidden(pid: id, hiding: hiding) }
      throw error.meansGone ? .noSuchProcess(pid: id) : error
    }
    guard let status = ProcessStatus(parsing: text) else {
      throw .malformed(path: path, expected: "State, Tgid, Pid, PPid, Uid and Gid")
    }
    return status
  }

  /// A thread that has not ended, nil if all have.
  private static func liveThread(of pid: Int32, proc: ProcFileSystem) -> Int32? {
    let threads = (try? proc.numbers(in: proc.path(pid, "task"))) ?? []
    return threads.first { thread in
      guard let text = try? proc.text(proc.path(pid, "task/\(thread)/stat")),
        let stat = ProcessStat(parsing: text)
      else { return false }
      return stat.state != "Z" && stat.state != "X"
    }
  }

  private static func isThirtyTwoBit(_ pid: Int32, proc: ProcFileSystem) -> Bool {
    guard let file = try? OwnedDescriptor(opening: proc.path(pid, "exe")) else { return false }
    var start = [UInt8](repeating: 0, count: 5)
    let count = unsafe start.withUnsafeMutableBytes { bytes in
      unsafe cpt_pread(file.number, bytes.baseAddress, bytes.count, 0)
    }
    // EI_CLASS, the fifth byte of an ELF file: 1 is ELFCLASS32.
    return count == 5 && start == [0x7f, 0x45, 0x4c, 0x46, 1]
  }
}
