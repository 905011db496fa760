// Where the debug file of a library may be, and how it is opened without harm.

import CPtrace
import Glibc
import LinuxTarget

/// The places where debug files are looked for.
struct DebugFileWays {
  /// Where the user wants them to be looked for first.
  let directory: String?
  /// The target's root directory, as `/proc` has it.
  let root: String
  /// What a debug file in the user's directory may be called: as the library says, or like itself.
  let names: [String]

  /// Where distributions put debug files.
  private static let standard = "usr/lib/debug"

  /// One place.
  struct Place: Hashable {
    /// The path, under `root` if there is one.
    var name: String
    /// The root directory that symbolic links stay within; nil for ours.
    var root: String?

    /// The path for messages.
    var path: String { (root ?? "") + name }

    /// Opens the regular file here for reading; nil if nothing is here.
    ///
    /// It never waits: not for a writer of a pipe, nor is a device opened.
    ///
    /// - Throws: `SymbolError.noWayToFile`.
    func open() throws(SymbolError) -> OwnedDescriptor? {
      let place: Int32
      if let root {
        place = unsafe cpt_find_in_root(root, name)
      } else {
        place = unsafe cpt_find(name)
      }
      guard place >= 0 else {
        guard ![ENOENT, ENOTDIR].contains(-place) else { return nil }
        throw failure(.refused(errno: -place))
      }
      let found = OwnedDescriptor(adopting: place)
      guard case .success(let status) = found.status(), status.isRegular else {
        throw failure(.notRegular)
      }
      let number = unsafe Glibc.open(
        "/proc/self/fd/\(found.number)", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
      guard number >= 0 else { throw failure(.refused(errno: errno)) }
      return OwnedDescriptor(adopting: number)
    }

    private func failure(_ outcome: OpenAttempt.Outcome) -> SymbolError {
      .noWayToFile(name: path, attempts: [OpenAttempt(path: path, outcome: outcome)])
    }
  }

  /// Opens the debug file at `place`; nil if nothing is there.
  ///
  /// - Throws: `SymbolError.otherBuild` if it has another build id than `buildID`, or what `Place.open` and
  ///   `DebugFile` throw.
  func file(at place: Place, buildID: [UInt8]) throws(SymbolError) -> DebugFile? {
    guard let descriptor = try place.open() else { return nil }
    let file = try DebugFile(descriptor, path: place.path)
    let found = file.buildID
    guard found == buildID else { throw .otherBuild(path: place.path, buildID: found) }
    return file
  }

  /// Opens the file that holds what several debug files, of which one is at `path`, share.
  func sharedFile(_ part: (name: String, buildID: [UInt8]), besides path: String) -> SharedDwarf? {
    guard part.buildID.count > 1 else { return nil }
    for place in places(ofShared: part.name, buildID: part.buildID, besides: path) {
      if let file = try? file(at: place, buildID: part.buildID) {
        guard let dwarf = try? DwarfHandle.open(file.handle) else { return nil }
        return SharedDwarf(dwarf)
      }
    }
    return nil
  }

  /// What the debug file of the file at `path` may be called: as its link says, and like it.
  static func names(link: String?, path: String) -> [String] {
    var names = link.map { [$0] } ?? []
    if let own = path.split(separator: "/").last { names += ["\(own).debug", "\(own)"] }
    return names
  }

  /// The places of the file with the symbols of the library, which has this build id; best first.
  func places(of buildID: [UInt8]) -> [Place] {
    let name = Self.name(of: buildID)
    return places(["/.build-id/\(name)", "/\(name)"] + names.map { "/" + $0 }, standard: [name])
  }

  /// The places of the file that the one at `path` names `link`, as GDB has them (its manual, "Separate
  /// Debug Files").
  func places(linked link: String, from path: String) -> [Place] {
    let end = path.lastIndex(of: "/") ?? path.startIndex
    let directory = path[..<end]
    return bases.flatMap { base in
      ["\(directory)/\(link)", "\(directory)/.debug/\(link)", "\(base.name)\(directory)/\(link)"]
        .map { Place(name: $0, root: base.root) }
    }
  }

  /// The places of what dwz took out of several debug files; `path` is one of these.
  func places(ofShared name: String, buildID: [UInt8], besides path: String) -> [Place] {
    let file = name.split(separator: "/").last.map(String.init) ?? name
    let identified = Self.name(of: buildID)
    var result = places(
      ["/.build-id/\(identified)", "/\(identified)", "/.dwz/\(file)", "/\(file)"],
      standard: [identified])
    for base in bases { result.append(Place(name: "\(base.name)/.dwz/\(file)", root: base.root)) }
    return result
  }

  /// The directories of debug files under the target's root and ours, once if they are the same.
  private var bases: [Place] {
    let target = Place(name: "/" + Self.standard, root: root)
    let ours = Place(name: "/" + Self.standard, root: nil)
    guard case .success(let theirs) = FileStatus.of(path: root),
      case .success(let own) = FileStatus.of(path: "/")
    else { return [ours] }
    let isSame =
      theirs.inode == own.inode && theirs.deviceMajor == own.deviceMajor
      && theirs.deviceMinor == own.deviceMinor
    return isSame ? [ours] : [target, ours]
  }

  /// Names in the user's directory, then those of `standard` by build id in the usual ones.
  private func places(_ names: [String], standard: [String]) -> [Place] {
    var places: [Place] = []
    if let directory {
      places = names.map { Place(name: directory + $0, root: nil) }
      places += standard.map {
        Place(name: "\(directory)/\(Self.standard)/.build-id/\($0)", root: nil)
      }
    }
    for base in bases {
      places += standard.map { Place(name: "\(base.name)/.build-id/\($0)", root: base.root) }
    }
    return places
  }

  private static func name(of buildID: [UInt8]) -> String {
    "\(BuildID.text(buildID.prefix(1)))/\(BuildID.text(buildID.dropFirst())).debug"
  }
}
