// What rows of types and evidence are called.

import HeapAnalysis
import HeapModel

extension TypeGrouping {
  /// The heading of the column that names the rows.
  var heading: String {
    switch self {
    case .type: "type"
    case .size: "chunk size"
    case .binary: "binary"
    case .arena: "arena"
    }
  }
}

extension TypeRow {
  /// The type of its chunks, if they are of one.
  var type: HeldType? {
    if case .type(let type) = subject { type } else { nil }
  }

  /// The file that implements it, if it is of one.
  var binary: String? {
    switch subject {
    case .type(let type): type.binary
    case .binary(let path): path
    case .sizes, .arena: nil
    }
  }

  /// What it is called, as the target has it.
  func name(isExact: Bool = false) -> String {
    switch subject {
    case .type(let type): type.name
    case .sizes(let sizes): Figures.sizes(sizes, isExact: isExact)
    case .binary(let path): path ?? "(no file)"
    case .arena(let index): index.map { String($0) } ?? "mmap"
    }
  }
}

/// The names of types as a list of chunks shows them, each made ready only once.
struct TypeColumn {
  private let names: [String]

  init(_ report: HeapReport, _ shown: (String) -> String = { $0 }) {
    let types = report.held?.types ?? []
    names = (types.isEmpty ? [.unknown] : types).map { shown($0.name) }
  }

  /// The name of what `chunk` holds, nil if the program does not have it.
  func name(of chunk: Chunk) -> String? {
    guard chunk.state == .inUse else { return nil }
    let index = Int(chunk.held)
    return names[index < names.count ? index : 0]
  }
}

extension TypeEvidence.Rule {
  /// What tells the type, to be read after "by".
  var words: String {
    switch self {
    case .rtti: "type information"
    case .vtableSymbol: "vtable symbol"
    case .swiftMetadata: "Swift metadata"
    case .structure: "own structure"
    case .vtableUnnamed: "unnamed vtable"
    case .symbol: "symbol"
    case .objectFile: "object file"
    case .owner: "owner"
    case .content: "contents"
    case .none: "nothing"
    }
  }
}
