// Which container a process belongs to, from the names that container engines give to cgroups.

package import HeapModel

/// The parser of `/proc/PID/cgroup`.
package enum ContainerParser {
  /// Finds the innermost container that any line names, nil outside of containers and where a
  /// cgroup namespace hides the path.
  package static func parse(_ text: String) -> ContainerIdentity? {
    for line in text.split(separator: "\n") {
      // hierarchy:controllers:path, where the path may hold colons too.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if let found = identity(path: fields[2]) { return found }
    }
    return nil
  }

  private static func identity(path: Substring) -> ContainerIdentity? {
    let components = path.split(separator: "/")
    // A container may make cgroups of its own further in, and may run inside of another.
    for (index, component) in components.enumerated().reversed() {
      guard let id = containerID(component) else { continue }
      let pod = components[...index].reversed().lazy.compactMap(podUID).first
      return ContainerIdentity(id: id, podUID: pod)
    }
    return nil
  }

  /// The id that one component of the path names.
  private static func containerID(_ component: Substring) -> String? {
    if component.hasPrefix("lxc.payload.") {
      let name = component.dropFirst("lxc.payload.".count)
      return name.isEmpty ? nil : String(name)
    }
    // docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, libpod-ID, and
    // ...slice:cri-containerd:ID, or ID alone below /docker or /kubepods.
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
