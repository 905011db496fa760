// From a name or a container to a process: the processes that can be seen, and choosing among them.

package import HeapModel

/// One process of the list from which a name or a container is looked up.
package struct ProcessListing: Hashable, Sendable {
  /// Its process id in our PID namespace.
  package var pid: Int32
  /// Its process id in its own PID namespace.
  package var namespacedPid: Int32
  /// Its command name.
  package var command: String
  /// Its arguments, the first of which is the name that it was started by.
  package var arguments: [String]
  /// Its container.
  package var container: ContainerIdentity?
  /// Its systemd service, with its suffix.
  package var unit: String?

  /// Makes a listing.
  package init(
    pid: Int32, namespacedPid: Int32, command: String, arguments: [String],
    container: ContainerIdentity?, unit: String? = nil
  ) {
    self.pid = pid
    self.namespacedPid = namespacedPid
    self.command = command
    self.arguments = arguments
    self.container = container
    self.unit = unit
  }
}

extension LinuxProcess {
  /// All processes that can be seen, ascending by id, without this one, kernel threads and those
  /// that have ended.
  ///
  /// Processes that end meanwhile are left out.
  package static func all(
    proc: ProcFileSystem = ProcFileSystem()
  ) throws(TargetError) -> [ProcessListing] {
    var listings: [ProcessListing] = []
    for pid in try proc.numbers(in: proc.root).sorted() where pid != proc.ownPID {
      guard let statText = try? proc.text(proc.path(pid, "stat")),
        let stat = ProcessStat(parsing: statText), !stat.isKernelThread,
        let statusText = try? proc.text(proc.path(pid, "status")),
        let status = ProcessStatus(parsing: statusText), !status.hasEnded || status.threads > 1
      else { continue }
      let cgroup = (try? proc.text(proc.path(pid, "cgroup"))) ?? ""
      let command = (try? proc.bytes(proc.path(pid, "cmdline"))) ?? []
      listings.append(
        ProcessListing(
          pid: pid, namespacedPid: status.namespacedPIDs.last ?? pid,
          command: proc.line(proc.path(pid, "comm")) ?? "",
          arguments: ProcText.arguments(command), container: ContainerParser.parse(cgroup),
          unit: ContainerParser.unit(cgroup)))
    }
    return listings
  }

  /// Whether control groups tell nothing of containers here: that of this tool is the root that it
  /// sees, as in a cgroup namespace of its own.
  package static func cannotTellContainers(proc: ProcFileSystem = ProcFileSystem()) -> Bool {
    guard let own = try? proc.text(proc.path(proc.ownPID, "cgroup")) else { return true }
    return ContainerParser.namesNothing(own)
  }
}

/// Choosing processes from a list.
package enum SourceResolution {
  /// Those in whose command name, or in the file name that they were started by, `pattern` is
  /// found.
  package static func named(
    _ pattern: Regex<AnyRegexOutput>, in listings: [ProcessListing]
  ) -> [ProcessListing] {
    listings.filter { listing in
      let started = listing.arguments.first?.fileName ?? ""
      return [listing.command, started].contains { name in
        !name.isEmpty && name.firstMatch(of: pattern) != nil
      }
    }
  }

  /// Those in a container whose id begins with `idPrefix`, and, if that ends in `.service`, those of
  /// the systemd unit with exactly this name, escaped or not; none for an empty prefix.
  package static func inContainer(
    _ idPrefix: String, of listings: [ProcessListing]
  ) -> [ProcessListing] {
    guard !idPrefix.isEmpty else { return [] }
    let unit = idPrefix.hasSuffix(".service") ? ContainerParser.unescaped(idPrefix) : nil
    return listings.filter {
      $0.container?.id.hasPrefix(idPrefix) == true || unit != nil && $0.unit == unit
    }
  }

  /// The first process of each container, in the order of the list.
  package static func containers(of listings: [ProcessListing]) -> [ProcessListing] {
    var seen: Set<String> = []
    return listings.filter { listing in
      listing.container.map { seen.insert($0.id).inserted } ?? false
    }
  }

  /// Those that know themselves by the id `pid`.
  package static func withNamespacedPid(
    _ pid: Int32, of listings: [ProcessListing]
  ) -> [ProcessListing] {
    listings.filter { $0.namespacedPid == pid }
  }
}
