// The names that container engines and systemd give to control groups.

import HeapModel
import LinuxTarget
import Testing

@Suite("The container that a cgroup path names")
struct ContainerParserTests {
  private static let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  private static let inner = String(id.reversed())
  private static let uid = "11111111-2222-3333-4444-555555555555"
  private static let escapedUID = "11111111_2222_3333_4444_555555555555"
  private static let slices = "0::/kubepods.slice/kubepods-burstable.slice"

  @Test(
    "every engine's spelling is known",
    arguments: [
      // Docker, with systemd and without, with a version 1 or a unified hierarchy or both.
      ("0::/system.slice/docker-\(id).scope", id, nil),
      ("0::/system.slice/docker-\(id).scope/init.scope", id, nil),
      ("0::/docker/\(id)", id, nil),
      ("12:memory:/docker/\(id)\n0::/", id, nil),
      ("12:memory:/docker/\(id)\n1:name=systemd:/docker/\(id)\n0::/docker/\(id)", id, nil),
      ("1:name=systemd:/docker/\(id)/docker/\(inner)", inner, nil),
      ("5:freezer:/\n4:memory:/a:b/docker/\(id)\n", id, nil),
      // containerd for Kubernetes, by itself, and by nerdctl.
      ("\(slices)/kubepods-burstable-pod\(escapedUID).slice/cri-containerd-\(id).scope", id, uid),
      (
        "0::/system.slice/containerd.service/kubepods-besteffort-pod\(escapedUID).slice"
          + ":cri-containerd:\(id)", id, uid
      ),
      ("0::/kubepods/burstable/pod\(uid)/\(id)", id, uid),
      ("4:cpu,cpuacct:/kubepods/pod\(uid)/\(id)", id, uid),
      (
        "0::/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/\(id)", id,
        "0123456789abcdef0123456789abcdef"
      ),
      ("0::/k8s.io/\(id)", id, nil),
      ("0::/default/\(id)", id, nil),
      ("0::/user.slice/user@1000.service/nerdctl-\(id).scope", id, nil),
      ("0::/system.slice/nerdctl-\(id).scope", id, nil),
      // CRI-O.
      ("0::/kubepods.slice/kubepods-pod\(escapedUID).slice/crio-\(id).scope", id, uid),
      ("3:cpu:/kubepods/pod\(uid)/crio-\(id)", id, uid),
      ("3:cpu:/kubepods/pod\(uid)/crio-\(id)/system.slice/a.service", id, uid),
      // Podman, also without root and in a unit of its own.
      ("0::/machine.slice/libpod-\(id).scope/container", id, nil),
      ("0::/machine.slice/libpod-\(id).scope", id, nil),
      ("0::/libpod_parent/libpod-\(id)", id, nil),
      (
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-\(id).scope/container",
        id, nil
      ),
      ("0::/system.slice/nginx.service/libpod-payload-\(id)", id, nil),
      // LXC, LXD and Incus, in the order of their history.
      ("8:memory:/lxc/first", "first", nil),
      ("8:memory:/lxc/100/ns/init.scope", "100", nil),
      ("10:cpuset:/lxc/outer/lxc/inner", "inner", nil),
      ("10:cpuset:/lxc.payload/web", "web", nil),
      ("0::/lxc.payload.web 1/system.slice/cron.service", "web 1", nil),
      ("0::/lxc.payload.project_web/docker/\(id)", id, nil),
      // systemd's machines, with what it escapes, and libvirt's containers.
      ("0::/machine.slice/machine-web.scope/payload", "web", nil),
      (#"1:name=systemd:/machine.slice/machine-web\x2d1.scope"#, "web-1", nil),
      (#"0::/machine.slice/systemd-nspawn@my\x2dweb.service/payload"#, "my-web", nil),
      (
        "0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/cron.service", "web",
        nil
      ),
      (#"0::/machine.slice/machine-lxc\x2d7\x2ddemo.scope/libvirt"#, "lxc-7-demo", nil),
      // Beside and above the root of a cgroup namespace.
      ("0::/../cri-containerd-\(id).scope", id, nil),
      ("0::/../../pod\(uid)/\(id)", id, uid),
      ("0::/../../../system.slice/docker-\(id).scope", id, nil),
      ("0::/../lxc.payload.web", "web", nil),
    ] as [(String, String, String?)])
  func spellings(text: String, id: String, podUID: String?) {
    #expect(ContainerParser.parse(text) == ContainerIdentity(id: id, podUID: podUID))
  }

  @Test(
    "what is no container is none",
    arguments: [
      "", "0::/", "0::/system.slice/nginx.service", "0::/..", "0::/../..",
      "0::/user.slice/user-1000.slice/session-1.scope",
      "0::/machine.slice/libpod-conmon-\(id).scope", "0::/system.slice/crio-conmon-\(id).scope",
      "0::/docker/\(id.dropLast())", "0::/docker/\(id.uppercased())", "0::/docker/x\(id)",
      "\(id)", "0:\(id)", "::", "0::/kubepods/pod\(uid)",
      // Monitors and directories of LXC, and who watches over systemd's machines.
      "0::/lxc.payload.", "0::/lxc", "8:memory:/lxc.payload", "0::/lxc.monitor.web",
      "0::/lxc.monitor/web", "0::/lxc/..", "0::/lxc.pivot",
      "0::/machine.slice/systemd-nspawn@web.service/supervisor", "0::/machine.slice/machine-.scope",
      // A virtual machine.
      #"0::/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/emulator"#,
    ])
  func others(text: String) {
    #expect(ContainerParser.parse(text) == nil)
  }

  @Test(
    "a systemd service is the innermost one of the path, not one around the container",
    arguments: [
      ("0::/system.slice/nginx.service", "nginx.service"),
      ("1:name=systemd:/system.slice/nginx.service\n0::/", "nginx.service"),
      (#"0::/system.slice/system-getty.slice/getty@tty\x2d1.service"#, "getty@tty-1.service"),
      ("0::/user.slice/user@1000.service/app.slice/web.service", "web.service"),
      ("0::/system.slice/nginx.service/worker", "nginx.service"),
      ("0::/system.slice/_memory.service", "memory.service"),
      ("0::/lxc.payload.web/system.slice/cron.service", "cron.service"),
      ("0::/system.slice/nginx.service/libpod-payload-\(id)", "nginx.service"),
      ("0::/system.slice/nginx.service/runtime", "nginx.service"),
      ("0::/", nil), ("", nil), ("0::/system.slice/.service", nil),
      ("0::/system.slice/docker-\(id).scope", nil),
      ("0::/user.slice/user@1000.service/user.slice/libpod-\(id).scope", nil),
      ("0::/system.slice/containerd.service/kubepods.slice:cri-containerd:\(id)", nil),
    ] as [(String, String?)])
  func units(text: String, unit: String?) {
    #expect(ContainerParser.unit(text) == unit)
  }

  @Test("escapes are undone only where they are whole")
  func escapes() {
    #expect(ContainerParser.unescaped(#"a\x2db\x5cx41"#) == #"a-b\x41"#)
    #expect(ContainerParser.unescaped(#"\x2"#) == #"\x2"#)
    #expect(ContainerParser.unescaped(#"\xzz\"#) == #"\xzz\"#)
    #expect(ContainerParser.unescaped(#"\xc3\xa4"#) == "\u{e4}")
  }

  @Test("in the root of a cgroup namespace nothing is named")
  func namespaceRoot() {
    #expect(ContainerParser.namesNothing("0::/\n"))
    #expect(ContainerParser.namesNothing("3:memory:/\n0::/\n"))
    #expect(!ContainerParser.namesNothing("3:memory:/a\n0::/\n"))
  }
}
