// Which chunks refer to which, as far as it takes to tell owners.

import HeapModel

/// For every chunk in use, the one other chunk that leads to it, if there is only one.
struct SoleReferences {
  /// What leads to a chunk.
  enum Referrer: Equatable {
    /// Nothing in the heap.
    case none
    /// Words of the chunk with this number alone; the first that leads to the beginning is so many bytes
    /// behind its user address, nil if they all lead into the middle.
    case one(chunk: Int, offset: UInt64?)
    /// Words of several chunks.
    case others
  }

  // For each chunk, in 12 bytes.
  private static let none = UInt32.max
  private static let several = UInt32.max - 1
  private static let middle = UInt64.max
  private var sources: [UInt32]
  private var offsets: [UInt64]

  /// Looks at `references`, which ascend by place, between `chunks`, which ascend by address.
  ///
  /// What free chunks still hold does not count, nor does what leads from a chunk to itself. Nodes that `nodes`
  /// tells by their types, and that are linked with each other, count as one: to each leads what leads to any
  /// of them from elsewhere.
  init(_ references: [HeapReference], between chunks: [Chunk], nodes: NodeTypes) {
    sources = Array(repeating: Self.none, count: chunks.count)
    offsets = Array(repeating: Self.middle, count: chunks.count)
    let finder = ChunkFinder(chunks)
    var groups = NodeGroups(chunks, nodes)
    if groups.hasNodes {
      Self.forEach(of: references, in: chunks) { source, offset, address in
        guard groups.isLink(source, at: offset), let target = finder.chunk(holding: address),
          chunks[target].userAddress.bits == address
        else { return }
        groups.link(source, to: target)
      }
    }
    Self.forEach(of: references, in: chunks) { source, offset, address in
      guard let target = finder.chunk(holding: address), target != source,
        chunks[target].state == .inUse, !groups.areTogether(source, target)
      else { return }
      let isStart = chunks[target].userAddress.bits == address
      note(UInt32(source), isStart ? offset : Self.middle, leadsTo: target)
    }
    groups.forEach { index, first in
      guard index != first, sources[index] != Self.none else { return }
      note(sources[index], offsets[index], leadsTo: first)
    }
    groups.forEach { index, first in
      sources[index] = sources[first]
      offsets[index] = offsets[first]
    }
  }

  /// What leads to the chunk with number `index`.
  subscript(index: Int) -> Referrer {
    switch sources[index] {
    case Self.none: return .none
    case Self.several: return .others
    case let source:
      let offset = offsets[index]
      return .one(chunk: Int(source), offset: offset == Self.middle ? nil : offset)
    }
  }

  /// Calls `body` for each reference that stands in a chunk in use, with the chunk's number, the distance from
  /// its user address and where it leads.
  private static func forEach(
    of references: [HeapReference], in chunks: [Chunk], _ body: (Int, UInt64, UInt64) -> Void
  ) {
    var source = 0
    for reference in references {
      let place = reference.place.bits
      while source < chunks.count, end(of: chunks[source]) <= place { source += 1 }
      guard source < chunks.count else { return }
      let start = chunks[source].userAddress.bits
      guard chunks[source].state == .inUse, start <= place else { continue }
      body(source, place &- start, reference.target.bits)
    }
  }

  /// Notes that chunk `source`, or several, lead to `target`: to its beginning if `offset` is not `middle`.
  private mutating func note(_ source: UInt32, _ offset: UInt64, leadsTo target: Int) {
    switch sources[target] {
    case Self.none:
      sources[target] = source
      offsets[target] = offset
    case source: offsets[target] = min(offsets[target], offset)
    default: sources[target] = Self.several
    }
  }

  private static func end(of chunk: Chunk) -> UInt64 {
    chunk.userAddress.bits &+ chunk.usableSize
  }
}

/// The types of the nodes of lists and trees, by their numbers.
struct NodeTypes {
  /// Of a list: links to the next and the previous.
  var list: UInt32?
  /// Of a red-black tree: parent and children, behind the colour.
  var tree: UInt32?

  /// The bytes of a chunk of type `held` in which its links are; nil if that is no node.
  func links(of held: UInt32) -> Range<UInt64>? {
    if held == list { return 0..<16 }
    return held == tree ? 8..<32 : nil
  }
}

/// Nodes that are linked with each other.
private struct NodeGroups {
  private static let none = UInt32.max

  private let chunks: [Chunk]
  private let nodes: NodeTypes
  /// For each chunk that is a node the number of another of its group, or its own; empty if there are none.
  private var parents: [UInt32] = []

  init(_ chunks: [Chunk], _ nodes: NodeTypes) {
    self.chunks = chunks
    self.nodes = nodes
    guard nodes.list != nil || nodes.tree != nil else { return }
    parents = chunks.indices.map { index in
      nodes.links(of: chunks[index].held) == nil ? Self.none : UInt32(truncatingIfNeeded: index)
    }
  }

  var hasNodes: Bool { !parents.isEmpty }

  /// Whether the word at `offset` of chunk `source` is where a node has its links.
  func isLink(_ source: Int, at offset: UInt64) -> Bool {
    nodes.links(of: chunks[source].held)?.contains(offset) ?? false
  }

  /// Notes a link, if both chunks are nodes of the same sort.
  mutating func link(_ source: Int, to target: Int) {
    guard chunks[source].held == chunks[target].held else { return }
    let (first, second) = (root(source), root(target))
    if first != second { parents[max(first, second)] = UInt32(min(first, second)) }
  }

  /// Whether both chunks are nodes that are linked with each other.
  mutating func areTogether(_ one: Int, _ other: Int) -> Bool {
    guard hasNodes, parents[one] != Self.none, parents[other] != Self.none else { return false }
    return root(one) == root(other)
  }

  private mutating func root(_ index: Int) -> Int {
    var index = index
    while true {
      let parent = Int(parents[index])
      if parent == index { return index }
      // Halving the way: the next question is quicker.
      parents[index] = parents[parent]
      index = parent
    }
  }

  /// Calls `body` for every node, ascending, with the first one of its group.
  mutating func forEach(_ body: (_ index: Int, _ first: Int) -> Void) {
    for index in parents.indices where parents[index] != Self.none { body(index, root(index)) }
  }
}
