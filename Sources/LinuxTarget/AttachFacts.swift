// What decides whether the kernel lets us attach: gathered from /proc without touching the target.

import CPtrace

#if canImport(Glibc)
  import Glibc
#endif

/// The number of CAP_SYS_PTRACE.
private let tracingCapability: UInt64 = 1 << 19

/// One side of an attachment.
package struct AttachParty: Hashable, Sendable {
  /// Users, groups, capabilities, seccomp, tracer.
  package var status: ProcessStatus
  /// Its user namespace as `/proc/PID/ns/user` names it, nil if we may not know.
  package var userNamespace: String?
  /// Its security label (AppArmor profile or SELinux context), nil if there is none.
  package var label: String?

  /// Makes a party.
  package init(status: ProcessStatus, userNamespace: String?, label: String?) {
    self.status = status
    self.userNamespace = userNamespace
    self.label = label
  }

  /// Whether CAP_SYS_PTRACE is in effect.
  package var mayTraceOthers: Bool { status.effective & tracingCapability != 0 }
  /// Whether CAP_SYS_PTRACE could be in effect, were it run as another user.
  package var couldTraceOthers: Bool { status.bounding & tracingCapability != 0 }
  /// Whether a security module holds it to rules.
  package var isConfined: Bool {
    guard let label, !label.isEmpty else { return false }
    return label != "unconfined" && label != "kernel" && !label.contains(":unconfined_t:")
  }
}

/// Everything about an attachment that can be known without attempting it.
package struct AttachFacts: Hashable, Sendable {
  /// The process in question.
  package var pid: Int32
  /// Its command name.
  package var command: String
  /// What is known of it, nil if there is no such process.
  package var target: AttachParty?
  /// Whether it is a thread of the kernel.
  package var isKernelThread = false
  /// Who owns its files in `/proc`: root, if the process is not dumpable, while its directory is always
  /// its user's (measured on Linux 6.18).
  package var fileOwner: UInt32?
  /// The command name of the process that traces it, empty if none does or it is not visible.
  package var tracerName = ""
  /// Ourselves.
  package var own: AttachParty
  /// Yama's level, nil where the kernel has no Yama.
  package var yamaLevel: Int?
  /// Whether this tool itself runs in a container.
  package var isContained: Bool
  /// How far our rights reach into its user namespace.
  package var reach = NamespaceReach.unknown
  /// The frozen control group that it is in, nil if it is in none.
  package var freezer: Freezer?
  /// How `/proc` hides processes, or this one if it is not seen; nil if it does not.
  package var hiding: ProcHiding?
  /// Whether `/proc` has nothing but processes.
  package var hasOnlyProcesses = false
  /// The errno with which a filter refuses us any ptrace, 0 if none does.
  package var filteredErrno: Int32 = 0
  /// Whether the kernel that we run on is gVisor's.
  package var isInGVisor = false

  /// Makes facts of what is known at least.
  package init(
    pid: Int32, command: String, target: AttachParty?, own: AttachParty, yamaLevel: Int? = nil,
    isContained: Bool = false
  ) {
    self.pid = pid
    self.command = command
    self.target = target
    self.own = own
    self.yamaLevel = yamaLevel
    self.isContained = isContained
  }

  /// Gathers the facts about attaching to `pid`.
  ///
  /// - Throws: `TargetError` if `/proc` does not even tell us about ourselves.
  package static func gather(
    _ pid: Int32, proc: ProcFileSystem = ProcFileSystem()
  ) throws(TargetError) -> AttachFacts {
    guard let own = party(proc.ownPID, proc: proc) else {
      throw .malformed(
        path: proc.path(proc.ownPID, "status"), expected: "State, Tgid, Pid, PPid, Uid and Gid")
    }
    var facts = AttachFacts(
      pid: pid, command: proc.line(proc.path(pid, "comm")) ?? "",
      target: party(pid, proc: proc), own: own,
      yamaLevel: proc.line("\(proc.root)/sys/kernel/yama/ptrace_scope").flatMap { Int($0) },
      isContained: isContained(own.status, proc: proc))
    facts.hasOnlyProcesses = proc.hasOnlyProcesses
    facts.isInGVisor = proc.line("\(proc.root)/version").map(GuestHost.isGVisorKernel) ?? false
    if own.status.seccomp == .filter {
      // There is no process 0: who comes through is told so.
      let refusal = -cpt_seize(0)
      facts.filteredErrno = refusal == ESRCH ? 0 : refusal
    }
    guard let target = facts.target else {
      let path = proc.path(pid, "status")
      facts.hiding = proc.hiding(pid, behind: .unreadable(path: path, errno: ENOENT))
      return facts
    }
    facts.hiding = proc.hiding
    facts.reach = NamespaceReach.into(
      pid, from: own.userNamespace, user: own.status.users.effective, proc: proc)
    facts.freezer = Freezer.state(of: pid, proc: proc)
    if let text = try? proc.text(proc.path(pid, "stat")) {
      facts.isKernelThread = ProcessStat(parsing: text)?.isKernelThread ?? false
    }
    facts.fileOwner = proc.owner(of: proc.path(pid, "maps"))
    if target.status.tracer != 0 {
      facts.tracerName = proc.line(proc.path(target.status.tracer, "comm")) ?? ""
    }
    return facts
  }

  private static func party(_ pid: Int32, proc: ProcFileSystem) -> AttachParty? {
    guard let text = try? proc.text(proc.path(pid, "status")),
      let status = ProcessStatus(parsing: text)
    else { return nil }
    return AttachParty(
      status: status, userNamespace: try? proc.link(proc.path(pid, "ns/user")),
      label: proc.line(proc.path(pid, "attr/current")))
  }

  /// Whether CAP_SYS_PTRACE, or what stands for it, counts for the target.
  package var mayTraceTarget: Bool {
    switch reach {
    case .owned: true
    case .outside: false
    case .same, .within, .unknown: own.mayTraceOthers
    }
  }

  /// Whether the engine left one of its marks (a cgroup namespace hides the path), or took capabilities
  /// away for good, as all engines do.
  private static func isContained(_ own: ProcessStatus, proc: ProcFileSystem) -> Bool {
    let groups = (try? proc.text(proc.path(proc.ownPID, "cgroup"))) ?? ""
    if ContainerParser.parse(groups) != nil { return true }
    // A service may be limited so without any container.
    if ContainerParser.unit(groups) == nil,
      let last = proc.line("\(proc.root)/sys/kernel/cap_last_cap").flatMap({ UInt64($0) }),
      last < 63, ~own.bounding & (1 << (last + 1) - 1) != 0
    {
      return true
    }
    let root = proc.path(proc.ownPID, "root")
    return ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"].contains {
      proc.owner(of: root + $0) != nil
    }
  }
}
