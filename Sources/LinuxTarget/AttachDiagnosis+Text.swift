// The words for each cause: one line of fact, and at most three actions apart from it.

extension AttachDiagnosis {
  /// One line: what was attempted, on what, what was observed.
  package var fact: String {
    let name = command.isEmpty ? "process \(pid)" : "process \(pid) (\(command))"
    switch cause {
    case .noSuchProcess:
      return TargetError.noSuchProcess(pid: pid).fact
    case .hidden(let hiding):
      return TargetError.hidden(pid: pid, hiding: hiding).fact
    case .zombie(let parent):
      return TargetError.zombie(pid: pid, name: command, parent: parent).fact
    case .kernelThread:
      return TargetError.kernelThread(pid: pid, name: command).fact
    case .ourselves:
      return TargetError.ourselves(pid: pid).fact
    case .threadOf(let process):
      return "\(pid) is a thread of process \(process)"
    case .traced(let tracer, let tracerName):
      let by = tracerName.isEmpty ? "" : " (\(tracerName))"
      return "\(name) is already being traced by process \(tracer)\(by)"
    case .userNamespace:
      return "\(name) runs in a user namespace in which this tool holds no capability"
    case .capabilityNotInEffect(let user):
      return "attaching to \(name) was refused: this container has SYS_PTRACE but not in effect, "
        + "because the tool runs as uid \(user)"
    case .otherUser(let theirs, let own):
      return "\(name) belongs to uid \(theirs) and this tool runs as uid \(own) "
        + "without CAP_SYS_PTRACE"
    case .otherGroup(let theirs, let own):
      return "\(name) belongs to gid \(theirs) and this tool runs with gid \(own) "
        + "without CAP_SYS_PTRACE"
    case .notDumpable:
      return "\(name) is not dumpable: it has forbidden others of its user to look at it"
    case .moreCapabilities(let missing):
      return "\(name) holds capabilities (0x\(String(missing, radix: 16))) that this tool lacks, "
        + "and this tool runs without CAP_SYS_PTRACE"
    case .yama(let level):
      return yamaFact(name, level)
    case .securityModule(let theirs, let own):
      return "attaching to \(name) was refused, and a security module confines it "
        + "(label \(theirs ?? "unknown")) or this tool (label \(own ?? "unknown"))"
    case .systemCallFilter:
      return "attaching to \(name) was refused, and a system-call filter is active on this tool"
    case .unexplained(let errno):
      return "attaching to \(name) was refused: \(errorText(errno))"
    }
  }

  private func yamaFact(_ name: String, _ level: Int) -> String {
    switch level {
    case 1:
      "attaching to \(name) is limited by Yama "
        + "(ptrace_scope 1: only ancestors or CAP_SYS_PTRACE)"
    case 2:
      "attaching to \(name) is limited by Yama (ptrace_scope 2: only CAP_SYS_PTRACE)"
    default:
      "Yama forbids all attaching on this kernel (ptrace_scope \(level))"
    }
  }

  /// How to do without attaching, where the memory can be read.
  private static let withoutStopping = "read the heap without attaching: --no-stop"

  /// At most three actions that may help, the first of which does without attaching if the memory
  /// `isReadable` all the same.
  package func hints(isReadable: Bool) -> [String] {
    let others = hints.filter { $0 != Self.withoutStopping }
    return isReadable ? Array(([Self.withoutStopping] + others).prefix(3)) : others
  }

  /// At most three actions that may help.
  package var hints: [String] {
    switch cause {
    case .noSuchProcess:
      return TargetError.noSuchProcess(pid: pid).hints
    case .hidden(let hiding):
      return TargetError.hidden(pid: pid, hiding: hiding).hints
    case .zombie, .kernelThread, .ourselves:
      return []
    case .threadOf(let process):
      return ["use \(process)"]
    case .traced(let tracer, _):
      return [
        Self.withoutStopping,
        "stop that tracer (process \(tracer)) and try again",
      ]
    case .userNamespace:
      return [
        "run from the node or the host as root",
        "run in a debug container of the same pod (kubectl debug --target=CONTAINER)",
      ]
    case .capabilityNotInEffect:
      return [
        "run the debug container as root (runAsUser: 0, or --user 0)",
        "set the capability on the binary: setcap cap_sys_ptrace+ep",
      ]
    case .otherUser(let theirs, _):
      return ["run it as uid \(theirs), or with sudo", containerHint]
    case .otherGroup(let theirs, _):
      return ["run it with gid \(theirs), or with sudo", containerHint]
    case .notDumpable, .moreCapabilities:
      return ["run it with sudo", containerHint]
    case .yama(let level):
      return yamaHints(level)
    case .securityModule:
      return [
        "run both under the same profile, or this tool unconfined "
          + "(--security-opt apparmor=unconfined, label=disable)",
        "run from the node or the host as root",
      ]
    case .systemCallFilter:
      return [
        "add the capability, which docker's filter looks at before kernel 4.8: "
          + "--cap-add SYS_PTRACE",
        "run without the filter: --security-opt seccomp=unconfined",
      ]
    case .unexplained:
      return ["run it as root outside of containers", containerHint]
    }
  }

  private var containerHint: String {
    "in a container: --cap-add SYS_PTRACE, or kubectl debug --profile=sysadmin"
  }

  private func yamaHints(_ level: Int) -> [String] {
    switch level {
    case 1: ["run it with sudo", "allow it until reboot: sysctl kernel.yama.ptrace_scope=0"]
    case 2: ["run it with sudo"]
    default: ["only a reboot changes it; take a core with the program's own runtime instead"]
    }
  }
}
