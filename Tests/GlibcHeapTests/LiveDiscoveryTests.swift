// Finding malloc in memory alone, in synthetic processes whose library's file is gone.

import GlibcHeap
import HeapModel
import RemoteMemory
import TestKit
import Testing

@Suite("Malloc's state in memory alone")
struct LiveDiscoveryTests {
  /// How relocations are stored: with the addends of the file, or with what the words hold.
  enum Addends: CaseIterable {
    case inTable
    case inPlace
  }

  /// The library as it is read from the memory of `heap`.
  private func image(_ heap: SyntheticHeap, _ addends: Addends) throws -> LoadedImage {
    var loaded = heap.images[0]
    loaded.image.isFromMemory = true
    let memory = heap.image
    loaded.image.initialBytes = try loaded.image.initialBytes.map { piece in
      var piece = piece
      let address = loaded.address(of: piece.virtualAddress)
      piece.bytes = try #require(try memory.bytes(at: address, count: piece.bytes.count))
      return piece
    }
    guard addends == .inPlace else { return loaded }
    loaded.image.relativeRelocations = loaded.image.relativeRelocations.map { relocation in
      let word = heap.memory.word(at: loaded.address(of: relocation.place).bits)
      return .init(place: relocation.place, target: word &- loaded.loadBias)
    }
    return loaded
  }

  @Test(
    "exactly the library's malloc is found, as its file would show it",
    arguments: GlibcShape.presets, Addends.allCases)
  func discovery(shape: GlibcShape, addends: Addends) throws {
    for seed in 0..<16 as Range<UInt64> {
      var plan = SyntheticPlan.random(shape: shape, seed: seed)
      plan.linkage = .sharedLibrary
      let heap = SyntheticHeap(plan)
      let memory = LiveMemory(heap.image, mappings: heap.mappings)
      let found = try? MallocInstance.find(in: [try image(heap, addends)], memory: memory)
      let instances = try #require(found, "\(heap.plan)")
      let instance = try #require(instances.first, "\(heap.plan)")
      #expect(instances.count == 1)
      #expect(instance.mainArena == heap.mainArena)
      #expect(instance.parameters == heap.parameters)
      #expect(instance.arenaLayout.name == shape.arena.rawValue, "\(heap.plan)")
      #expect(instance.isFromMemory)
      // In memory, 2.17's shape can be told from 2.24's.
      let fromFile = try #require(try MallocInstance.find(in: [heap.images[0]]).first)
      let expected =
        shape.parameters == .glibc217 ? ParametersLayout.v217 : fromFile.parametersLayout
      #expect(instance.parametersLayout == expected, "\(heap.plan)")
      #expect(instance.heapInfoLayout == fromFile.heapInfoLayout)
      #expect(instance.threadBlock == fromFile.threadBlock)
    }
  }

  @Test("without memory to look at, or with an arena that contradicts itself, nothing is found")
  func refusals() throws {
    let heap = SyntheticHeap(SyntheticPlan(shape: .named("2.36"), seed: 3))
    let loaded = try image(heap, .inPlace)
    #expect(throws: HeapError.self) { _ = try MallocInstance.find(in: [loaded]) }
    let fields = heap.shape.arenaFields
    let arena = heap.mainArena.bits
    let places = [
      ("its ring leads elsewhere", arena + fields.next, arena &+ 8),
      ("it has less than the system gave", arena + fields.systemMem, UInt64.max),
      ("top is in the library", arena + fields.top, arena),
      ("sbrk_base is elsewhere", heap.parameters.bits + 96, arena),
      ("tcache has no bins", heap.parameters.bits + 104, 0),
      ("more mmapped chunks than ever", heap.parameters.bits + 60, 0x1_0000_7fff),
    ]
    for (what, place, word) in places {
      var changed = heap
      changed.memory.store(word, at: place)
      let memory = LiveMemory(changed.image, mappings: changed.mappings)
      #expect(throws: HeapError.self, "\(what)") {
        _ = try MallocInstance.find(in: [try image(changed, .inPlace)], memory: memory)
      }
    }
  }

  @Test("two places that could be the parameters are one too many")
  func twoParameters() throws {
    let heap = SyntheticHeap(SyntheticPlan(shape: .named("2.44"), seed: 5))
    var changed = heap
    let size = heap.shape.parameterFields.size
    for offset in stride(from: 0, to: size, by: 8) {
      changed.memory.store(
        heap.memory.word(at: heap.parameters.bits + offset),
        at: heap.parameters.bits - 512 + offset)
    }
    let memory = LiveMemory(changed.image, mappings: changed.mappings)
    let loaded = try image(changed, .inPlace)
    do throws(HeapError) {
      _ = try MallocInstance.find(in: [loaded], memory: memory)
      Issue.record("one was chosen")
    } catch {
      guard case .unknownParameters = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  @Test("an arena at the end of all virtual addresses is no trap")
  func endOfAddresses() throws {
    let heap = SyntheticHeap(SyntheticPlan(shape: .named("2.36"), seed: 3))
    let loaded = try image(heap, .inPlace)
    // Its pointer to the next arena is still in there, its last fields are not.
    let arena = heap.mainArena.bits &- loaded.loadBias
    let shift = 0 &- UInt64(heap.shape.arenaFields.next + 16) &- arena
    var image = loaded.image
    image.relativeRelocations = image.relativeRelocations.map {
      .init(place: $0.place &+ shift, target: $0.target &+ shift)
    }
    image.segments = image.segments.filter { segment in
      segment.isWritable && segment.virtualAddress <= arena
        && arena - segment.virtualAddress < segment.fileSize
    }.map { segment in
      var segment = segment
      segment.virtualAddress &+= shift
      segment.fileSize = UInt64.max - segment.virtualAddress
      segment.memorySize = segment.fileSize
      return segment
    }
    try #require(image.segments.count == 1)
    let shifted = LoadedImage(
      image: image, loadBias: loaded.loadBias &- shift, path: loaded.path)
    let memory = LiveMemory(heap.image, mappings: heap.mappings)
    do throws(HeapError) {
      _ = try MallocInstance.find(in: [shifted], memory: memory)
      Issue.record("parameters were found")
    } catch {
      guard case .unknownParameters = error else {
        Issue.record("\(error)")
        return
      }
    }
  }
}
