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

    init(_ count: Int) {
      chunks = (0..<UInt64(count)).map { number in
        Chunk(
          userAddress: RemoteAddress(Self.base + number * 64), size: 64, usableSize: 56,
          state: .inUse, arena: 0)
      }
    }

    mutating func refer(from chunk: Int, at offset: UInt64, to target: Int, plus: UInt64 = 0) {
      references.append(
        HeapReference(
          place: RemoteAddress(chunks[chunk].userAddress.bits + offset),
          target: RemoteAddress(chunks[target].userAddress.bits + plus)))
      references.sort { $0.place < $1.place }
    }
  }

  /// The names of the types of `heap`'s chunks, of which those in `objects` are objects of a class.
  private func names(_ heap: Heap, objects: Set<Int>) -> [String] {
    var image = ClassImage()
    let vtable = image.addClass("7Session")
    var attribution = TypeAttribution(image.sources())
    var chunks = heap.chunks
    for index in chunks.indices {
      var words = [UInt64](repeating: 0, count: 7)
      if objects.contains(index) { words[0] = vtable }
      let chunk = chunks[index]
      guard chunk.state == .inUse else { continue }
      chunks[index].held = words[...].withUnsafeBytesOfAll {
        attribution.type(of: chunk, beginning: $0)
      }
    }
    attribution.finish(&chunks)
    attribution.findOwners(&chunks, heap.references)
    let types = attribution.types
    return chunks.map { types[Int($0.held)].name }
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
}
