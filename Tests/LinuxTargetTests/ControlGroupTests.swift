// Where control groups are, and what their limits leave, from literal texts and made-up trees.

import Glibc
import LinuxTarget
import TestKit
import Testing

@Suite("Control groups as files")
struct ControlGroupTests {
  @Test("memberships are read with any path, of either version")
  func memberships() {
    let text = """
      12:name=systemd:/
      5:cpu,cpuacct:/a:b c
      4:memory:/docker/12
      0::/../x.scope
      4:memory
      x:memory:/
      7::/
      0:memory:/
      9:pids:relative

      """
    let expected = [
      (["name=systemd"], "/"), (["cpu", "cpuacct"], "/a:b c"), (["memory"], "/docker/12"),
      ([], "/../x.scope"),
    ]
    let found = ControlGroupMembership.parse(text)
    #expect(found.map(\.controllers) == expected.map(\.0))
    #expect(found.map(\.path) == expected.map(\.1))
  }

  @Test("mounts are read with their escapes and however many optional fields")
  func mounts() {
    let text = #"""
      31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:15 master:2 - cgroup cgroup rw,memory
      41 31 0:38 /../.. /a\040b\134c rw - cgroup2 cgroup2 rw,nsdelegate
      42 31 0:38 / /odd\04 rw - cgroup2
      43 31 0:38 / /short - cgroup2 x rw
      44 31 0:38 /sub /sys/fs/cgroup rw,nosuid shared:1 - cgroup2 cgroup2 rw
      """#
    let mounts = ControlGroupMount.parse(text)
    #expect(mounts.map(\.isUnified) == [false, true, true])
    #expect(mounts.map(\.root) == ["/", "/../..", "/sub"])
    #expect(mounts.map(\.mountPoint) == ["/sys/fs/cgroup/memory", #"/a b\c"#, "/sys/fs/cgroup"])
    #expect(mounts[0].options == ["rw", "memory"])
  }

  @Test(
    "a group is found below what is mounted, however a namespace shifts its path",
    arguments: [
      ("/", "/m", "/", ["/m"]),
      ("/", "/m", "/a/b", ["/m/a/b", "/m/a", "/m"]),
      ("/a", "/m", "/a/b", ["/m/b", "/m"]),
      ("/a", "/m", "/a", ["/m"]),
      ("/a", "/m", "/ab", nil),
      ("/a", "/m", "/", nil),
      ("/", "/m", "/../b", nil),
      ("/..", "/m", "/../b/c", ["/m/b/c", "/m/b", "/m"]),
      ("/../b", "/m", "/../b", ["/m"]),
      ("/..", "/m", "/../../c", nil),
      ("/..", "/m", "/b", nil),
      ("/", "/", "/a", ["/a", ""]),
    ] as [(String, String, String, [String]?)])
  func directories(root: String, mountPoint: String, path: String, expected: [String]?) throws {
    let line = "1 2 0:3 \(root) \(mountPoint) rw - cgroup2 cgroup2 rw"
    let mount = try #require(ControlGroupMount.parse(line).first)
    #expect(mount.directories(of: path) == expected)
  }
}

@Suite("How much more memory and how many more tasks a process may have")
struct HeadroomTests {
  /// A fake proc file system beside a fake tree of control groups.
  private final class Machine {
    let fake: FakeProc
    let files: TemporaryDirectory

    /// A machine with a target, process 20, and 8 GiB available.
    init() throws {
      fake = try FakeProc()
      files = try TemporaryDirectory()
      try fake.add(20, name: "web")
      try meminfo("MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n")
    }

    func meminfo(_ text: String) throws {
      try TestKit.write(text, toFile: fake.proc.root + "/meminfo")
    }

    func mounts(_ pid: Int32, _ text: String) throws {
      try fake.write(pid, "mountinfo", text)
    }

    /// Makes a group's directory with `values`, below the root of the process that sees it.
    func group(_ path: String, seenBy pid: Int32? = nil, _ values: [String: String]) throws {
      let root = pid.map { fake.proc.path($0, "root") } ?? files.path
      var directory = root
      mkdir(directory, 0o755)
      for part in path.split(separator: "/") {
        directory += "/" + part
        mkdir(directory, 0o755)
      }
      for (name, value) in values {
        try TestKit.write(value + "\n", toFile: directory + "/" + name)
      }
    }

    func headroom(_ pid: Int32 = 20) -> MemoryHeadroom? {
      MemoryHeadroom.of(pid, proc: fake.proc, files: files.path)
    }

    func tasks() -> TaskHeadroom? {
      TaskHeadroom.of(20, proc: fake.proc, files: files.path)
    }

    func bound(_ path: String, _ available: UInt64) -> MemoryHeadroom {
      MemoryHeadroom(available: available, bound: .cgroup(path: files.path + path))
    }
  }

  private let unified = "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n"
  private let first = "1 2 0:3 / /cg/memory rw - cgroup cgroup rw,memory\n"
  private let machine = MemoryHeadroom(available: 8 << 30, bound: .machine)

  @Test("without groups and limits, the machine's available memory bounds, and else nothing")
  func machineOnly() throws {
    let machine = try Machine()
    #expect(machine.headroom() == self.machine)
    #expect(machine.headroom(99) == self.machine)
    try machine.fake.write(20, "cgroup", "0::/a\n")
    try machine.mounts(10, unified)
    #expect(machine.headroom() == self.machine, "no such directory")
    try machine.group("/cg/a", ["memory.max": "max", "memory.current": "5000"])
    #expect(machine.headroom() == self.machine)
    for text in ["", "MemTotal: 1 kB\n", "MemAvailable: x kB\n", "MemAvailable: -1 kB"] {
      try machine.meminfo(text)
      #expect(machine.headroom() == nil)
    }
    #expect(machine.tasks() == nil)
  }

  @Test("in version 2 the least of all ancestors bounds, files in no use make room, high does not")
  func versionTwo() throws {
    let machine = try Machine()
    try machine.fake.write(20, "cgroup", "0::/a/b/c\n")
    try machine.mounts(10, unified)
    try machine.group("/cg", ["memory.stat": "inactive_file 999"])
    try machine.group("/cg/a", ["memory.max": "5000000", "memory.current": "1000000"])
    try machine.group("/cg/a/b", ["memory.max": "max", "memory.current": "900000"])
    try machine.group(
      "/cg/a/b/c",
      ["memory.max": "6000000", "memory.high": "1000", "memory.current": "800000"])
    #expect(machine.headroom() == machine.bound("/cg/a", 4_000_000))
    try machine.group(
      "/cg/a", ["memory.stat": "anon 5\ninactive_anon 7\ninactive_file 300000\nfile 9"])
    #expect(machine.headroom() == machine.bound("/cg/a", 4_300_000))
    try machine.group("/cg/a", ["memory.current": "7000000"])
    #expect(machine.headroom() == machine.bound("/cg/a", 300_000), "over its limit already")
    try machine.group("/cg/a", ["memory.max": ""])
    #expect(machine.headroom() == machine.bound("/cg/a/b/c", 5_200_000))
    // Ourselves, in another group.
    try machine.fake.write(10, "cgroup", "0::/\n")
    #expect(machine.headroom(10) == self.machine)
  }

  @Test("in version 1 memory with swap bounds too, and ancestors only where they count children")
  func versionOne() throws {
    let machine = try Machine()
    try machine.fake.write(20, "cgroup", "4:memory:/a/b\n0::/\n")
    try machine.mounts(10, first + "2 2 0:4 / /cg/unified rw - cgroup2 cgroup2 rw\n")
    let none = "9223372036854771712"
    try machine.group(
      "/cg/memory",
      [
        "memory.limit_in_bytes": none, "memory.usage_in_bytes": "20000000",
        "memory.use_hierarchy": "1",
      ])
    try machine.group(
      "/cg/memory/a",
      ["memory.limit_in_bytes": "3000000", "memory.usage_in_bytes": "2000000"])
    try machine.group(
      "/cg/memory/a/b",
      [
        "memory.limit_in_bytes": "2500000", "memory.usage_in_bytes": "1000000",
        "memory.stat": "inactive_file 1\ntotal_inactive_file 200000", "memory.use_hierarchy": "0",
      ])
    #expect(machine.headroom() == machine.bound("/cg/memory/a", 1_000_000))
    try machine.group("/cg/memory/a", ["memory.use_hierarchy": "0"])
    #expect(machine.headroom() == machine.bound("/cg/memory/a/b", 1_700_000))
    try machine.group(
      "/cg/memory/a/b",
      ["memory.memsw.limit_in_bytes": "2600000", "memory.memsw.usage_in_bytes": "2400000"])
    #expect(machine.headroom() == machine.bound("/cg/memory/a/b", 400_000))
  }

  @Test("of two hierarchies, and of two mounts, the one that says more counts")
  func hybrid() throws {
    let machine = try Machine()
    try machine.fake.write(20, "cgroup", "7:cpu:/a\n4:memory:/a\n0::/u\n")
    try machine.mounts(
      10,
      "1 2 0:3 / /cg/cpu rw - cgroup cgroup rw,cpu\n1 2 0:3 /a /bind rw - cgroup cgroup rw,memory\n"
        + first + "2 2 0:4 / /cg/unified rw - cgroup2 cgroup2 rw\n")
    try machine.group(
      "/cg/memory", ["memory.limit_in_bytes": "1000", "memory.usage_in_bytes": "1"])
    try machine.group(
      "/cg/cpu/a", ["memory.limit_in_bytes": "10", "memory.usage_in_bytes": "1"])
    #expect(machine.headroom() == machine.bound("/cg/memory", 999))
    try machine.group("/cg/unified/u", ["memory.max": "700", "memory.current": "0"])
    #expect(machine.headroom() == machine.bound("/cg/unified/u", 700))
  }

  @Test("a container's own group is its root, and a neighbour's is seen by its mounts")
  func namespaces() throws {
    let machine = try Machine()
    // Ours: the namespace's root, mounted for us.
    try machine.fake.write(10, "cgroup", "0::/\n")
    try machine.mounts(10, unified)
    try machine.group("/cg", ["memory.max": "4000", "memory.current": "1000"])
    #expect(machine.headroom(10) == machine.bound("/cg", 3000))
    // The target's: beside ours, so our mount does not show it.
    try machine.fake.write(20, "cgroup", "0::/../target/sub\n")
    #expect(machine.headroom() == self.machine)
    try machine.mounts(20, "1 2 0:3 /../target /sys/cg rw - cgroup2 cgroup2 rw\n")
    try machine.group("/sys/cg", seenBy: 20, ["memory.max": "900", "memory.current": "100"])
    try machine.group("/sys/cg/sub", seenBy: 20, ["memory.max": "max", "memory.current": "50"])
    #expect(
      machine.headroom()
        == MemoryHeadroom(
          available: 800,
          bound: .cgroup(path: machine.fake.proc.path(20, "root") + "/sys/cg")))
    // Without a namespace of ours, but with only the container's part mounted.
    try machine.fake.write(20, "cgroup", "0::/docker/12\n")
    try machine.mounts(10, "1 2 0:3 /docker/12 /cg rw - cgroup2 cgroup2 rw\n")
    #expect(machine.headroom() == machine.bound("/cg", 3000))
  }

  @Test("the limit of tasks that would be hit first is named")
  func tasks() throws {
    let machine = try Machine()
    try machine.fake.write(20, "cgroup", "8:pids:/a/b\n0::/a\n")
    try machine.mounts(
      10, "1 2 0:3 / /p rw - cgroup cgroup rw,pids\n1 2 0:3 / /u rw - cgroup2 cgroup2 rw\n")
    #expect(machine.tasks() == nil)
    try machine.group("/p/a/b", ["pids.max": "max", "pids.current": "3"])
    #expect(machine.tasks() == nil)
    try machine.group("/p/a", ["pids.max": "100", "pids.current": "60"])
    #expect(
      machine.tasks()
        == TaskHeadroom(available: 40, limit: 100, cgroup: machine.files.path + "/p/a"))
    try machine.group("/u/a", ["pids.max": "5", "pids.current": "9"])
    #expect(
      machine.tasks() == TaskHeadroom(available: 0, limit: 5, cgroup: machine.files.path + "/u/a"))
  }

  @Test("of the limits on processor time the tightest counts, in either version")
  func processors() throws {
    let machine = try Machine()
    func quota() -> ProcessorQuota? {
      ProcessorQuota.of(20, proc: machine.fake.proc, files: machine.files.path)
    }
    try machine.fake.write(20, "cgroup", "8:cpu,cpuacct:/a/b\n0::/a\n")
    try machine.mounts(
      10, "1 2 0:3 / /c rw - cgroup cgroup rw,cpu,cpuacct\n1 2 0:3 / /u rw - cgroup2 cgroup2 rw\n")
    #expect(quota() == nil)
    try machine.group("/c/a/b", ["cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"])
    try machine.group("/u/a", ["cpu.max": "max 100000"])
    #expect(quota() == nil)
    try machine.group("/c/a", ["cpu.cfs_quota_us": "250000", "cpu.cfs_period_us": "100000"])
    #expect(
      quota()
        == ProcessorQuota(
          time: .milliseconds(250), period: .milliseconds(100),
          cgroup: machine.files.path + "/c/a"))
    #expect(quota()?.processors == 2.5)
    try machine.group("/u/a", ["cpu.max": "1000 20000"])
    #expect(
      quota()
        == ProcessorQuota(
          time: .milliseconds(1), period: .milliseconds(20), cgroup: machine.files.path + "/u/a"))
    for text in ["", "1000", "x 100000", "1000 0", "0 100000", "-5 100000", "1000 99999999999999"] {
      try machine.group("/u/a", ["cpu.max": text])
      #expect(quota()?.processors == 2.5, "\(text)")
    }
  }

  @Test("what a target may have put in the place of a group's file is neither waited for nor kept")
  func strangeFiles() throws {
    let machine = try Machine()
    try machine.fake.write(20, "cgroup", "0::/a\n")
    try machine.mounts(20, unified)
    try machine.group("/cg/a", seenBy: 20, ["memory.max": "4000", "memory.current": "1000"])
    let directory = machine.fake.proc.path(20, "root") + "/cg/a"
    #expect(machine.headroom()?.available == 3000)
    for name in ["cpu.max", "cgroup.events", "cgroup.freeze", "memory.stat"] {
      #expect(mkfifo(directory + "/" + name, 0o600) == 0)
    }
    #expect(ProcessorQuota.of(20, proc: machine.fake.proc, files: machine.files.path) == nil)
    #expect(Freezer.state(of: 20, proc: machine.fake.proc, files: machine.files.path) == nil)
    #expect(machine.headroom()?.available == 3000)
    let long = String(repeating: "9", count: ProcFileSystem.longestGroupFile + 1)
    try machine.group("/cg/a", seenBy: 20, ["memory.max": long])
    #expect(machine.headroom() == self.machine)
    try machine.group("/cg/a", seenBy: 20, ["memory.max": "4000"])
    symlink("/dev/zero", directory + "/memory.swap.max")
    #expect(throws: TargetError.self) {
      try machine.fake.proc.bytes(directory + "/memory.swap.max")
    }
  }
}
