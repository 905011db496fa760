// Why the kernel refused to let us attach: the first explanation that the facts allow, in the order
// in which the kernel itself checks.

#if canImport(Glibc)
  import Glibc
#endif

/// The explanation of a refused attachment.
package struct AttachDiagnosis: Hashable, Sendable {
  /// What stands in the way.
  package enum Cause: Hashable, Sendable {
    /// There is no such process (any more).
    case noSuchProcess
    /// There is, but our `/proc` hides it.
    case hidden(ProcHiding)
    /// It has ended and waits for its parent.
    case zombie(parent: Int32)
    /// It is a thread of the kernel.
    case kernelThread
    /// It is this process.
    case ourselves
    /// The number is that of a thread of another process.
    case threadOf(pid: Int32)
    /// Another process traces it.
    case traced(tracer: Int32, tracerName: String)
    /// It lives in a user namespace in which we hold no capability.
    case userNamespace(theirs: String?, own: String?)
    /// The container was given CAP_SYS_PTRACE, but not this user.
    case capabilityNotInEffect(ownUser: UInt32)
    /// It belongs to another user, and we lack CAP_SYS_PTRACE.
    case otherUser(theirs: UInt32, own: UInt32)
    /// It belongs to another group, and we lack CAP_SYS_PTRACE.
    case otherGroup(theirs: UInt32, own: UInt32)
    /// It has forbidden to be looked at (changed its user, or asked for it).
    case notDumpable
    /// It holds capabilities that we lack, and we lack CAP_SYS_PTRACE.
    case moreCapabilities(missing: UInt64)
    /// Yama limits or forbids attaching.
    case yama(level: Int)
    /// A security module confines one of both.
    case securityModule(theirs: String?, own: String?)
    /// A filter for system calls is active on us, and nothing else explains it.
    case systemCallFilter
    /// Nothing explains it.
    case unexplained(errno: Int32)
  }

  /// The process in question.
  package let pid: Int32
  /// Its command name, empty if it is not known.
  package let command: String
  /// What stands in the way.
  package let cause: Cause

  /// Makes a diagnosis of a known cause.
  package init(pid: Int32, command: String, cause: Cause) {
    self.pid = pid
    self.command = command
    self.cause = cause
  }

  /// Explains why attaching as `facts` describe it failed with `errno`.
  package init(_ facts: AttachFacts, errno: Int32) {
    pid = facts.pid
    command = facts.command
    cause = Self.cause(facts, errno)
  }

  /// Explains why attaching to `pid` failed with `errno`.
  ///
  /// - Throws: `TargetError` if `/proc` does not even tell us about ourselves.
  package static func explain(
    _ pid: Int32, errno: Int32, proc: ProcFileSystem = ProcFileSystem()
  ) throws(TargetError) -> AttachDiagnosis {
    AttachDiagnosis(try AttachFacts.gather(pid, proc: proc), errno: errno)
  }

  private static func cause(_ facts: AttachFacts, _ errno: Int32) -> Cause {
    let obstacles = obstacles(facts)
    guard let target = facts.target else { return obstacles.first ?? .noSuchProcess }
    if errno == ESRCH {
      return obstacles.first { !$0.comesAfterLookup } ?? .noSuchProcess
    }
    if let first = obstacles.first { return first }
    if target.isConfined || facts.own.isConfined {
      return .securityModule(theirs: target.label, own: facts.own.label)
    }
    if facts.own.status.seccomp == .filter { return .systemCallFilter }
    return .unexplained(errno: errno)
  }

  /// Everything that stands in the way for sure, in the order in which the kernel looks at it.
  static func obstacles(_ facts: AttachFacts) -> [Cause] {
    guard let target = facts.target else {
      return [facts.hiding.map { .hidden($0) } ?? .noSuchProcess]
    }
    if target.status.hasEnded, target.status.threads <= 1 {
      return [.zombie(parent: target.status.parent)]
    }
    if facts.isKernelThread { return [.kernelThread] }
    if facts.pid == facts.own.status.pid { return [.ourselves] }
    if target.status.threadGroup != facts.pid {
      return [.threadOf(pid: target.status.threadGroup)]
    }
    var causes: [Cause] = []
    if target.status.tracer != 0 {
      causes.append(.traced(tracer: target.status.tracer, tracerName: facts.tracerName))
    }
    if let cause = namespaceCause(facts, target) { causes.append(cause) }
    if !facts.mayTraceTarget, let cause = identityCause(facts, target) {
      causes.append(cause)
    }
    if let level = facts.yamaLevel, level >= 3 || (level >= 1 && !facts.mayTraceTarget) {
      causes.append(.yama(level: level))
    }
    if facts.filteredErrno != 0 { causes.append(.systemCallFilter) }
    return causes
  }

  // A capability counts only in namespaces at or below our own. Who holds it there can also read
  // which one the target is in, so an unreadable link tells the same.
  private static func namespaceCause(_ facts: AttachFacts, _ target: AttachParty) -> Cause? {
    let own = facts.own.userNamespace
    switch facts.reach {
    case .same, .owned: return nil
    case .within where facts.own.mayTraceOthers: return nil
    case .within, .outside: return .userNamespace(theirs: target.userNamespace, own: own)
    case .unknown: break
    }
    if let theirs = target.userNamespace {
      return theirs != own && own != nil ? .userNamespace(theirs: theirs, own: own) : nil
    }
    let modulesAllow = !target.isConfined && !facts.own.isConfined
    return facts.own.mayTraceOthers && modulesAllow
      ? .userNamespace(theirs: nil, own: own) : nil
  }

  // The kernel's own order for those without the capability: users, groups, dumpability,
  // capabilities. It compares our real ids with three of the target's.
  private static func identityCause(_ facts: AttachFacts, _ target: AttachParty) -> Cause? {
    let own = facts.own.status
    let theirs = target.status
    let users = [theirs.users.effective, theirs.users.saved, theirs.users.real]
    let groups = [theirs.groups.effective, theirs.groups.saved, theirs.groups.real]
    let otherUser = users.first { $0 != own.users.real }
    let otherGroup = groups.first { $0 != own.groups.real }
    let missing = theirs.permitted & ~own.permitted
    let isHidden =
      facts.fileOwner != nil && facts.fileOwner != theirs.users.effective
    guard otherUser != nil || otherGroup != nil || isHidden || missing != 0 else { return nil }
    if facts.isContained, facts.own.couldTraceOthers, own.users.effective != 0 {
      return .capabilityNotInEffect(ownUser: own.users.effective)
    }
    if let otherUser { return .otherUser(theirs: otherUser, own: own.users.real) }
    if let otherGroup { return .otherGroup(theirs: otherGroup, own: own.groups.real) }
    return isHidden ? .notDumpable : .moreCapabilities(missing: missing)
  }
}

extension AttachDiagnosis.Cause {
  /// Whether the kernel looks at it only when it has found the process.
  fileprivate var comesAfterLookup: Bool {
    switch self {
    case .noSuchProcess, .hidden, .zombie, .kernelThread, .ourselves, .threadOf, .traced: false
    default: true
    }
  }
}
