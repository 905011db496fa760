// Finding the debug files of what one process has mapped, by build ids alone.

import LinuxTarget

/// Where debug files of one process's files are looked for.
struct DebugFiles: Sendable {
  /// Where the user wants files to be looked for first.
  let directory: String?
  /// The target's root directory.
  let root: String

  /// Whose debug file is looked for.
  struct Query {
    var buildID: [UInt8]
    /// The name that the file gives its debug file.
    var link: String?
    /// The file's path as the target names it.
    var path: String
  }

  /// What `use` makes of the first debug file that has the build id, and of which it makes something; why
  /// others were not taken is added to `rejected`.
  func first<Value>(
    _ query: Query, _ rejected: inout [SymbolError],
    _ use: (consuming DebugFile) throws(SymbolError) -> Value?
  ) -> Value? {
    guard query.buildID.count > 1 else { return nil }
    let ways = ways(to: query)
    var places = ways.places(of: query.buildID)
    if let link = query.link { places += ways.places(linked: link, from: query.path) }
    for place in places {
      do throws(SymbolError) {
        guard let file = try ways.file(at: place, buildID: query.buildID) else { continue }
        if let value = try use(file) { return value }
      } catch {
        rejected.append(error)
      }
    }
    return nil
  }

  /// The places for a query.
  func ways(to query: Query) -> DebugFileWays {
    DebugFileWays(
      directory: directory, root: root,
      names: directory == nil ? [] : DebugFileWays.names(link: query.link, path: query.path))
  }
}
