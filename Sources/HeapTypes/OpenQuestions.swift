// What the beginning of one chunk leaves open, kept until all chunks were seen.

/// Chunks whose first words can be links to others, which tell what they are only together.
struct OpenQuestions {
  /// What a chunk could be.
  enum Kind: UInt8 {
    /// A block not written since it was in a cache's list: its first word is a masked link.
    case link
    /// A node of a list with two links.
    case list
    /// A node of a red-black tree.
    case tree
  }

  /// A chunk with its first words.
  struct Question {
    /// The chunk's address, which is a multiple of 16, and the kind in its low bits.
    private var bits: UInt64
    /// For a list the next node; for a link what it means; for a tree the parent.
    var first: UInt64
    /// The node before, or the left child.
    var second: UInt64
    /// The right child.
    var third: UInt64

    init(
      _ kind: Kind, _ address: UInt64, first: UInt64, second: UInt64 = 0, third: UInt64 = 0
    ) {
      bits = address & ~15 | UInt64(kind.rawValue)
      (self.first, self.second, self.third) = (first, second, third)
    }

    var address: UInt64 { bits & ~15 }
    var kind: Kind { Kind(rawValue: UInt8(bits & 15)) ?? .link }
  }

  /// As many chunks are kept at most, 128 MiB; what comes later keeps the type that its content makes.
  static let most = 1 << 22

  /// The questions.
  private(set) var all: [Question] = []
  /// How many chunks were not kept.
  private(set) var passedOver = 0

  /// Keeps a chunk that begins with a link to `link`.
  mutating func add(_ kind: Kind, _ beginning: Beginning, _ link: UInt64) {
    add(Question(kind, beginning.address, first: link))
  }

  private mutating func add(_ question: Question) {
    if all.count < Self.most { all.append(question) } else { passedOver += 1 }
  }

  /// Keeps a chunk whose first words could be those of a node.
  ///
  /// A list's node begins with the next and the previous one (std::list in libstdc++; many lists in C). A
  /// tree's node begins with its colour, 0 or 1, and then has parent, left and right child
  /// (std::map, std::set and their kin in libstdc++, stl_tree.h).
  @inline(__always)
  mutating func askWhetherNode(_ beginning: Beginning) {
    guard beginning.byteCount >= 24 else { return }
    let first = beginning[0]
    let second = beginning[1]
    guard second & 7 == 0, beginning.isPointer(second) else { return }
    if first & 7 == 0, beginning.isPointer(first) {
      add(Question(.list, beginning.address, first: first, second: second))
    } else if UInt32(truncatingIfNeeded: first) <= 1, beginning.byteCount >= 40 {
      let left = beginning[2]
      let right = beginning[3]
      guard left == 0 || left & 15 == 0 && beginning.isPointer(left),
        right == 0 || right & 15 == 0 && beginning.isPointer(right)
      else { return }
      add(Question(.tree, beginning.address, first: second, second: left, third: right))
    }
  }

  /// Gives up the questions.
  mutating func removeAll() { all = [] }
}
