// Processes that run others inside of themselves, out of the sight of the kernel that they run on.

import HeapModel

/// What a process is that hosts a sandboxed container or a virtual machine.
package enum GuestHost: Hashable, Sendable {
  /// gVisor's kernel in user space, whose guests' memory is a file of its own.
  case gVisorSandbox
  /// A helper of gVisor that opens files for a sandbox.
  case gVisorHelper
  /// A virtual machine, by the name of its program.
  case virtualMachine(String)
  /// Kata's shim, whose container is in a virtual machine; with some monitors in this process.
  case kataShim

  /// Tells by what a process is called, started by and runs, nil if it is no such host.
  ///
  /// `started` is its first argument; gVisor runs itself as `/proc/self/exe` under names of its own.
  package init?(command: String, executable: String, started: String) {
    let names = [executable, started].map(\.fileName)
    func isCalled(_ name: String) -> Bool {
      // The kernel keeps 15 bytes of a name.
      names.contains(name) || command == name.prefix(15)
    }
    if isCalled("runsc-gofer") {
      self = .gVisorHelper
    } else if isCalled("runsc-sandbox") || isCalled("runsc") {
      self = .gVisorSandbox
    } else if isCalled("containerd-shim-kata-v2") {
      self = .kataShim
    } else if let name = (names + [command]).first(where: { $0.hasPrefix("qemu-system-") }) {
      self = .virtualMachine(name)
    } else if let name = ["qemu-kvm", "cloud-hypervisor", "firecracker"].first(where: isCalled) {
      self = .virtualMachine(name)
    } else {
      return nil
    }
  }

  /// Tells of a live process.
  package init?(_ process: LinuxProcess) {
    let arguments = (try? process.proc.bytes(process.proc.path(process.pid, "cmdline"))) ?? []
    self.init(
      command: process.command, executable: process.executable,
      started: ProcText.arguments(arguments).first ?? "")
  }

  /// What it is, and what that means for its heap.
  package var observation: String {
    switch self {
    case .gVisorSandbox:
      "it runs a gVisor sandbox: what the container's programs allocate is not in its malloc"
    case .gVisorHelper:
      "it opens files for a gVisor sandbox: the container's programs run in another process"
    case .virtualMachine(let name):
      "it runs a virtual machine (\(name)): what the guest's programs allocate is not in its malloc"
    case .kataShim:
      "it is the shim of a Kata container: the container's programs run in a virtual machine"
    }
  }

  /// What may help whoever looks for the guests' heaps.
  package var hint: String {
    switch self {
    case .virtualMachine: "for a program of the guest, run malloscope inside of the guest"
    case .gVisorSandbox, .gVisorHelper, .kataShim:
      "for a program of the container, run malloscope inside of it (kubectl exec, or kubectl debug "
        + "--target=CONTAINER)"
    }
  }

  /// Whether the kernel that writes such a `/proc/version` is gVisor's.
  ///
  /// Its releases have had numbers from 4.4 on, with and without its name; the date has stayed.
  package static func isGVisorKernel(_ version: String) -> Bool {
    version.contains("gvisor") || version.contains("gVisor")
      || version.contains("#1 SMP Sun Jan 10 15:06:54 PST 2016")
  }
}
