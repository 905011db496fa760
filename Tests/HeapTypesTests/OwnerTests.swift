// Buffers and whose they are, by references that the tests make.

import HeapModel
import HeapTypes
import RemoteMemory
import Testing

@Suite struct OwnerTests {
  /// A heap of chunks of 64 bytes, and the words that lead from one to another.
  private struct Heap {
    static let base: UInt64 = 0x5000_0000_0000
    var chunks: [Chunk]
    var references: [HeapReference] = []

    init(_ count: Int, size: UInt64 = 64) {
      chunks = (0..<UInt64(count)).map { number in
        Chunk(
          userAddress: RemoteAddress(Self.base + number * size), size: size,
          usableSize: size - 8, state: .inUse, arena: 0)
      }
    }

    /// The first words of chunk number `index`, with its references.
    func words(of index: Int) -> [UInt64] {
      var words = [UInt64](repeating: 0, count: 7)
      let start = chunks[index].userAddress.bits
      for reference in references where reference.place.bits &- start < 56 {
        words[Int(reference.place.bits &- start) / 8] = reference.target.bits
      }
      return words
    }

    mutating func refer(from chunk: Int, at offset: UInt64, to target: Int, plus: UInt64 = 0) {
      references.append(
        HeapReference(
          place: RemoteAddress(chunks[chunk].userAddress.bits + offset),
          target: RemoteAddress(chunks[target].userAddress.bits + plus)))
      references.sort { $0.place < $1.place }
    }
  }

  /// The names of the types of `heap`'s chunks, of which those in `objects` are objects of a class, and of
  /// those in `written` the references are seen, too.
  private func names(
    _ heap: Heap, objects: Set<Int>, written: Range<Int> = 0..<0
  ) -> [String] {
    var chunks = heap.chunks
    let attribution = attribute(heap, &chunks, objects: objects, written: written)
    let types = attribution.types
    return chunks.map { types[Int($0.held)].name }
  }

  private func attribute(
    _ heap: Heap, _ chunks: inout [Chunk], objects: Set<Int>, written: Range<Int>
  ) -> TypeAttribution {
    var image = ClassImage()
    let vtable = image.addClass("7Session")
    var attribution = TypeAttribution(image.sources())
    for index in chunks.indices {
      var words =
        written.contains(index) ? heap.words(of: index) : [UInt64](repeating: 0, count: 7)
      if objects.contains(index) { words[0] = vtable }
      let chunk = chunks[index]
      guard chunk.state == .inUse else { continue }
      chunks[index].held = words[...].withUnsafeBytesOfAll {
        attribution.type(of: chunk, beginning: $0)
      }
    }
    attribution.finish(&chunks)
    attribution.findOwners(&chunks, heap.references)
    return attribution
  }

  @Test("a chunk is the object's that alone leads to it")
  func sole() {
    var heap = Heap(6)
    heap.refer(from: 0, at: 24, to: 1)
    heap.refer(from: 0, at: 32, to: 2)
    heap.refer(from: 0, at: 40, to: 2, plus: 16)
    heap.refer(from: 0, at: 48, to: 3, plus: 8)
    let names = names(heap, objects: [0])
    #expect(names[1] == "\(names[0])+24")
    // Several words of one object, as a vector has them; but one must lead to the beginning.
    #expect(names[2] == "\(names[0])+32")
    #expect(names[3] == "zeros" && names[4] == "zeros")
  }

  @Test("a chunk that two lead to, or none but a free one or itself, is nobody's")
  func notSole() {
    var heap = Heap(6)
    heap.refer(from: 0, at: 8, to: 2)
    heap.refer(from: 1, at: 8, to: 2)
    heap.refer(from: 3, at: 8, to: 4)
    heap.chunks[3].state = .binned
    heap.refer(from: 5, at: 8, to: 5)
    let names = names(heap, objects: [0, 1, 3])
    #expect(names[2] == "zeros" && names[4] == "zeros" && names[5] == "zeros")
  }

  @Test("what owned buffers lead to is owned, too, in one row; a ring of buffers is not")
  func chains() {
    var heap = Heap(8)
    heap.refer(from: 0, at: 8, to: 1)
    heap.refer(from: 1, at: 0, to: 2)
    heap.refer(from: 1, at: 8, to: 3)
    heap.refer(from: 3, at: 48, to: 4)
    heap.refer(from: 6, at: 0, to: 7)
    heap.refer(from: 7, at: 0, to: 6)
    let names = names(heap, objects: [0])
    #expect(names[1] == "\(names[0])+8")
    #expect(names[2...4].allSatisfy { $0 == "\(names[0])+8[]" }, "\(names)")
    #expect(names[5...7].allSatisfy { $0 == "zeros" })
  }

  @Test("nodes of one list are owned together, whatever else they lead to in it")
  func nodes() {
    var heap = Heap(8)
    // A ring with its head in object 0, of which two nodes' payload leads to the same third.
    for (node, next) in [(1, 2), (2, 3), (3, 4)] {
      heap.refer(from: node, at: 0, to: next)
      heap.refer(from: next, at: 8, to: node)
    }
    heap.refer(from: 0, at: 16, to: 1)
    heap.refer(from: 0, at: 24, to: 4)
    heap.refer(from: 4, at: 0, to: 0, plus: 16)
    heap.refer(from: 1, at: 8, to: 0, plus: 16)
    heap.refer(from: 1, at: 40, to: 3)
    heap.refer(from: 2, at: 40, to: 3)
    // What a node leads to is that node's.
    heap.refer(from: 3, at: 48, to: 5)
    let names = names(heap, objects: [0], written: 1..<5)
    #expect(names[1...4].allSatisfy { $0 == "\(names[0])+16" }, "\(names)")
    #expect(names[5] == "\(names[0])+16[]")
  }

  @Test("fields beyond those that get names are counted")
  func limits() {
    let count = 20_010
    var heap = Heap(count + 1, size: 1 << 18)
    heap.references.reserveCapacity(count)
    for field in 0..<count {
      heap.references.append(
        HeapReference(
          place: RemoteAddress(Heap.base + 16 + UInt64(field) * 8),
          target: heap.chunks[field + 1].userAddress))
    }
    var chunks = heap.chunks
    let attribution = attribute(heap, &chunks, objects: [0], written: 0..<0)
    let owned = attribution.types.indices.filter { attribution.types[$0].kind == .owned }
    #expect(owned.count == 20_000)
    let isOwned = Set(owned.map { UInt32($0) })
    #expect(chunks.count { isOwned.contains($0.held) } == 20_000)
    #expect(attribution.limits.count == 1)
    #expect(attribution.limits.first?.hasPrefix("10 buffers have an owner") == true)
  }
}
