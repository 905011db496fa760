// From the beginning of a chunk to what it holds.

package import HeapModel
import RemoteMemory

/// Tells chunk by chunk what is held, and keeps the table of types that this makes.
package struct TypeAttribution: ~Copyable {
  /// How many bytes of each chunk are looked at.
  package static let beginning = 64

  private let sources: TypeSources
  /// The types that were told up to now.
  package private(set) var types: [HeldType] = [.unknown]

  /// Begins with no types.
  package init(_ sources: TypeSources) {
    self.sources = sources
  }

  /// The number of the type of `chunk`, whose first usable bytes are `beginning`: all of them, or 64.
  package mutating func type(of chunk: Chunk, beginning: RawSpan) -> UInt32 {
    0
  }
}
