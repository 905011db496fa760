// Why a process's heap cannot be walked at all.

/// Why no malloc of glibc could be made out.
package enum HeapError: Error, Hashable, Sendable {
  /// No file that the process maps holds the mark of a `main_arena`.
  case noArena(paths: [String])
  /// The file holds several places that look like a `main_arena`.
  case ambiguousArena(path: String, count: Int)
  /// The file holds a `main_arena` but no `mp_`, or one of unknown shape.
  case unknownParameters(path: String, layout: String)
}
