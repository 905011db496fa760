// From what the user named to one process.

import Glibc
import HeapModel
import LinuxTarget

/// What a user calls a process.
enum ProcessSource: Hashable {
  /// Its id in our PID namespace.
  case pid(Int32)
  /// A regular expression for its command name.
  case name(String)
  /// The beginning of its container's id, and its own id inside.
  case container(String, pidInside: Int32?)

  /// The one process that is called so.
  ///
  /// - Throws: a failure if there is none, more than one, or one that cannot be looked at.
  func process() throws(Failure) -> LinuxProcess {
    let pid = try resolvedPid()
    do throws(TargetError) {
      return try LinuxProcess.inspect(pid)
    } catch {
      throw Failure(error)
    }
  }

  private func resolvedPid() throws(Failure) -> Int32 {
    if case .pid(let pid) = self { return pid }
    let listings: [ProcessListing]
    do throws(TargetError) {
      listings = try LinuxProcess.all()
    } catch {
      throw Failure(error)
    }
    switch self {
    case .pid(let pid):
      return pid
    case .name(let name):
      return try only(matches(name, in: listings), what: "--name '\(name)'")
    case .container(let prefix, let pidInside):
      let inside = SourceResolution.inContainer(prefix, of: listings)
      if inside.isEmpty { throw Failure(noContainer: prefix, among: listings) }
      guard let pidInside else {
        return try only(
          inside, what: "--container \(prefix)", hint: "choose one with --pid-in-container N")
      }
      let what = "--container \(prefix) --pid-in-container \(pidInside)"
      let chosen = SourceResolution.withNamespacedPid(pidInside, of: inside)
      if chosen.isEmpty {
        throw Failure(
          code: .noInput, fact: "no process matches \(what)",
          circumstances: ["the ids of its processes inside:"]
            + Self.lines(inside) {
              "\($0.namespacedPid)  \(printable($0.command)) (pid \($0.pid))"
            })
      }
      return try only(chosen, what: what)
    }
  }

  /// An indented line for each of the first twenty.
  fileprivate static func lines(
    _ listings: [ProcessListing], _ line: (ProcessListing) -> String
  ) -> [String] {
    listings.prefix(20).map { "  " + line($0) }
      + (listings.count > 20 ? ["  and \(listings.count - 20) more"] : [])
  }

  private func matches(
    _ pattern: String, in listings: [ProcessListing]
  ) throws(Failure) -> [ProcessListing] {
    do {
      return SourceResolution.named(try Regex(pattern), in: listings)
    } catch {
      throw Failure(code: .usage, fact: "cannot read --name \(pattern) as a regular expression")
    }
  }

  /// The one process of `listings`.
  ///
  /// - Throws: a failure that lists what was found.
  private func only(
    _ listings: [ProcessListing], what: String, hint: String = "give the PID of one of them"
  ) throws(Failure) -> Int32 {
    if listings.count == 1 { return listings[0].pid }
    guard !listings.isEmpty else {
      throw Failure(
        code: .noInput, fact: "no process matches \(what)",
        circumstances: Failure.hiddenProcesses)
    }
    var lines = "\(listings.count) processes match \(what), exactly one must:"
    for listing in listings.prefix(20) {
      lines += "\n  \(listing.pid)  "
      if listing.namespacedPid != listing.pid { lines += "(\(listing.namespacedPid) inside)  " }
      lines += printable(listing.arguments.joined(separator: " "), else: listing.command)
    }
    if listings.count > 20 { lines += "\n  and \(listings.count - 20) more" }
    throw Failure(code: .usage, fact: lines, hints: [hint])
  }

}

/// A command line for one line of a terminal: no control characters, and not all of a long one.
private func printable(_ text: String, else other: String = "") -> String {
  let shown = text.isEmpty ? other : text
  let clean = String(
    shown.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : Character($0) })
  return clean.count > 60 ? clean.prefix(59) + "~" : clean
}

extension Failure {
  /// A line that says so if `/proc` hides processes from us, and so may what was looked for.
  fileprivate static var hiddenProcesses: [String] {
    guard let hiding = (try? AttachFacts.gather(getpid()))?.hidingFromUs else { return [] }
    return ["/proc hides processes from this tool (mounted with \(hiding.option))"]
  }

  /// No process is in a container, or of a unit, that is called `name`.
  fileprivate init(noContainer name: String, among listings: [ProcessListing]) {
    self.init(code: .noInput, fact: "no process matches --container \(name)")
    circumstances = Self.hiddenProcesses
    let containers = SourceResolution.containers(of: listings)
    if containers.isEmpty {
      let isHidden = LinuxProcess.cannotTellContainers()
      circumstances.append(
        isHidden
          ? "cgroup namespaces hide container ids here: no process that can be seen shows one"
          : "no process that can be seen is in a container")
      hints = ["give the PID, or --name REGEX"]
      if isHidden { hints.append("run on the node, where control groups have their full paths") }
      return
    }
    circumstances.append("containers that can be seen, each with its first process:")
    circumstances += ProcessSource.lines(containers) { listing in
      let id = printable(String((listing.container?.id ?? "").prefix(12)))
      return "\(id)  \(printable(listing.command)) (pid \(listing.pid))"
    }
    hints = ["give the beginning of one of these ids, the PID, or --name REGEX"]
  }
}
