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

  private(set) var referrers: [Referrer]

  /// Looks at `references`, which ascend by place, between `chunks`, which ascend by address.
  ///
  /// What free chunks still hold does not count, nor does what leads from a chunk to itself. Nodes that `nodes`
  /// tells by their types, and that are linked with each other, count as one: to each leads what leads to any
  /// of them from elsewhere.
  init(_ references: [HeapReference], between chunks: [Chunk], nodes: NodeTypes) {
    var groups = NodeGroups(chunks, nodes)
    referrers = [Referrer](repeating: .none, count: chunks.count)
    let finder = ChunkFinder(chunks)
    var source = 0
    for reference in references {
      let place = reference.place.bits
      while source < chunks.count, Self.end(of: chunks[source]) <= place { source += 1 }
      guard source < chunks.count else { break }
      guard chunks[source].state == .inUse, chunks[source].userAddress.bits <= place,
        let target = finder.chunk(holding: reference.target.bits), target != source,
        chunks[target].state == .inUse
      else { continue }
      let isStart = chunks[target].userAddress == reference.target
      let offset = place &- chunks[source].userAddress.bits
      if isStart, groups.link(source, to: target, at: offset) { continue }
      note(source, isStart ? offset : nil, leadsTo: target)
    }
    let members = groups.members
    let firsts = Dictionary(uniqueKeysWithValues: members.map { ($0.index, $0.first) })
    for (index, first) in members {
      // A word elsewhere in a node leads to another of its group: no group owns itself.
      if case .one(let chunk, _) = referrers[index], firsts[chunk] == first {
        referrers[index] = .none
      }
    }
    for (index, first) in members where index != first {
      switch referrers[index] {
      case .none: break
      case .one(let chunk, let offset): note(chunk, offset, leadsTo: first)
      case .others: referrers[first] = .others
      }
    }
    for (index, first) in members { referrers[index] = referrers[first] }
  }

  /// Notes that chunk `source` leads to `target`, to its beginning if there is an `offset`.
  private mutating func note(_ source: Int, _ offset: UInt64?, leadsTo target: Int) {
    switch referrers[target] {
    case .none: referrers[target] = .one(chunk: source, offset: offset)
    case .one(source, let first):
      let both = [first, offset].compactMap { $0 }
      referrers[target] = .one(chunk: source, offset: both.min())
    case .one: referrers[target] = .others
    case .others: break
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
  private let chunks: [Chunk]
  private let nodes: NodeTypes
  /// For each node the number of another of its group, or its own.
  private var parents: [Int: Int] = [:]

  init(_ chunks: [Chunk], _ nodes: NodeTypes) {
    self.chunks = chunks
    self.nodes = nodes
    guard nodes.list != nil || nodes.tree != nil else { return }
    for index in chunks.indices where nodes.links(of: chunks[index].held) != nil {
      parents[index] = index
    }
  }

  /// Notes a link and returns true if both chunks are nodes of the same sort, and the word at `offset` of the
  /// first is where nodes have their links.
  mutating func link(_ source: Int, to target: Int, at offset: UInt64) -> Bool {
    guard !parents.isEmpty, chunks[source].held == chunks[target].held,
      let links = nodes.links(of: chunks[source].held), links.contains(offset)
    else { return false }
    let (first, second) = (root(source), root(target))
    if first != second { parents[max(first, second)] = min(first, second) }
    return true
  }

  private mutating func root(_ index: Int) -> Int {
    var index = index
    while let parent = parents[index], parent != index {
      // Halving the way: the next question is quicker.
      if let next = parents[parent] { parents[index] = next }
      index = parent
    }
    return index
  }

  /// Every node, ascending, with the first one of its group.
  var members: [(index: Int, first: Int)] {
    mutating get {
      parents.keys.sorted().map { ($0, root($0)) }
    }
  }
}

/// Finds chunks by addresses in them.
private struct ChunkFinder {
  private static let step = 64

  private let chunks: [Chunk]
  /// Where every 64th begins: few enough to stay in the processor's cache.
  private let starts: [UInt64]

  /// Takes `chunks`, which ascend by address.
  init(_ chunks: [Chunk]) {
    self.chunks = chunks
    starts = stride(from: 0, to: chunks.count, by: Self.step).map { chunks[$0].userAddress.bits }
  }

  /// The number of the chunk with `address` in what the program may use of it, nil if there is none.
  func chunk(holding address: UInt64) -> Int? {
    var (low, high) = (0, starts.count)
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    (low, high) = ((low - 1) * Self.step, min(low * Self.step, chunks.count))
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].userAddress.bits <= address { low = middle + 1 } else { high = middle }
    }
    let chunk = chunks[low - 1]
    return address &- chunk.userAddress.bits < chunk.usableSize ? low - 1 : nil
  }
}
