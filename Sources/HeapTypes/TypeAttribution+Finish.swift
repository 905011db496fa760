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
    let index = AddressIndex(count: chunks.count) { chunks[$0].userAddress.bits }
    let others = Questions(all)
    var next = 0
    for question in all {
      while next < chunks.count, chunks[next].userAddress.bits < question.address { next += 1 }
      guard next < chunks.count, chunks[next].userAddress.bits == question.address,
        chunks[next].held != 0
      else { continue }
      switch question.kind {
      case .link:
        let other = index.last(notAfter: question.first) { chunks[$0].userAddress.bits }
        if let other, chunks[other].userAddress.bits == question.first,
          chunks[other].size == chunks[next].size
        {
          chunks[next].held = unwritten
        }
      case .list where others.isListNode(question):
        chunks[next].held = table.number(of: Self.listNode)
      case .tree where others.isTreeNode(question):
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
}

/// Questions about chunks that may be nodes, which answer each other.
private struct Questions {
  private let all: [OpenQuestions.Question]
  private let index: AddressIndex

  /// Takes `all`, which ascend by address.
  init(_ all: [OpenQuestions.Question]) {
    self.all = all
    index = AddressIndex(count: all.count) { all[$0].address }
  }

  func isListNode(_ question: OpenQuestions.Question) -> Bool {
    guard question.first != question.address else { return false }
    if let next = node(question.first, .list), next.second == question.address { return true }
    guard let previous = node(question.second, .list) else { return false }
    return previous.first == question.address
  }

  func isTreeNode(_ question: OpenQuestions.Question) -> Bool {
    for child in [question.second, question.third] where child != 0 {
      guard let node = node(child, .tree), node.first == question.address else { return false }
    }
    if question.second != 0 || question.third != 0 { return true }
    guard let parent = node(question.first, .tree) else { return false }
    return parent.second == question.address || parent.third == question.address
  }

  private func node(
    _ address: UInt64, _ kind: OpenQuestions.Kind
  ) -> OpenQuestions.Question? {
    guard let number = index.last(notAfter: address, { all[$0].address }),
      all[number].address == address, all[number].kind == kind
    else { return nil }
    return all[number]
  }
}
