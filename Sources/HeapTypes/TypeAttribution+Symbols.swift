// One type for structures that point to many different symbols, of which none tells much.

import HeapModel

extension TypeAttribution {
  /// A type by a symbol with fewer chunks than this is rare.
  private static var fewChunks: Int { 4 }
  /// So many rare types of one file are made one.
  private static var manyTypes: Int { 32 }

  /// Makes one type of those that are rare, if a file has many of them.
  ///
  /// Entries of a table of a program's options, say, each point to another variable: hundreds of types with one
  /// chunk each would hide what else there is.
  mutating func mergeRareSymbols(_ chunks: inout [Chunk]) {
    guard meanings.symbolTypes.count >= Self.manyTypes else { return }
    var counts = [Int](repeating: 0, count: table.types.count)
    for chunk in chunks where Int(chunk.held) < counts.count { counts[Int(chunk.held)] += 1 }
    var rare: [SymbolOrigin: [Int]] = [:]
    for (type, origin) in meanings.symbolTypes {
      let count = counts[Int(type)]
      if count > 0, count < Self.fewChunks { rare[origin, default: []].append(Int(type)) }
    }
    var merged = [UInt32](repeating: 0, count: counts.count)
    for (origin, types) in rare.sorted(by: { $0.value.min() ?? 0 < $1.value.min() ?? 0 })
    where types.count >= Self.manyTypes && meanings.sources.binaries.indices.contains(origin.binary)
    {
      let binary = meanings.sources.binaries[origin.binary]
      let name = origin.isFunction ? "callbacks" : "structure with pointers to data"
      let number = table.number(
        of: HeldType(
          name: "\(name) of \(binary.fileName)", kind: .structure, binary: binary.path,
          evidence: TypeEvidence(
            .symbol, "pointers to \(types.count) symbols, each in at most 3 chunks")))
      for type in types { merged[type] = number }
    }
    for index in chunks.indices where Int(chunks[index].held) < merged.count {
      let number = merged[Int(chunks[index].held)]
      if number != 0 { chunks[index].held = number }
    }
  }
}
