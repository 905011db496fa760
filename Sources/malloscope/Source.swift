// From what the user named to one process.

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
      guard let pidInside else {
        return try only(
          inside, what: "--container \(prefix)", hint: "choose one with --pid-in-container N")
      }
      return try only(
        SourceResolution.withNamespacedPid(pidInside, of: inside),
        what: "--container \(prefix) --pid-in-container \(pidInside)")
    }
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
      throw Failure(code: .noInput, fact: "no process matches \(what)")
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

  /// A command line for one line of a terminal: no control characters, and not all of a long one.
  private func printable(_ text: String, else other: String) -> String {
    let shown = text.isEmpty ? other : text
    let clean = String(
      shown.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : Character($0) })
    return clean.count > 60 ? clean.prefix(59) + "~" : clean
  }
}
