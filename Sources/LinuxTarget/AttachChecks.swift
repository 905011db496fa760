// What attaching depends on, one condition after the other: the table that `doctor` prints.

/// One condition of attaching to a process.
package struct AttachCheck: Hashable, Sendable {
  /// How it is met.
  package enum Verdict: Hashable, Sendable {
    /// It does not stand in the way.
    case met
    /// It may, or it is worth knowing.
    case noted
    /// It stands in the way.
    case failed
  }

  /// How it is met.
  package var verdict: Verdict
  /// What it is about, in a word.
  package var topic: String
  /// What was observed.
  package var observation: String

  /// Makes a check.
  package init(_ verdict: Verdict, _ topic: String, _ observation: String) {
    self.verdict = verdict
    self.topic = topic
    self.observation = observation
  }
}

extension AttachFacts {
  /// The conditions of attaching to it, in the order in which the kernel looks at them; nothing is
  /// attempted.
  package var checks: [AttachCheck] {
    let obstacles = AttachDiagnosis.obstacles(self)
    guard let target else { return obstacles.map { failed("process", $0) } }
    func check(
      _ topic: String, _ isAboutIt: (AttachDiagnosis.Cause) -> Bool, otherwise: AttachCheck
    ) -> AttachCheck {
      obstacles.first(where: isAboutIt).map { failed(topic, $0) } ?? otherwise
    }
    return [
      check(
        "kind", { $0.isAboutKind },
        otherwise: AttachCheck(.met, "kind", "a process with memory of its own, not this one")),
      check(
        "tracer", { if case .traced = $0 { true } else { false } },
        otherwise: AttachCheck(.met, "tracer", "no other process traces it")),
      namespace(target, obstacles),
      capability(for: target, obstacles),
      check("identity", { $0.isAboutIdentity }, otherwise: identity(target)),
      check(
        "yama", { if case .yama = $0 { true } else { false } },
        otherwise: AttachCheck(.met, "yama", yama)),
      securityModules(target),
      systemCallFilter,
      frozen,
    ]
  }

  /// The conditions that do not depend on a process: what this tool may do where it runs.
  package var ownChecks: [AttachCheck] {
    let level = yamaLevel ?? 0
    let isLimited = level >= 3 || level >= 1 && !own.mayTraceOthers
    return [
      AttachCheck(
        .met, "user",
        "this tool runs as uid \(own.status.users.effective)"
          + (isContained ? ", in a container" : "")),
      visibility,
      capability(for: nil, []),
      AttachCheck(isLimited ? (level >= 3 ? .failed : .noted) : .met, "yama", yama),
      securityModules(nil),
      systemCallFilter,
    ]
      + (isInGVisor
        ? [
          AttachCheck(
            .noted, "sandbox",
            "this tool runs on gVisor's kernel, which does only a part of what attaching needs: where "
              + "stopping fails, --no-stop may do")
        ] : [])
  }

  /// How `/proc` hides processes from this tool, nil if it shows all.
  package var hidingFromUs: ProcHiding? { own.mayTraceOthers ? nil : hiding }

  private func failed(_ topic: String, _ cause: AttachDiagnosis.Cause) -> AttachCheck {
    AttachCheck(
      .failed, topic, AttachDiagnosis(pid: pid, command: command, cause: cause).fact)
  }

  private func namespace(
    _ target: AttachParty, _ obstacles: [AttachDiagnosis.Cause]
  ) -> AttachCheck {
    if lacksRights(target, obstacles) {
      return AttachCheck(
        .failed, "namespace",
        "it runs in a user namespace in which this tool holds no capability")
    }
    if reach == .owned {
      return AttachCheck(
        .met, "namespace",
        "its user namespace was made by this tool's user, who has all capabilities there")
    }
    if reach == .within {
      return AttachCheck(
        .met, "namespace",
        "its user namespace lies within that of this tool, whose capabilities count there")
    }
    guard let theirs = target.userNamespace, let ours = own.userNamespace else {
      return AttachCheck(.noted, "namespace", "its user namespace cannot be compared with ours")
    }
    // Who holds the capability in one around it may attach, which their names do not tell.
    return theirs == ours
      ? AttachCheck(.met, "namespace", "its user namespace is that of this tool")
      : AttachCheck(
        .noted, "namespace",
        "its user namespace is another than that of this tool: CAP_SYS_PTRACE is needed there, or in "
          + "one around it")
  }

  /// Whether it is sure that our capabilities do not count for the target.
  private func lacksRights(
    _ target: AttachParty?, _ obstacles: [AttachDiagnosis.Cause]
  ) -> Bool {
    guard let target, obstacles.contains(where: \.isAboutNamespace) else { return false }
    // With the capability we could read the name of any namespace in which it counts.
    return reach != .unknown || target.userNamespace == nil
  }

