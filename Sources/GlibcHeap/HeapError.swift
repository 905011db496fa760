// Why a process's heap cannot be walked at all: what was found, and what of it did not fit.

import HeapModel

/// Why no malloc of glibc could be made out.
package enum HeapError: Error, Hashable, Sendable {
  /// No file that the process maps holds the mark of a `main_arena`; what comes near to one is in
  /// `traces`.
  case noArena(paths: [String], traces: [LayoutMisfit])
  /// The file holds several places that look like a `main_arena`.
  case ambiguousArena(LayoutMisfit)
  /// The file holds a `main_arena` but no `mp_`, or one of unknown shape.
  case unknownParameters(LayoutMisfit)
  /// The file's debug information lays out structures as none of the known layouts does.
  case unknownLayout(LayoutMisfit)
}

/// What a file with a malloc that is not understood was found to hold.
package struct LayoutMisfit: Hashable, Sendable {
  /// A place that looks like a `main_arena`, or nearly so.
  package struct ArenaTrace: Hashable, Sendable {
    /// Its ELF virtual address.
    package var address: UInt64
    /// How far behind it the pointer to it lies, in bytes.
    package var distance: UInt64
    /// The layout with that distance, nil if none has it.
    package var layout: String?
  }

  /// A place that begins as `mp_` does.
  package struct ParametersTrace: Hashable, Sendable {
    /// How many words are kept.
    static let wordCount = 18
    /// Its ELF virtual address.
    package var address: UInt64
    /// What the file holds there.
    package var words: [UInt64]
  }

  /// The file, as the target names it.
  package var path: String
  /// The version in its banner, nil if it has none.
  package var glibcVersion: String?
  /// Its build id, empty if it has none.
  package var buildID: [UInt8]
  /// Places like a `main_arena`.
  package var arenas: [ArenaTrace] = []
  /// Places like `mp_`.
  package var parameters: [ParametersTrace] = []
  /// Where debug information differs from the layouts that come nearest.
  package var differences: [LayoutDifference] = []

  init(_ loaded: LoadedImage) {
    path = loaded.path
    glibcVersion = loaded.image.glibcBanner
    buildID = loaded.image.buildID
  }
}

/// A part of a structure that is not where a known layout has it.
package struct LayoutDifference: Hashable, Sendable {
  /// The structure's name.
  package var structure: String
  /// The known layout.
  package var layout: String
  /// The field, nil for the whole structure's size.
  package var field: String?
  /// The offset or the size that the known layout has, in bytes; nil if it has no such field.
  package var expected: UInt64?
  /// What was found, nil if there is no such field.
  package var found: UInt64?
}

// MARK: - Words

extension LayoutMisfit {
  /// The file with its version and its build id.
  package var file: String {
    let hexadecimal = buildID.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    let facts = [
      glibcVersion.map { "glibc \($0)" }, buildID.isEmpty ? nil : "build id \(hexadecimal)",
    ].compactMap(\.self)
    return facts.isEmpty ? path : "\(path) (\(facts.joined(separator: ", ")))"
  }

  /// The places that look like a `main_arena`.
  package var arenaText: String {
    list(arenas) { arena in
      "\(RemoteAddress(arena.address)) with a pointer to it \(arena.distance) bytes on"
        + (arena.layout.map { " (layout \($0))" } ?? "")
    }
  }

  /// The places that begin as `mp_` does, with their words.
  package var parametersText: String {
    list(parameters) { trace in
      "at \(RemoteAddress(trace.address)) "
        + trace.words.map { String($0, radix: 16) }.joined(separator: " ")
    }
  }

  /// Where debug information differs.
  package var differencesText: String { list(differences) { $0.description } }

  private func list<Item>(_ items: [Item], _ text: (Item) -> String) -> String {
    let shown = items.prefix(8).map(text).joined(separator: "; ")
    return items.count > 8 ? "\(shown); and \(items.count - 8) more" : shown
  }
}

extension LayoutDifference: CustomStringConvertible {
  /// What was found and what was expected.
  package var description: String {
    guard let field else {
      return "\(structure) has \(Self.bytes(found)), in layout \(layout) \(Self.bytes(expected))"
    }
    switch (found, expected) {
    case (let found?, let expected?):
      return "\(structure).\(field) is at \(found), in layout \(layout) at \(expected)"
    case (let found?, nil):
      return "\(structure).\(field) is at \(found), in layout \(layout) it does not exist"
    case (nil, let expected?):
      return "\(structure) has no \(field), in layout \(layout) it is at \(expected)"
    case (nil, nil):
      return "\(structure).\(field) is of another size than in layout \(layout)"
    }
  }

  private static func bytes(_ count: UInt64?) -> String {
    count.map { "\($0) bytes" } ?? "no size"
  }
}
