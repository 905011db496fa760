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
    for (index, first) in groups.members where index != first {
      switch referrers[index] {
      case .none: break
      case .one(let chunk, let offset): note(chunk, offset, leadsTo: first)
      case .others: referrers[first] = .others
      }
    }
    for (index, first) in groups.members { referrers[index] = referrers[first] }
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
  /// Which addresses have an entry in the table: one for each 4 KiB.
  private static let shift: UInt64 = 12
  /// How far chunks may be from each other for the table to go on.
  private static let longestGap: UInt64 = 1 << 30

  /// A stretch of memory with chunks, and for each 4 KiB of it the first chunk that does not end before.
  private struct Stretch {
    var start: UInt64
    var first: [UInt32]
  }

  private let chunks: [Chunk]
  private var stretches: [Stretch] = []

  init(_ chunks: [Chunk]) {
    self.chunks = chunks
    var index = 0
    while index < chunks.count {
      let start = chunks[index].userAddress.bits & ~((1 << Self.shift) - 1)
      var stretch = Stretch(start: start, first: [])
      var end = start
      while index < chunks.count, chunks[index].userAddress.bits &- end <= Self.longestGap {
        let chunkEnd = chunks[index].userAddress.bits &+ chunks[index].usableSize
        let needed = Int(clamping: (chunkEnd &- start) >> Self.shift) + 1
        // A chunk that states more than a TiB is not followed.
        guard needed < 1 << 28 else { break }
        while stretch.first.count < needed {
          stretch.first.append(UInt32(truncatingIfNeeded: index))
        }
        end = max(end, chunkEnd)
        index += 1
      }
      if stretch.first.isEmpty { index += 1 } else { stretches.append(stretch) }
    }
  }

  /// The number of the chunk with `address` in what the program may use of it, nil if there is none.
  func chunk(holding address: UInt64) -> Int? {
    for stretch in stretches {
      let entry = Int(clamping: (address &- stretch.start) >> Self.shift)
      guard address >= stretch.start, entry < stretch.first.count else { continue }
      var index = Int(stretch.first[entry])
      while index < chunks.count, chunks[index].userAddress.bits <= address {
        if address < chunks[index].userAddress.bits &+ chunks[index].usableSize { return index }
        index += 1
      }
      return nil
    }
    return nil
  }
}
