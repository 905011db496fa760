// What a container is to be: the part of the OCI runtime specification that tests need.

import FoundationEssentials

/// A container as a test orders it; by default as container engines start one.
package struct ContainerPlan: Sendable {
  /// In which namespace of a kind it is.
  package enum Namespace: Sendable {
    /// A new one.
    case own
    /// Ours.
    case host
    /// That of another process.
    case of(Int32)
  }

  /// The capabilities that engines give a container if they are not told otherwise.
  package static let usualCapabilities = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
  ]

  /// The first user of 65,536 of the host that a user namespace has.
  package static let firstUser = 200_000

  /// Its program, and the arguments for it.
  package var arguments: [String]
  /// Its environment.
  package var environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
  /// Whether its root file system cannot be written to.
  package var isReadOnly = true
  /// Its user and group.
  package var user = 0
  /// Its capabilities, without `CAP_`; of another user than root they are only what it could have.
  package var capabilities = usualCapabilities
  /// Whether they are in effect for another user than root, too.
  package var hasAmbientCapabilities = false
  /// Its PID namespace.
  package var processes = Namespace.own
  /// Its user namespace.
  package var users = Namespace.host
  /// Whether it has a cgroup namespace, which hides the path of its control group.
  package var hidesControlGroup = false
  /// Its control group below the root of each hierarchy; the engine's choice if it is nil.
  package var controlGroup: String?
  /// The system calls that a filter answers with EPERM; engines filter some hundred, among them this one.
  package var deniedCalls: [String]? = ["kexec_load"]

  /// A container that runs a program.
  package init(_ arguments: [String]) {
    self.arguments = arguments
  }

  /// The bundle's `config.json`, for the root file system at `root`.
  func configuration(root: String) throws(TestKitError) -> String {
    do {
      let data = try JSONEncoder().encode(Configuration(self, root: root))
      return String(decoding: data, as: UTF8.self)
    } catch {
      throw .malformed(what: "a container's configuration", text: "\(error)")
    }
  }
}

/// The specification's names.
private struct Configuration: Encodable {
  struct User: Encodable {
    var uid: Int
    var gid: Int
  }

  struct Process: Encodable {
    var terminal = false
    var user: User
    var args: [String]
    var env: [String]
    var cwd = "/"
    var capabilities: [String: [String]]
    var noNewPrivileges: Bool
  }

  struct Root: Encodable {
    var path: String
    var readonly: Bool
  }

  struct Mount: Encodable {
    var destination: String
    var type: String
    var source: String
    var options: [String]
  }

  struct NamespaceEntry: Encodable {
    var type: String
    var path: String?
  }

  struct Mapping: Encodable {
    var containerID = 0
    var hostID = ContainerPlan.firstUser
    var size = 65_536
  }

  struct Rule: Encodable {
    var names: [String]
    var action = "SCMP_ACT_ERRNO"
    var errnoRet = 1
  }

  struct Filter: Encodable {
    var defaultAction = "SCMP_ACT_ALLOW"
    var syscalls: [Rule]
  }

  struct Linux: Encodable {
    var namespaces: [NamespaceEntry]
    var uidMappings: [Mapping]?
    var gidMappings: [Mapping]?
    var cgroupsPath: String?
    var seccomp: Filter?
  }

  var ociVersion = "1.0.2"
  var process: Process
  var root: Root
  var hostname = "container"
  var mounts: [Mount]
  var linux: Linux

  init(_ plan: ContainerPlan, root: String) {
    let capabilities = plan.capabilities.map { "CAP_" + $0 }
    let effective = plan.user == 0 || plan.hasAmbientCapabilities ? capabilities : []
    let ambient = plan.hasAmbientCapabilities ? capabilities : []
    process = Process(
      user: User(uid: plan.user, gid: plan.user), args: plan.arguments, env: plan.environment,
      capabilities: [
        "bounding": capabilities, "effective": effective, "permitted": effective,
        "inheritable": ambient, "ambient": ambient,
      ],
      noNewPrivileges: false)
    self.root = Root(path: root, readonly: plan.isReadOnly)
    var namespaces = ["mount", "ipc", "uts"].map { NamespaceEntry(type: $0) }
    func add(_ type: String, _ namespace: ContainerPlan.Namespace, file: String) {
      switch namespace {
      case .own: namespaces.append(NamespaceEntry(type: type))
      case .host: break
      case .of(let pid):
        namespaces.append(NamespaceEntry(type: type, path: "/proc/\(pid)/ns/\(file)"))
      }
    }
    add("pid", plan.processes, file: "pid")
    add("user", plan.users, file: "user")
    if plan.hidesControlGroup { namespaces.append(NamespaceEntry(type: "cgroup")) }
    var isMapped = true
    if case .host = plan.users { isMapped = false }
    mounts = [
      Mount(destination: "/proc", type: "proc", source: "proc", options: []),
      Mount(
        destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]),
    ]
    // Engines show a container its control group.
    if !isMapped {
      mounts.append(
        Mount(
          destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
          options: ["nosuid", "noexec", "nodev", "relatime", "ro"]))
    }
    linux = Linux(
      namespaces: namespaces, uidMappings: isMapped ? [Mapping()] : nil,
      gidMappings: isMapped ? [Mapping()] : nil, cgroupsPath: plan.controlGroup,
      seccomp: plan.deniedCalls.map { Filter(syscalls: [Rule(names: $0)]) })
  }
}
