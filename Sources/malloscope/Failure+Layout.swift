// Why a glibc malloc is not walked: it is none that is known, and what it looks like instead.

import GlibcHeap

extension Failure {
  /// No malloc of glibc could be made out in process `pid`.
  init(_ error: HeapError, pid: Int32) {
    let known = "malloscope knows the heaps of glibc 2.17 to 2.44"
    switch error {
    case .noArena(let paths, let traces):
      var fact =
        "found no glibc malloc in process \(pid): no main_arena in "
        + (paths.isEmpty ? "any mapped file" : paths.joined(separator: ", "))
      for trace in traces.prefix(2) {
        fact +=
          "; nearest to one in \(trace.file): \(trace.arenaText), expected are "
          + "\(ArenaLayout.nextDistances)"
      }
      self.init(
        code: .unsupported, fact: fact,
        hints: ["\(known); if this is one, report it with the line above"], isTransient: true)
    case .ambiguousArena(let misfit):
      self.init(
        code: .unsupported,
        fact:
          "cannot tell main_arena in \(misfit.file): \(misfit.arenas.count) places look like it, "
          + "one was expected: \(misfit.arenaText)",
        hints: [Self.report, Self.debugFile])
    case .unknownParameters(let misfit):
      self.init(
        code: .unsupported,
        fact: "cannot read the malloc of \(misfit.file): main_arena is at \(misfit.arenaText), but "
          + (misfit.parameters.isEmpty
            ? "nothing begins as mp_ does, with 20000 20000 20000 8 0"
            : "mp_ has an unknown shape: \(misfit.parametersText)"),
        hints: [Self.report, Self.debugFile])
    case .unknownLayout(let misfit):
      self.init(
        code: .unsupported,
        fact:
          "cannot read the malloc of \(misfit.file): its debug information has a layout that is "
          + "not known: \(misfit.differencesText)",
        hints: [Self.report, known])
    }
  }

  private static let report = "report this with the line above: it tells what the layout needs"
  private static let debugFile =
    "if the library's debug file is at hand (package libc6-dbg or glibc-debuginfo), name its "
    + "directory with --debuginfo"
}

extension ArenaLayout {
  /// The distances from an arena to its pointer to itself, in bytes, as words.
  fileprivate static var nextDistances: String {
    let distances = Set([ArenaLayout.a, .b, .c, .d].map(\.next)).sorted()
    return distances.map(String.init).joined(separator: ", ") + " bytes"
  }
}