  private func capability(
    for target: AttachParty?, _ obstacles: [AttachDiagnosis.Cause]
  ) -> AttachCheck {
    if target != nil, reach == .owned {
      return AttachCheck(
        .met, "capability",
        "CAP_SYS_PTRACE counts there: whose a process is and what it may do does not matter")
    }
    if own.mayTraceOthers {
      return !lacksRights(target, obstacles)
        ? AttachCheck(
          .met, "capability",
          "CAP_SYS_PTRACE is in effect: whose a process is and what it may do does not matter")
        : AttachCheck(
          .noted, "capability",
          "CAP_SYS_PTRACE is in effect for this tool's own user namespace, not for the target's")
    }
    // Between equals it is not needed.
    return AttachCheck(
      .noted, "capability",
      "CAP_SYS_PTRACE is not in effect"
        + (own.couldTraceOthers && own.status.users.effective != 0
          ? ", though root would have it here" : "")
        + ": only processes of the same user with no more capabilities can be attached to, and those "
        + "in user namespaces that this user made")
  }

  private var visibility: AttachCheck {
    if let hiding = hidingFromUs {
      let group =
        hiding.group.map { hiding.manner == .notTraceable ? "" : ", but to members of gid \($0)" }
        ?? ""
      let what =
        switch hiding.manner {
        case .noAccess: "gives no access to processes of other users"
        case .invisible: "hides the processes of other users"
        case .notTraceable: "hides the processes that this tool may not trace"
        }
      return AttachCheck(
        .noted, "proc", "/proc \(what)\(group) (mounted with \(hiding.option))")
    }
    if hasOnlyProcesses {
      return AttachCheck(
        .noted, "proc",
        "/proc has nothing but processes (mounted with subset=pid): Yama's level and the machine's "
          + "memory are not known")
    }
    return AttachCheck(.met, "proc", "/proc hides no process from this tool")
  }

  private var frozen: AttachCheck {
    guard let freezer else {
      return AttachCheck(.met, "freezer", "its control group is not frozen")
    }
    return AttachCheck(
      .noted, "freezer",
      "its control group \(freezer.directory) is frozen (docker pause): "
        + (freezer.preventsStops
          ? "its threads stop only once it is thawed; it can be read without, and nothing changes meanwhile"
          : "it can be read, and nothing changes meanwhile"))
  }

  private func identity(_ target: AttachParty) -> AttachCheck {
    let users = "it belongs to uid \(target.status.users.effective)"
    return AttachCheck(
      .met, "identity",
      mayTraceTarget
        ? users : users + ", as this tool does, is dumpable and has no more capabilities")
  }

  private var yama: String {
    guard let level = yamaLevel else { return "this kernel limits attaching by no Yama" }
    return switch level {
    case 0: "ptrace_scope 0: no limit"
    case 1:
      "ptrace_scope 1: only to children"
        + (own.mayTraceOthers ? ", but for CAP_SYS_PTRACE" : ", and with CAP_SYS_PTRACE")
    case 2: "ptrace_scope 2: only with CAP_SYS_PTRACE"
    default: "ptrace_scope \(level): all attaching is forbidden until the next boot"
    }
  }

  private func securityModules(_ target: AttachParty?) -> AttachCheck {
    var labels: [String] = []
    if let target, target.isConfined { labels.append("it (label \(target.label ?? "unknown"))") }
    if own.isConfined { labels.append("this tool (label \(own.label ?? "unknown"))") }
    return labels.isEmpty
      ? AttachCheck(
        .met, "modules", "no security module confines this tool" + (target == nil ? "" : " or it"))
      : AttachCheck(
        .noted, "modules",
        "a security module confines \(labels.joined(separator: " and ")); it may forbid attaching")
  }

  private var systemCallFilter: AttachCheck {
    if filteredErrno != 0 {
      return AttachCheck(
        .failed, "seccomp",
        "a system-call filter on this tool refuses attaching to any process: "
          + errorText(filteredErrno))
    }
    return own.status.seccomp == .filter
      ? AttachCheck(
        .noted, "seccomp",
        "a system-call filter is active on this tool; docker's allows attaching from Linux 4.8 on")
      : AttachCheck(.met, "seccomp", "no system-call filter is active on this tool")
  }
}

extension AttachDiagnosis.Cause {
  /// Whether it is the user namespace of the process.
  fileprivate var isAboutNamespace: Bool {
    if case .userNamespace = self { true } else { false }
  }

  /// Whether it is that this is no process that could have a heap for us.
  fileprivate var isAboutKind: Bool {
    switch self {
    case .noSuchProcess, .hidden, .zombie, .kernelThread, .ourselves, .threadOf: true
    default: false
    }
  }

  /// Whether it is whose the process is, or what it may do.
  fileprivate var isAboutIdentity: Bool {
    switch self {
    case .otherUser, .otherGroup, .notDumpable, .moreCapabilities, .capabilityNotInEffect: true
    default: false
    }
  }
}
