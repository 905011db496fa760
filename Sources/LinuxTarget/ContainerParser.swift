// Which container and which systemd unit a process belongs to, from the names of its control groups.

package import HeapModel

/// The parser of `/proc/PID/cgroup`.
package enum ContainerParser {
  /// Finds the innermost container that any line names, nil outside of containers and where a
  /// cgroup namespace hides the path.
  package static func parse(_ text: String) -> ContainerIdentity? {
    for path in paths(text) {
      let components = path.split(separator: "/")
      guard let (index, id) = container(components) else { continue }
      let pod = components[...index].reversed().lazy.compactMap(podUID).first
      return ContainerIdentity(id: id, podUID: pod)
    }
    return nil
  }

  /// Finds the systemd service that any line names: the innermost one, with its suffix; nil if there
  /// is none, or only one around the container.
  ///
  /// What systemd escapes is spelled out: `\x2d` is a dash.
  package static func unit(_ text: String) -> String? {
    for path in paths(text) {
      let components = path.split(separator: "/")
      var outermost = container(components)?.index ?? 0
      // podman runs a container in a unit of its own (a quadlet).
      if components.indices.contains(outermost), components[outermost].hasPrefix("libpod-payload-"),
        outermost > 0
      {
        outermost -= 1
      }
      guard let name = components[outermost...].last(where: isService) else { continue }
      // An underscore keeps apart names that the kernel has a file for (systemd, cg_escape).
      return unescaped(name.hasPrefix("_") ? name.dropFirst() : name)
    }
    return nil
  }

  /// Whether every line says that the process is in the root of its namespace, or of the machine.
  package static func namesNothing(_ text: String) -> Bool {
    paths(text).allSatisfy { $0 == "/" }
  }

  /// A name in which systemd wrote bytes as `\x` and two digits, without that.
  package static func unescaped(_ name: some StringProtocol) -> String {
    Escape.hexadecimal.undone(in: name)
  }

  private static func paths(_ text: String) -> [Substring] {
    text.split(separator: "\n").compactMap { line in
      // hierarchy:controllers:path, where the path may hold colons too.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      return fields.count == 3 ? fields[2] : nil
    }
  }

  /// The innermost container, and the component that names it.
  private static func container(_ components: [Substring]) -> (index: Int, id: String)? {
    // A container may make cgroups of its own further in, and may run inside of another.
    for index in components.indices.reversed() {
      let parent = index > 0 ? components[index - 1] : ""
      let child = index + 1 < components.count ? components[index + 1] : ""
      if let id = hashedID(components[index]) ?? linuxContainer(components[index], in: parent)
        ?? machine(components[index], around: child)
      {
        return (index, id)
      }
    }
    return nil
  }

  /// An id of 64 hexadecimal digits: docker-ID.scope, cri-containerd-ID.scope, nerdctl-ID.scope,
  /// crio-ID.scope, libpod-ID.scope, the same without `.scope`, ...slice:cri-containerd:ID, or ID alone
  /// below /docker, /default, /k8s.io or /kubepods.
  private static func hashedID(_ component: Substring) -> String? {
    var name = component.split(separator: ":").last ?? component
    if name.hasSuffix(".scope") { name = name.dropLast(".scope".count) }
    let id = name.suffix(64)
    guard isHexadecimal(id, count: 64) else { return nil }
    let prefix = name.dropLast(64)
    // conmon is the engine's monitor outside of the container that it names.
    guard prefix.isEmpty || (prefix.hasSuffix("-") && !prefix.hasSuffix("conmon-")) else {
      return nil
    }
    return String(id)
  }

  /// The name of a container of LXC, LXD or Incus: lxc.payload.NAME, lxc.payload/NAME, and lxc/NAME
  /// before LXC 4; lxc.monitor is outside of it.
  private static func linuxContainer(_ component: Substring, in parent: Substring) -> String? {
    let mark = "lxc.payload."
    let name = component.hasPrefix(mark) ? component.dropFirst(mark.count) : component
    guard component.hasPrefix(mark) || parent == "lxc.payload" || parent == "lxc",
      !name.isEmpty, name != ".."
    else { return nil }
    return String(name)
  }

  /// The name of a machine of systemd: machine-NAME.scope, systemd-nspawn@NAME.service.
  private static func machine(_ component: Substring, around child: Substring) -> String? {
    // There runs what watches over it.
    guard child != "supervisor" else { return nil }
    for (before, after) in [("machine-", ".scope"), ("systemd-nspawn@", ".service")] {
      guard component.hasPrefix(before), component.hasSuffix(after),
        component.count > before.count + after.count
      else { continue }
      let name = unescaped(component.dropFirst(before.count).dropLast(after.count))
      // libvirt has its virtual machines called so: qemu-1-NAME.
      return name.hasPrefix("qemu-") ? nil : name
    }
    return nil
  }

  private static func isService(_ component: Substring) -> Bool {
    component.hasSuffix(".service") && component.count > ".service".count
  }

  /// The pod uid that one component of the path names: podUID, or kubepods-burstable-podUID.slice
  /// with underscores.
  private static func podUID(_ component: Substring) -> String? {
    for var name in component.split(separator: ":") {
      if name.hasSuffix(".slice") { name = name.dropLast(".slice".count) }
      guard let marker = name.lastRange(of: "pod") else { continue }
      let before = name[..<marker.lowerBound]
      let uid = name[marker.upperBound...]
      guard before.isEmpty || before.hasSuffix("-") else { continue }
      // Pods that a file on the node defines have the hash of the file as their uid.
      if isHexadecimal(uid, count: 32) { return String(uid) }
      let groups = uid.split(
        omittingEmptySubsequences: false, whereSeparator: { $0 == "_" || $0 == "-" })
      if zip(groups, [8, 4, 4, 4, 12]).allSatisfy({ isHexadecimal($0, count: $1) }),
        groups.count == 5
      {
        return groups.joined(separator: "-")
      }
    }
    return nil
  }

  private static func isHexadecimal(_ text: Substring, count: Int) -> Bool {
    text.utf8.count == count
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }
}

extension Substring {
  /// Where `text` occurs last.
  fileprivate func lastRange(of text: String) -> Range<Index>? {
    var end = endIndex
    while let start = index(end, offsetBy: -text.count, limitedBy: startIndex) {
      if self[start..<end] == text { return start..<end }
      guard end > startIndex else { return nil }
      end = index(before: end)
    }
    return nil
  }
}
