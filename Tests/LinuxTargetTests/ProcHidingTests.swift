// A /proc that hides processes, made up, and what hosts guests by its name.

import Glibc
import LinuxTarget
import TestKit
import Testing

@Suite("Processes that cannot be seen in /proc")
struct ProcHidingTests {
  @Test(
    "each spelling of hidepid is known, and what hides nothing is told apart",
    arguments: [
      ("1", .noAccess), ("noaccess", .noAccess), ("2", .invisible), ("invisible", .invisible),
      ("4", .notTraceable), ("ptraceable", .notTraceable), ("0", nil), ("off", nil), ("", nil),
    ] as [(String, ProcHiding.Manner?)])
  func manners(value: String, manner: ProcHiding.Manner?) {
    let hiding = ProcHiding(options: ["rw", "hidepid=\(value)", "gid=7"])
    #expect(hiding?.manner == manner)
    #expect(hiding == nil || hiding?.option == "hidepid=\(value)" && hiding?.group == 7)
    #expect(ProcHiding(options: ["rw", "gid=7"]) == nil)
    #expect(ProcHiding(options: ["hidepid=2", "gid=0"])?.group == nil)
  }

  /// A `/proc` whose topmost mount has such options.
  private func mounted(_ options: String) throws -> FakeProc {
    let fake = try FakeProc()
    let root = fake.proc.root
    try fake.write(
      10, "mountinfo",
      "1 2 0:3 / \(root) rw - proc proc rw,hidepid=noaccess\n"
        + "3 2 0:3 / \(root) rw - proc proc \(options)\n"
        + "4 2 0:3 / /elsewhere rw - proc proc rw,hidepid=ptraceable\n")
    return fake
  }

  private func error(_ pid: Int32, _ fake: FakeProc) throws -> TargetError? {
    #expect(throws: TargetError.self) { try LinuxProcess.inspect(pid, proc: fake.proc) }
  }

  @Test("a process that exists but is not there is hidden, one that does not exist is not")
  func hidden() throws {
    // Any process that exists for kill(2); this one may not be sent signals by everyone.
    for pid in [getpid(), 1] {
      let hides = try mounted("rw,hidepid=invisible,gid=5")
      let hiding = try #require(hides.proc.hiding)
      #expect(try error(pid, hides) == .hidden(pid: pid, hiding: hiding))
      #expect(try error(99_999_999, hides) == .noSuchProcess(pid: 99_999_999))
      let diagnosis = try AttachDiagnosis.explain(pid, errno: ESRCH, proc: hides.proc)
      #expect(diagnosis.cause == .hidden(hiding))
      #expect(
        diagnosis.fact
          == "process \(pid) exists but /proc hides it (mounted with hidepid=invisible)")
      #expect(diagnosis.hints.count == 3 && diagnosis.hints[1].contains("gid 5"))
      let open = try mounted("rw")
      #expect(open.proc.hiding == nil)
      #expect(try error(pid, open) == .noSuchProcess(pid: pid))
    }
    let part = try mounted("rw,subset=pid")
    #expect(part.proc.hasOnlyProcesses)
  }

  @Test("doctor's line about /proc tells what is hidden from this tool")
  func line() throws {
    func line(_ options: String, capabilities: String = "0") throws -> AttachCheck? {
      let fake = try mounted(options)
      try fake.add(10, name: "tool", status: "CapEff:\t\(capabilities)\n")
      return try AttachFacts.gather(10, proc: fake.proc).ownChecks.first { $0.topic == "proc" }
    }
    #expect(try line("rw")?.verdict == .met)
    let invisible = try #require(try line("rw,hidepid=2,gid=5"))
    #expect(invisible.verdict == .noted)
    #expect(
      invisible.observation
        == "/proc hides the processes of other users, but to members of gid 5 "
        + "(mounted with hidepid=2)")
    #expect(try line("rw,hidepid=2", capabilities: "80000")?.verdict == .met)
    #expect(try line("rw,subset=pid")?.observation.contains("subset=pid") == true)
  }
}

@Suite("Processes that host guests")
struct GuestHostTests {
  private func host(_ command: String, _ executable: String, _ started: String = "") -> GuestHost? {
    GuestHost(command: command, executable: executable, started: started)
  }

  @Test("sandboxes and virtual machines are known by what they run, are called or started by")
  func names() {
    #expect(host("exe", "/usr/local/bin/runsc", "runsc-sandbox") == .gVisorSandbox)
    #expect(host("exe", "", "runsc-sandbox") == .gVisorSandbox)
    #expect(host("runsc-sandbox", "") == .gVisorSandbox)
    #expect(host("runsc", "/usr/bin/runsc") == .gVisorSandbox)
    #expect(host("exe", "/usr/local/bin/runsc", "runsc-gofer") == .gVisorHelper)
    let machine = "qemu-system-x86_64"
    #expect(host(String(machine.prefix(15)), "/usr/bin/" + machine) == .virtualMachine(machine))
    #expect(host("qemu-kvm", "") == .virtualMachine("qemu-kvm"))
    #expect(host("cloud-hyperviso", "") == .virtualMachine("cloud-hypervisor"))
    #expect(host("fc_vcpu", "/firecracker") == .virtualMachine("firecracker"))
    #expect(host("containerd-shim", "/opt/kata/bin/containerd-shim-kata-v2") == .kataShim)
    for name in ["nginx", "qemu-x86_64", "qemu-img", "containerd-shim-runc-v2", "", "exe"] {
      #expect(host(name, "/usr/bin/\(name)", name) == nil, "\(name)")
    }
  }

  @Test("gVisor's kernel is known by its name or its date, another of that number is not")
  func kernels() {
    let date = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
    #expect(GuestHost.isGVisorKernel("Linux version 4.4.0 \(date)"))
    #expect(GuestHost.isGVisorKernel("Linux version 4.19.0-gvisor #1 SMP"))
    #expect(!GuestHost.isGVisorKernel("Linux version 4.4.0-210-generic (buildd) #242-Ubuntu SMP"))
  }
}
