// The explanations of a refused attachment, cause by cause, and one on live processes.

import CPtrace
import Glibc
import HeapModel
import LinuxTarget
import TestKit
import Testing

/// CAP_SYS_PTRACE and a few others.
private let tracing: UInt64 = 1 << 19
private let network: UInt64 = 1 << 12

@Suite("Why attaching was refused")
struct AttachDiagnosisTests {
  private func party(
    _ pid: Int32, user: UInt32 = 1000, group: UInt32 = 1000, state: String = "S",
    threadGroup: Int32? = nil, tracer: Int32 = 0, threads: Int = 1, permitted: UInt64 = 0,
    effective: UInt64? = nil, bounding: UInt64 = .max, seccomp: Int = 0,
    namespace: String? = "user:[1]", label: String? = nil
  ) throws -> AttachParty {
    let status = try #require(
      ProcessStatus(
        parsing: """
          State:\t\(state)
          Tgid:\t\(threadGroup ?? pid)
          Pid:\t\(pid)
          PPid:\t1
          TracerPid:\t\(tracer)
          Uid:\t\(user)\t\(user)\t\(user)\t\(user)
          Gid:\t\(group)\t\(group)\t\(group)\t\(group)
          Threads:\t\(threads)
          CapPrm:\t\(String(permitted, radix: 16))
          CapEff:\t\(String(effective ?? permitted, radix: 16))
          CapBnd:\t\(String(bounding, radix: 16))
          Seccomp:\t\(seccomp)
          """))
    return AttachParty(status: status, userNamespace: namespace, label: label)
  }

  private func cause(
    _ target: AttachParty?, own: AttachParty, errno: Int32 = EPERM,
    _ change: (inout AttachFacts) -> Void = { _ in }
  ) -> AttachDiagnosis.Cause {
    var facts = AttachFacts(pid: 20, command: "web", target: target, own: own)
    facts.fileOwner = target?.status.users.effective
    change(&facts)
    return AttachDiagnosis(facts, errno: errno).cause
  }

  @Test("what the target is comes before what we may do")
  func kindOfTarget() throws {
    let own = try party(10, user: 33)
    #expect(cause(nil, own: own) == .noSuchProcess)
    #expect(cause(try party(20, state: "Z"), own: own) == .zombie(parent: 1))
    #expect(cause(try party(20), own: own) { $0.isKernelThread = true } == .kernelThread)
    #expect(cause(try party(20), own: try party(20)) == .ourselves)
    #expect(cause(try party(20, threadGroup: 7), own: own) == .threadOf(pid: 7))
    #expect(
      cause(try party(20, tracer: 99), own: own) { $0.tracerName = "strace" }
        == .traced(tracer: 99, tracerName: "strace"))
    #expect(cause(try party(20), own: own, errno: ESRCH) == .noSuchProcess)
    // A dead first thread does not make a dead process.
    #expect(
      cause(try party(20, state: "Z", threads: 3), own: own) == .otherUser(theirs: 1000, own: 33))
  }

  @Test("without the capability, the identities decide")
  func identities() throws {
    let own = try party(10)
    #expect(
      cause(try party(20, user: 0), own: own) == .otherUser(theirs: 0, own: 1000))
    #expect(
      cause(try party(20, group: 5), own: own) == .otherGroup(theirs: 5, own: 1000))
    #expect(cause(try party(20), own: own) { $0.fileOwner = 0 } == .notDumpable)
    #expect(
      cause(try party(20, permitted: network), own: own) == .moreCapabilities(missing: network))
    let root = try party(10, user: 0, group: 0, permitted: network)
    #expect(
      cause(try party(20, user: 0, group: 0, permitted: network | 1), own: root)
        == .moreCapabilities(missing: 1))
  }

  @Test("a container's capability that its user cannot use is told from one that is missing")
  func ineffective() throws {
    let target = try party(20, user: 0, group: 0)
    let own = try party(10, bounding: tracing)
    #expect(
      cause(target, own: own) { $0.isContained = true } == .capabilityNotInEffect(ownUser: 1000))
    #expect(cause(target, own: own) == .otherUser(theirs: 0, own: 1000))
    let poor = try party(10, bounding: network)
    #expect(
      cause(target, own: poor) { $0.isContained = true } == .otherUser(theirs: 0, own: 1000))
  }

  @Test("a user namespace that is not ours is told even if the capability is there")
  func userNamespace() throws {
    let own = try party(10, user: 0, permitted: tracing)
    #expect(
      cause(try party(20, namespace: "user:[2]"), own: own)
        == .userNamespace(theirs: "user:[2]", own: "user:[1]"))
    #expect(
      cause(try party(20, namespace: nil), own: own)
        == .userNamespace(theirs: nil, own: "user:[1]"))
    // Without the capability the link is unreadable for many reasons.
    #expect(
      cause(try party(20, namespace: nil), own: try party(10, user: 33))
        == .otherUser(theirs: 1000, own: 33))
  }

  @Test("how far our rights reach into its user namespace decides, where that is known")
  func reach() throws {
    let root = try party(10, user: 0, group: 0, permitted: tracing)
    let user = try party(10)
    let inner = try party(20, permitted: .max, namespace: "user:[2]")
    let other = AttachDiagnosis.Cause.userNamespace(theirs: "user:[2]", own: "user:[1]")
    func cause(_ own: AttachParty, _ reach: NamespaceReach) -> AttachDiagnosis.Cause {
      self.cause(inner, own: own) {
        $0.reach = reach
        $0.yamaLevel = 1
      }
    }
    #expect(cause(root, .within) == .unexplained(errno: EPERM))
    #expect(cause(root, .outside) == other)
    #expect(cause(user, .within) == other)
    // Who made it has all capabilities there: neither its own nor Yama stand in the way.
    #expect(cause(user, .owned) == .unexplained(errno: EPERM))
    let own = topics(inner, own: user) { $0.reach = .owned }
    #expect(own == ([], []))
    #expect(topics(inner, own: root) { $0.reach = .within } == ([], []))
    let outside = topics(inner, own: root) { $0.reach = .outside }
    #expect(outside.failed.first == "namespace" && outside.noted == ["capability"])
    // With the capability the name of any namespace can be read where it counts.
    #expect(topics(try party(20, namespace: nil), own: root).failed == ["namespace"])
  }

  @Test("a filter that refuses any attaching is the cause, and memory can be read without")
  func filtered() throws {
    let own = try party(10, permitted: tracing, seccomp: 2)
    #expect(
      cause(try party(20), own: own) { $0.filteredErrno = EPERM } == .systemCallFilter)
    let found = topics(try party(20), own: own) { $0.filteredErrno = EPERM }
    #expect(found.failed == ["seccomp"])
    let causes: [AttachDiagnosis.Cause] = [
      .systemCallFilter, .traced(tracer: 9, tracerName: ""), .unexplained(errno: EPERM),
      .securityModule(theirs: nil, own: "a"),
    ]
    for cause in causes {
      let diagnosis = AttachDiagnosis(pid: 20, command: "web", cause: cause)
      let hints = diagnosis.hints(isReadable: true)
      #expect(hints.first == "read the heap without attaching: --no-stop" && hints.count <= 3)
      #expect(!diagnosis.hints(isReadable: false).contains { $0.contains("--no-stop") })
    }
  }

  @Test("whoever lacks capabilities that the kernel has is in a container, but for services")
  func contained() throws {
    func isContained(bounding: String, last: String?, cgroup: String = "0::/\n") throws -> Bool {
      let fake = try FakeProc()
      try fake.add(10, name: "tool", status: "CapBnd:\t\(bounding)\n")
      try fake.write(10, "cgroup", cgroup)
      if let last {
        for folder in ["/sys", "/sys/kernel"] { mkdir(fake.proc.root + folder, 0o755) }
        try write(last + "\n", toFile: fake.proc.root + "/sys/kernel/cap_last_cap")
      }
      return try AttachFacts.gather(10, proc: fake.proc).isContained
    }
    #expect(try isContained(bounding: "00000000a80c25fb", last: "40"))
    #expect(try !isContained(bounding: "000001ffffffffff", last: "40"))
    // A kernel that is older, and one that is newer, than the capabilities are known to be.
    #expect(try !isContained(bounding: "0000003fffffffff", last: "37"))
    #expect(try isContained(bounding: "000001ffffffffff", last: "41"))
    #expect(try !isContained(bounding: "00000000a80c25fb", last: nil))
    #expect(try !isContained(bounding: "00000000a80c25fb", last: "99"))
    #expect(
      try !isContained(
        bounding: "00000000a80c25fb", last: "40", cgroup: "0::/system.slice/web.service\n"))
  }

  @Test(
    "Yama is the cause where its level forbids it",
    arguments: [(1, false), (2, false), (3, false), (3, true)])
  func yama(level: Int, isPrivileged: Bool) throws {
    let own = try party(10, permitted: isPrivileged ? tracing : 0)
    #expect(cause(try party(20), own: own) { $0.yamaLevel = level } == .yama(level: level))
  }

  @Test("Yama is not the cause where its level allows it, and then modules and filters are")
  func rest() throws {
    let own = try party(10, permitted: tracing)
    for level in [0, 1, 2] {
      #expect(
        cause(try party(20), own: own) { $0.yamaLevel = level } == .unexplained(errno: EPERM))
    }
    #expect(
      cause(try party(20, label: "docker-default (enforce)"), own: own)
        == .securityModule(theirs: "docker-default (enforce)", own: nil))
    #expect(
      cause(try party(20, label: "unconfined"), own: own) == .unexplained(errno: EPERM))
    let filtered = try party(10, permitted: tracing, seccomp: 2)
    #expect(cause(try party(20), own: filtered) == .systemCallFilter)
    #expect(cause(try party(20), own: filtered, errno: ENOSYS) == .systemCallFilter)
  }

  /// The topics of the conditions that are not met, and of those that are noted.
  private func topics(
    _ target: AttachParty?, own: AttachParty, _ change: (inout AttachFacts) -> Void = { _ in }
  ) -> (failed: [String], noted: [String]) {
    var facts = AttachFacts(pid: 20, command: "web", target: target, own: own)
    facts.fileOwner = target?.status.users.effective
    change(&facts)
    func topics(_ verdict: AttachCheck.Verdict) -> [String] {
      facts.checks.filter { $0.verdict == verdict }.map(\.topic)
    }
    return (topics(.failed), topics(.noted))
  }

  @Test("of the conditions of attaching, those are not met that stand in the way; all are told")
  func conditions() throws {
    let root = try party(10, user: 0, group: 0, permitted: tracing)
    #expect(topics(try party(20), own: root) == ([], []))
    #expect(topics(nil, own: root).failed == ["process"])
    #expect(topics(try party(20, state: "Z"), own: root).failed == ["kind"])
    #expect(topics(try party(20, tracer: 9), own: root).failed == ["tracer"])
    // Whoever is around the target's namespace may attach.
    #expect(topics(try party(20, namespace: "user:[2]"), own: root) == ([], ["namespace"]))
    let user = try party(10)
    #expect(topics(try party(20), own: user) == ([], ["capability"]))
    #expect(topics(try party(20, user: 5), own: user) == (["identity"], ["capability"]))
    let several = topics(try party(20, user: 5, tracer: 9), own: user) { $0.yamaLevel = 1 }
    #expect(several == (["tracer", "identity", "yama"], ["capability"]))
    #expect(topics(try party(20), own: root) { $0.yamaLevel = 1 }.failed == [])
    #expect(topics(try party(20), own: root) { $0.yamaLevel = 3 }.failed == ["yama"])
    let confined = try party(
      10, user: 0, group: 0, permitted: tracing, seccomp: 2, label: "docker-default (enforce)")
    #expect(topics(try party(20), own: confined) == ([], ["modules", "seccomp"]))
  }

  @Test("every cause has one line of fact and at most three hints")
  func texts() throws {
    let causes: [AttachDiagnosis.Cause] = [
      .noSuchProcess, .zombie(parent: 1), .kernelThread,
      .hidden(try #require(ProcHiding(options: ["hidepid=1", "gid=2"]))), .ourselves,
      .threadOf(pid: 7),
      .traced(tracer: 9, tracerName: "gdb"), .userNamespace(theirs: nil, own: nil),
      .capabilityNotInEffect(ownUser: 5), .otherUser(theirs: 1, own: 2),
      .otherGroup(theirs: 1, own: 2), .notDumpable, .moreCapabilities(missing: 3),
      .yama(level: 1), .yama(level: 2), .yama(level: 3),
      .securityModule(theirs: "a", own: nil), .systemCallFilter, .unexplained(errno: EPERM),
    ]
    for cause in causes {
      let diagnosis = AttachDiagnosis(pid: 20, command: "web", cause: cause)
      #expect(!diagnosis.fact.contains("\n") && !diagnosis.fact.hasSuffix("."))
      #expect(diagnosis.fact.contains("20") || cause == .yama(level: 3))
      #expect(diagnosis.hints.count <= 3)
      #expect(diagnosis.hints.allSatisfy { !$0.isEmpty && !$0.contains("\n") })
    }
    let other = AttachDiagnosis(
      pid: 20, command: "web", cause: .otherUser(theirs: 1000, own: 33))
    #expect(
      other.fact
        == "process 20 (web) belongs to uid 1000 and this tool runs as uid 33 "
        + "without CAP_SYS_PTRACE")
  }

  @Test("a traced process's tracer is found and named")
  func liveTracer() throws {
    let patience = Duration.seconds(20)
    let target = try ChildProcess(
      ChildProcess.Launch(CompiledProgram.path("StopTargets/boundary.c")))
    _ = try target.readLine(by: Deadline(in: patience))
    let tracer = try ChildProcess(
      ChildProcess.Launch(
        CompiledProgram.path("StopTargets/tracer.c"), [String(target.pid)]))
    _ = try tracer.readLine(by: Deadline(in: patience), waitingFor: "the tracer's attachment")
    #expect(try LinuxProcess.inspect(target.pid).tracerPID == tracer.pid)
    let result = cpt_seize(target.pid)
    #expect(result == -EPERM)
    let diagnosis = try AttachDiagnosis.explain(target.pid, errno: -result)
    let name = try ProcFileSystem().text("/proc/\(tracer.pid)/comm").dropLast()
    #expect(diagnosis.cause == .traced(tracer: tracer.pid, tracerName: String(name)))
    try tracer.finish(by: Deadline(in: patience))
    try target.finish(by: Deadline(in: patience))
    #expect(
      try AttachDiagnosis.explain(target.pid, errno: ESRCH).cause == .noSuchProcess)
  }
}
