// What all chunks together tell of each.

package import HeapModel

extension TypeAttribution {
  /// Looks again at what one chunk alone does not tell, and changes what `chunks` are said to hold.
  ///
  /// To be called once, when the type of each in-use chunk was asked for. The chunks ascend by address.
  package mutating func finish(_ chunks: inout [Chunk]) {
    answerQuestions(&chunks)
    compareSizes(&chunks)
    mergeRareSymbols(&chunks)
  }

  // MARK: Links

  /// Answers what was left open of chunks that can have links to others.
  ///
  /// - A masked link is one if it leads to a chunk of the same size: caches have one list for each size.
  /// - A chunk is a list's node if the one it calls the next calls it the previous one, or the other way
  ///   round. A tree's node is one if a child calls it the parent, or the parent calls it a child.
  private mutating func answerQuestions(_ chunks: inout [Chunk]) {
    var all = questions.all
    questions.removeAll()
    // Mostly they come in this order.
    let ascend = all.indices.dropFirst().allSatisfy { all[$0 - 1].address <= all[$0].address }
    if !ascend { all.sort { $0.address < $1.address } }
    guard !all.isEmpty else { return }
    var places = WordTable()
    for (index, question) in all.enumerated() where question.kind != .link {
      places.set(question.address, to: UInt32(index))
    }
    var next = 0
    for question in all {
      while next < chunks.count, chunks[next].userAddress.bits < question.address { next += 1 }
      guard next < chunks.count, chunks[next].userAddress.bits == question.address,
        chunks[next].held != 0
      else { continue }
      switch question.kind {
      case .link:
        if let index = Self.index(of: question.first, in: chunks),
          chunks[index].size == chunks[next].size
        {
          chunks[next].held = unwritten
        }
      case .list where isListNode(question, all, places):
        chunks[next].held = table.number(of: Self.listNode)
      case .tree where isTreeNode(question, all, places):
        chunks[next].held = table.number(of: Self.treeNode)
      case .list, .tree: break
      }
    }
  }

  static let listNode = node("list node", "the next or the previous node points back")
  static let treeNode = node(
    "red-black tree node", "colour, parent and children, of which one points back")

  private static func node(_ name: String, _ detail: String) -> HeldType {
    HeldType(name: name, kind: .runtime, binary: nil, evidence: TypeEvidence(.structure, detail))
  }

  private typealias Question = OpenQuestions.Question

  private func isListNode(
    _ question: Question, _ all: [Question], _ places: WordTable
  ) -> Bool {
    guard question.first != question.address else { return false }
    if let next = node(question.first, .list, all, places), next.second == question.address {
      return true
    }
    guard let previous = node(question.second, .list, all, places) else { return false }
    return previous.first == question.address
  }

  private func isTreeNode(
    _ question: Question, _ all: [Question], _ places: WordTable
  ) -> Bool {
    for child in [question.second, question.third] where child != 0 {
      guard let node = node(child, .tree, all, places), node.first == question.address else {
        return false
      }
    }
    if question.second != 0 || question.third != 0 { return true }
    guard let parent = node(question.first, .tree, all, places) else { return false }
    return parent.second == question.address || parent.third == question.address
  }

  private func node(
    _ address: UInt64, _ kind: OpenQuestions.Kind, _ all: [Question], _ places: WordTable
  ) -> Question? {
    guard address != 0, let index = places[address], Int(index) < all.count,
      all[Int(index)].kind == kind
    else { return nil }
    return all[Int(index)]
  }

  /// The number of the chunk whose memory begins at `address`.
  private static func index(of address: UInt64, in chunks: [Chunk]) -> Int? {
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].userAddress.bits < address { low = middle + 1 } else { high = middle }
    }
    return low < chunks.count && chunks[low].userAddress.bits == address ? low : nil
  }
}
